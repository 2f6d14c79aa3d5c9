"""What a request's body has to hash to, by its ``Content-Digest`` (RFC 9530). Pure."""

import hashlib
from collections.abc import Callable, Mapping

from apps.gateway.call.structured_fields import dictionary
from apps.httpcache.fields import lines_of
from apps.httpcache.messages import Headers

FIELD = b"content-digest"

ALGORITHMS: dict[str, Callable[[bytes], bytes]] = {
    "sha-256": lambda body: hashlib.sha256(body).digest(),
    "sha-512": lambda body: hashlib.sha512(body).digest(),
}
"""Those that are checked: the others of the registry are deprecated."""


def digests_in(headers: Headers) -> dict[str, bytes]:
    """By algorithm what the body has to hash to; nothing where that can't be read, or no algorithm of it is checked here."""
    read = dictionary(lines_of(headers, FIELD)) or {}
    return {name: value for name, value in read.items() if name in ALGORITHMS and isinstance(value, bytes)}


def is_body_of(digests: Mapping[str, bytes], body: bytes) -> bool:
    """Whether a body hashes to all of these."""
    return all(ALGORITHMS[name](body) == value for name, value in digests.items())
