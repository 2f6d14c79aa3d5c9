"""Sessions whose rows don't open the console: the database holds a digest of the key that the cookie holds.

So a copy of the database, or a look into it, lets no attacker sign in. Keys have a form of their own, by which gateways recognise
them: a browser sends the console's cookie to every port of its host, and no API's upstream may see it.
"""

import hashlib
import secrets
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.utils import timezone

MARK = "ams_"
"""How every key of a session begins. One without it, of an earlier release, opens nothing."""


def digest(session_key: str) -> str:
    """What is stored of a session's key: as long as Django's column."""
    return hashlib.blake2b(session_key.encode(), digest_size=20, person=b"apimgr session").hexdigest()


class SessionStore(db.SessionStore):
    """Django's, with digests for keys wherever it meets the database."""

    def _get_new_session_key(self) -> str:
        return f"{MARK}{secrets.token_urlsafe(32)}"  # 256 random bits: there is no other such key

    async def _aget_new_session_key(self) -> str:
        return self._get_new_session_key()

    def exists(self, session_key: str) -> bool:
        return super().exists(digest(session_key))

    async def aexists(self, session_key: str) -> bool:
        return await sync_to_async(self.exists)(session_key)

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            super().delete(digest(key))

    async def adelete(self, session_key: str | None = None) -> None:
        await sync_to_async(self.delete)(session_key)

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        row: Session = super().create_model_instance(data)  # type: ignore[assignment]
        row.session_key = digest(row.session_key)
        return row

    async def acreate_model_instance(self, data: dict[str, Any]) -> Session:
        return await sync_to_async(self.create_model_instance)(data)

    def _get_session_from_db(self) -> Session | None:
        key = self.session_key or ""
        found = Session.objects.filter(session_key=digest(key), expire_date__gt=timezone.now())
        row = found.first() if key.startswith(MARK) else None
        if row is None:
            self._session_key = None
        return row

    async def _aget_session_from_db(self) -> Session | None:
        return await sync_to_async(self._get_session_from_db)()
