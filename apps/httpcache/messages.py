"""Requests and response heads as the core sees them: names in lower case, repeated fields kept, bytes throughout."""

from dataclasses import dataclass

from apps.httpcache.reasons import Reason

Headers = tuple[tuple[bytes, bytes], ...]
"""Fields in their order, names in lower case, one pair per line as received."""


@dataclass(slots=True)
class Request:
    """One call, as it would be forwarded: the credential that the gateway itself checked is already taken out of
    ``headers``.

    ``path`` comes from ``normalise.target`` and is relative to the API's listen path (always with a leading slash);
    ``query`` is what stands behind the first ``?``, or ``None`` without one. ``host`` is lower-case, as the caller
    addressed us. ``has_body`` is true when the call has ``Content-Length`` (other than 0) or ``Transfer-Encoding``.

    ``body`` is the whole body, where it was read so that it can be part of the key; else ``None``. ``graphql`` is the
    one form of the GraphQL operation that the call carries, made by the gateway, or why the call can't
    be answered from the cache; ``None`` where it wasn't looked at.
    """

    method: str
    scheme: str
    host: bytes
    path: bytes
    query: bytes | None
    headers: Headers
    has_body: bool = False
    body: bytes | None = None
    graphql: bytes | Reason | None = None


@dataclass(slots=True)
class ResponseHead:
    """The head of an upstream's final response."""

    status: int
    headers: Headers
