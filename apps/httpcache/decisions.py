"""The decisions that the core gives to its caller: small values, each with the reason."""

from dataclasses import dataclass
from enum import Enum
from typing import final

from apps.httpcache.entry import CacheEntry
from apps.httpcache.messages import Headers
from apps.httpcache.reasons import Reason
from apps.httpcache.stored_response import StoredResponse


class UpstreamFailure(Enum):
    """How an upstream failed without a response."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    BROKEN = "broken"
    """The connection was reset, or the response ended early."""


@final
@dataclass(slots=True)
class Serve:
    """Answer from ``stored``. With ``refresh``, ask the upstream once in the background (``conditional`` are its
    conditions).
    """

    stored: StoredResponse
    reason: Reason
    stale: bool = False
    refresh: bool = False
    conditional: Headers = ()


@final
@dataclass(slots=True)
class Revalidate:
    """Ask the upstream whether ``stored`` is still right. ``conditional`` may be empty: then a whole response is fetched."""

    stored: StoredResponse
    conditional: Headers
    reason: Reason


@final
@dataclass(slots=True)
class Fetch:
    """Ask the upstream for a whole response; nothing stored helps. ``conditional`` names what is stored for other requests
    to the same URL: the upstream may say that one of these is its response (``Reuse``).
    """

    reason: Reason
    conditional: Headers = ()


@final
@dataclass(slots=True)
class GatewayTimeout:
    """Answer 504: the caller wanted only what is stored (RFC 9111 §5.2.1.7)."""

    reason: Reason


@final
@dataclass(slots=True)
class Store:
    """Forward the response and store it: ``entry`` is complete but for ``body`` (and for what the gateway does to
    ``headers``).

    ``length`` is the ``Content-Length`` that the body must have, or ``None``.
    """

    entry: CacheEntry
    reason: Reason
    length: int | None


@final
@dataclass(slots=True)
class NoStore:
    """Forward the response and don't store it.

    ``hit_for_miss_seconds``: seconds during which calls with this fetch key shall not wait for each other (hit-for-miss).
    ``ends`` says that what is stored under the key is wrong from now on and must be dropped.
    """

    reason: Reason
    hit_for_miss_seconds: float = 0.0
    ends: bool = False


@final
@dataclass(slots=True)
class Refreshed:
    """A 304 (or a HEAD) confirmed the stored response: store ``entry``, which has the old body and new fields, and
    answer from it.
    """

    entry: CacheEntry
    reason: Reason


@final
@dataclass(slots=True)
class Reuse:
    """The 304 named the variant under ``key`` (RFC 9111 §4.3.4): load it and ask ``on_reuse``."""

    key: bytes
    reason: Reason


@final
@dataclass(slots=True)
class Refetch:
    """The 304 confirmed something else (RFC 9111 §4.3.4): drop what is stored and ask again without a condition."""

    reason: Reason


@final
@dataclass(slots=True)
class Failed:
    """No stored response may stand in: pass the failure on (502, 504, or the upstream's own 5xx)."""

    reason: Reason
