"""What a fetch comes to: for one caller, for all who wait, from the store, or nothing."""

from dataclasses import dataclass
from time import time

from apps import httpcache
from apps.gateway.fetch.body_fanout import BodyFanout
from apps.gateway.upstream.client import UpstreamResponse
from apps.gateway.upstream.errors import TimedOut, Unreachable, UpstreamError


@dataclass(slots=True)
class Own:
    """The response is for the one caller on whose behalf it was asked for."""

    response: UpstreamResponse
    reason: httpcache.Reason
    taken: bool = False


@dataclass(slots=True)
class Shared:
    """The response is being stored: ``fields`` are the upstream's; parts come through ``body``. ``stored`` is set once
    it is whole.
    """

    store: httpcache.Store
    status: int
    fields: httpcache.Headers
    body: BodyFanout
    stored: httpcache.StoredResponse | None = None


@dataclass(slots=True)
class FromStore:
    """Answer from ``stored``: it was confirmed, or it stands in for an upstream that failed. ``elsewhere``: another
    worker asked the upstream, and this one waited for it.
    """

    stored: httpcache.StoredResponse
    reason: httpcache.Reason
    confirmed: bool
    elsewhere: bool = False


@dataclass(slots=True)
class FetchFailure:
    """No response."""

    error: UpstreamError


@dataclass(slots=True, frozen=True)
class EachAlone:
    """Another worker learned that the response is for one caller each: none waits, all ask at once."""


FetchOutcome = Own | Shared | FromStore | FetchFailure | EachAlone


@dataclass(slots=True)
class JudgedResponse:
    """The head of an upstream's response, and what the caching core says of it."""

    response: UpstreamResponse
    head: httpcache.ResponseHead
    judged: httpcache.Store | httpcache.NoStore | httpcache.Refreshed | httpcache.Serve
    stored: httpcache.StoredResponse | None


def stored_of(decision: httpcache.Fetch | httpcache.Revalidate) -> httpcache.StoredResponse | None:
    """What is stored, where the question is whether it is still right."""
    return decision.stored if isinstance(decision, httpcache.Revalidate) else None


def on_error(
    plan: httpcache.RequestPlan, stored: httpcache.StoredResponse | None, error: UpstreamError
) -> FromStore | FetchFailure:
    """The outcome where there is no response: ``stored``, if it may stand in."""
    failure = (
        httpcache.UpstreamFailure.TIMEOUT
        if isinstance(error, TimedOut)
        else httpcache.UpstreamFailure.UNREACHABLE
        if isinstance(error, Unreachable)
        else httpcache.UpstreamFailure.BROKEN
    )
    judged = httpcache.on_error(plan, stored, failure, time())
    return (
        FromStore(judged.stored, judged.reason, False) if isinstance(judged, httpcache.Serve) else FetchFailure(error)
    )
