"""What lets a warm-up's call through the gateway: made by the control plane for one call, and good for a minute.

It is an HMAC under a key that both planes have and no caller. It names no tenant and no application: such a call is
anonymous, so that its response can only be stored where it may be shared by all. Pure, and imported by the gateway.
"""

import hashlib
import hmac

HEADER = b"x-apimgr-warm-up"
"""Removed from every call before it is forwarded."""

LIFE = 60
"""Seconds that a token is good for; the clocks of two machines may differ by less."""

SCHEMES = ("http", "https")


def make(master: bytes, *, api: str, scheme: str, target: bytes, now: float) -> str:
    """A token for one GET of ``target`` (path and query as sent) of the API, for callers that use ``scheme``.

    ``master`` is the key under which configuration travels (``SNAPSHOT_MAC_KEY``).
    """
    expires = int(now) + LIFE
    return f"{expires}.{scheme}.{_mac(master, api, scheme, target, expires)}"


def scheme_of(master: bytes, value: bytes, *, api: str, target: bytes, now: float) -> str | None:
    """The scheme in whose name a token lets this call in; ``None``: it doesn't."""
    parts = value.decode("latin-1").split(".")
    if len(parts) != 3 or not (parts[0].isascii() and parts[0].isdigit() and len(parts[0]) <= 12):
        return None
    expires, scheme, mac = int(parts[0]), parts[1], parts[2]
    if scheme not in SCHEMES or not now < expires <= now + 2 * LIFE:
        return None
    expected = _mac(master, api, scheme, target, expires)
    return scheme if hmac.compare_digest(mac.encode("latin-1"), expected.encode()) else None


def _mac(master: bytes, api: str, scheme: str, target: bytes, expires: int) -> str:
    key = hashlib.blake2b(b"warm-up", key=master, digest_size=32).digest()
    said = b"%d.%b.%b.%b" % (expires, scheme.encode(), api.encode(), target)
    return hmac.new(key, said, hashlib.sha256).hexdigest()
