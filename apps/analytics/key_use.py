"""When each key, or other credential, was last used, as far as call records say."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from apps.access.models import Credential

#: The use of a key is recorded once a minute: its row is not rewritten with every call.
_GRAIN = timedelta(minutes=1)


def record_key_use(uses: Mapping[int, datetime]) -> None:
    """Record the last use of each key (by id). Two queries, or one when all were recorded within the last minute."""
    if not uses:
        return
    due = []
    for key in Credential.objects.filter(pk__in=uses).only("pk", "last_used_at"):
        if key.last_used_at is None or uses[key.pk] - key.last_used_at >= _GRAIN:
            key.last_used_at = uses[key.pk]
            due.append(key)
    Credential.objects.bulk_update(due, ["last_used_at"])
