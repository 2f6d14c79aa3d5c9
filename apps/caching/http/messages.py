"""Requests and response heads as the core sees them: names in lower case, repeated fields kept, bytes throughout."""

from dataclasses import dataclass

Headers = tuple[tuple[bytes, bytes], ...]
"""Fields in their order, names in lower case, one pair per line as received."""


@dataclass(slots=True)
class Request:
    """One call, as it would be forwarded: the credential that the gateway itself checked is already taken out of
    ``headers``.

    ``path`` comes from ``normalise.target`` and is relative to the API's listen path (always with a leading slash);
    ``query`` is what stands behind the first ``?``, or ``None`` without one. ``host`` is lower-case, as the caller
    addressed us. ``has_body`` is true when the call has ``Content-Length`` (other than 0) or ``Transfer-Encoding``.
    """

    method: str
    scheme: str
    host: bytes
    path: bytes
    query: bytes | None
    headers: Headers
    has_body: bool = False


@dataclass(slots=True)
class ResponseHead:
    """The head of an upstream's final answer."""

    status: int
    headers: Headers
