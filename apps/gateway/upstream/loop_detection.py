"""Calls that come back to where they were: found by ``CDN-Loop`` (RFC 8586), which each forwarded call carries.

A forwarded call gets one member more, ``apimgr-<installation>-<API>``: opaque, the same in every worker, another in every
installation. A call that arrives with the member of the very API that it is for has been here before, and one with
``MOST_HOPS`` members of this installation goes round by way of ever other APIs; both end with 508. One API of an
installation may lead to another on purpose, and so may two installations.

Members are found as substrings of what came, before any rule and whatever ``Connection`` lists, so that nothing on the way
that leaves the field in place can hide one.
"""

import hashlib
import hmac
from functools import lru_cache

from apps.gateway.call.call import Call

FIELD = b"cdn-loop"

MOST_HOPS = 4
"""APIs of one installation that a call may have passed when it arrives."""

NAMES_KEPT = 4096
"""APIs whose member is remembered, about 200 bytes each."""


class LoopDetection:
    """Marks what is forwarded and finds it again. ``master`` is the key under which configuration travels."""

    def __init__(self, master: bytes) -> None:
        key = hashlib.blake2b(b"cdn-loop", key=master, digest_size=32).digest()
        self._installation = b"apimgr-%b-" % _opaque(key, b"installation")
        self._member = lru_cache(maxsize=NAMES_KEPT)(
            lambda slug: self._installation + _opaque(key, b"api:" + slug.encode())
        )

    def has_been_here(self, x: Call) -> bool:
        """Whether the call, which is for ``x.api``, goes round in a circle."""
        met = [value for name, value in x.headers if name == FIELD]
        if not met:
            return False
        passed = b",".join(met)
        return self._member(x.api.slug) in passed or passed.count(self._installation) >= MOST_HOPS

    def marked(self, x: Call, fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The ``fields`` to send upstream with all members that came, and the API's own at their end."""
        members = [value for name, value in x.headers if name == FIELD and value]
        members.append(self._member(x.api.slug))
        return [*(pair for pair in fields if pair[0] != FIELD), (FIELD, b", ".join(members))]


def _opaque(key: bytes, what: bytes) -> bytes:
    return hmac.new(key, what, hashlib.sha256).hexdigest()[:16].encode()
