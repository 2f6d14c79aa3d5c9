"""Asking the upstream: one call with its retries, and calls that go past the cache."""

import random
from collections.abc import AsyncIterator
from time import monotonic
from typing import TYPE_CHECKING

from apps.caching import http
from apps.caching.http.held import BODILESS
from apps.gateway.answers import Answer, AnyAnswer, Streamed, refuse
from apps.gateway.client_bounds import client_key
from apps.gateway.exchange import Exchange
from apps.gateway.forwarding import answer_fields, ordered, upstream_fields, upstream_target
from apps.gateway.problems import Problem
from apps.gateway.records import QUERY
from apps.gateway.request_body import BodyRefused
from apps.gateway.upstream.client import REPEATABLE, UpstreamResponse, origin_of
from apps.gateway.upstream.concurrency import WARM_UPS, Place
from apps.gateway.upstream.errors import Broken, Busy, Refused, TimedOut, Unreachable, UpstreamError

if TYPE_CHECKING:
    from apps.gateway.gateway import Gateway


RETRY_AFTER = 1
"""Seconds after which a call for which there was no place may be made again."""


async def forward(gateway: "Gateway", x: Exchange) -> AnyAnswer:
    """Get the answer from the upstream, by way of the cache's fetches where the answer may be stored or shared."""
    if x.cache_plan.bypass is None:
        if x.query is not None:
            x.flags += (QUERY,)
        return await gateway.fetches.answer(x)
    return await pass_by(gateway, x)


async def pass_by(gateway: "Gateway", x: Exchange) -> AnyAnswer:
    """Forward a call that the cache has no part in. A call that may have written something ends what it made wrong
    before its answer leaves.
    """
    plan, api = x.cache_plan, x.api
    unsafe = plan.writes
    try:
        response = await ask(gateway, x)
    except UpstreamError as error:
        if unsafe and error.sent:
            await gateway.invalidate(api, plan.request, None)
        return failed(gateway, x, error)
    except BodyRefused as error:
        if unsafe:
            await gateway.invalidate(api, plan.request, None)
        return refuse(x, error.problem)
    try:
        if unsafe:
            head = http.ResponseHead(response.status, tuple(response.fields))
            await gateway.invalidate(api, plan.request, head)
        x.cache_status = http.cache_status(
            forwarded=plan.bypass,
            upstream_status=response.status,
            detail=plan.bypass if x.shows_detail else None,
        )
        return passed_on(x, response)
    except BaseException:
        response.close()
        raise


class _InItsPlace:
    """An upstream's response whose end gives its call's place back. Between two parts its reader is waited for."""

    __slots__ = ("_given_up", "_place", "_response", "_since", "_waited", "fields", "status")

    def __init__(self, response: UpstreamResponse, place: Place) -> None:
        self._response, self._place = response, place
        self._given_up, self._waited, self._since = False, 0.0, monotonic()
        self.status, self.fields = response.status, response.fields
        place.held_by = self

    @property
    def whole(self) -> bytes | None:
        return self._response.whole

    async def read(self) -> bytes:
        if self._given_up:
            raise Broken("its place went to another", sent=True)
        self._waited, self._since = self.seconds_waited(), 0.0
        part = await self._response.read()
        self._since = monotonic()
        return part

    def close(self) -> None:
        self._response.close()
        self._place.leave()

    def seconds_waited(self) -> float:
        return self._waited + (monotonic() - self._since if self._since else 0.0)

    def give_up(self) -> None:
        self._given_up = True
        self.close()


async def ask(
    gateway: "Gateway", x: Exchange, conditional: http.Headers = (), *, waits: bool = True
) -> UpstreamResponse:
    """One call to the API's upstreams, with its retries; ``conditional`` are conditions on what is stored; ``waits``:
    where as many calls as the API allows are under way, in the queue for a place.

    The place is held until the response is closed. Raises ``UpstreamError``, or what reading the caller's body raises.
    """
    place = await gateway.concurrency.enter(x.api.slug, x.api.concurrency, consumer_of(x), waits=waits)
    if place.waited:
        x.flags = (*x.flags, "queued")
    place.held_by = x.body
    try:
        return _InItsPlace(await _ask(gateway, x, conditional), place)
    except BaseException:
        place.leave()
        raise


def consumer_of(x: Exchange) -> str:
    """In whose name a call waits for a place: the platform's own for warm-ups, its application, or one client (an IPv6 network
    of 64 bits is one, so that nobody takes turns with themselves).
    """
    if x.warms:
        return WARM_UPS
    return x.credential.application if x.credential is not None else f"client {client_key(x.client)}"


async def _ask(gateway: "Gateway", x: Exchange, conditional: http.Headers) -> UpstreamResponse:
    """The call itself.

    Retries are for idempotent methods without a body, or with one that is whole here (QUERY), before any byte of an
    answer, and not for an upstream that was too slow: the caller has waited for it once.
    """
    plan, api = x.cache_plan, x.api
    fields = gateway.loops.marked(x, upstream_fields(x, conditional))
    x.upstream_began = monotonic()
    repeatable = x.method in REPEATABLE and _is_whole(x)
    upstreams = ordered(api.upstreams, random.random())  # noqa: S311  a share of traffic, not a secret
    tries = 1 + (api.retries if repeatable else 0)
    try:
        for attempt in range(tries):
            origin = origin_of(upstreams[attempt % len(upstreams)].url)
            x.attempts += 1
            x.upstream = origin.name
            try:
                response = await gateway.client.send(
                    origin,
                    gateway.world.egress.of(api.tenant),
                    api.tenant,
                    x.method,
                    upstream_target(api, origin.base, plan.request.path, plan.query),
                    fields,
                    _body_to_send(x),
                    api.connect_timeout,
                    api.read_timeout,
                    x.interim,
                )
            except UpstreamError as error:
                gateway.metrics.upstream_failed(api.slug, origin.name, error)
                if isinstance(error, Refused):
                    x.trace += (("egress", error.reason, (monotonic() - x.began) * 1000),)
                if attempt + 1 == tries or (isinstance(error, TimedOut) and error.sent):
                    raise
            else:
                gateway.metrics.upstream_answered(origin.name)
                x.upstream_status = response.status
                return response
        raise AssertionError("unreachable")
    finally:
        x.upstream_duration = (monotonic() - x.upstream_began) * 1000


def _body_to_send(x: Exchange) -> AsyncIterator[bytes] | None:
    """The call's body for the upstream: again and again where it is whole here, else once."""
    if x.body is None:
        return None
    return aiter(x.body) if x.read_ahead is None else aiter(x.read_ahead)


def _is_whole(x: Exchange) -> bool:
    """Whether the call has no body, or all of it is here, so that it can be sent again."""
    return x.body is None or (x.read_ahead is not None and x.read_ahead.whole is not None)


def failed(gateway: "Gateway", x: Exchange, error: UpstreamError) -> Answer:
    """The upstream's failure as the caller's answer."""
    if x.allowance is not None and x.plan is not None and not x.plan.charge_failures:
        x.allowance.refund()
    cache_status = http.cache_status(forwarded=http.Reason.UPSTREAM_FAILED)
    if isinstance(error, TimedOut):
        answer = refuse(x, Problem.UPSTREAM_TIMEOUT)
    elif isinstance(error, Refused):
        answer = refuse(x, Problem.UPSTREAM_REFUSED)
    elif isinstance(error, Busy):
        answer = refuse(x, Problem.UPSTREAM_BUSY, extra=((b"retry-after", b"%d" % RETRY_AFTER),))
    elif isinstance(error, Unreachable):
        answer = refuse(x, Problem.UPSTREAM_UNREACHABLE)
    else:
        answer = refuse(x, Problem.UPSTREAM_INVALID)
    x.cache_status = cache_status
    return answer


def passed_on(x: Exchange, response: UpstreamResponse) -> AnyAnswer:
    """An upstream's answer as it is, whole if all of it came with the head, else streamed."""
    fields = answer_fields(x, x.api, response.status, response.fields)
    if x.allowance is not None and response.status >= 500 and x.plan is not None and not x.plan.charge_failures:
        x.allowance.refund()
    whole = response.whole
    if whole is None:
        return Streamed(response.status, fields, response.read, response.close)
    response.close()
    return Answer(response.status, with_length(x.method, response.status, fields, whole), whole)


def with_length(method: str, status: int, fields: http.Headers, body: bytes) -> http.Headers:
    """Fields with the ``content-length`` of a whole body, where there is one to tell."""
    if method == "HEAD" or status in BODILESS or any(name == b"content-length" for name, _ in fields):
        return fields
    return (*fields, (b"content-length", b"%d" % len(body)))
