"""What a fetch comes to: for one caller, for all who wait, from the store, or nothing."""

from dataclasses import dataclass
from time import time

from apps.caching import http
from apps.gateway.broadcast import Broadcast
from apps.gateway.upstream.client import UpstreamResponse
from apps.gateway.upstream.errors import TimedOut, Unreachable, UpstreamError


@dataclass(slots=True)
class Own:
    """The answer is for the one caller on whose behalf it was asked for."""

    response: UpstreamResponse
    reason: http.Reason
    taken: bool = False


@dataclass(slots=True)
class Shared:
    """The answer is being stored: ``fields`` are the upstream's; parts come through ``body``. ``held`` is set once
    it is whole.
    """

    store: http.Store
    status: int
    fields: http.Headers
    body: Broadcast
    held: http.Held | None = None


@dataclass(slots=True)
class FromStore:
    """Answer from ``held``: it was confirmed, or it stands in for an upstream that failed. ``elsewhere``: another
    worker asked the upstream, and this one waited for it.
    """

    held: http.Held
    reason: http.Reason
    confirmed: bool
    elsewhere: bool = False


@dataclass(slots=True)
class Failure:
    """No answer."""

    error: UpstreamError


@dataclass(slots=True, frozen=True)
class EachAlone:
    """Another worker learned that the answer is for one caller each: nobody waits, all ask at once."""


Outcome = Own | Shared | FromStore | Failure | EachAlone


@dataclass(slots=True)
class Heard:
    """The head of an upstream's answer, and what the caching core says of it."""

    response: UpstreamResponse
    head: http.ResponseHead
    judged: http.Store | http.NoStore | http.Refreshed | http.Serve
    held: http.Held | None


def held_of(decision: http.Fetch | http.Revalidate) -> http.Held | None:
    """What is stored, where the question is whether it is still right."""
    return decision.held if isinstance(decision, http.Revalidate) else None


def on_error(plan: http.RequestPlan, held: http.Held | None, error: UpstreamError) -> FromStore | Failure:
    """The outcome where there is no answer: ``held``, if it may stand in."""
    failure = (
        http.Failure.TIMEOUT
        if isinstance(error, TimedOut)
        else http.Failure.UNREACHABLE
        if isinstance(error, Unreachable)
        else http.Failure.BROKEN
    )
    judged = http.on_error(plan, held, failure, time())
    return FromStore(judged.held, judged.reason, False) if isinstance(judged, http.Serve) else Failure(error)
