"""Calls to upstreams: one with its retries, in its place among those that its API allows."""

import random
from collections.abc import AsyncIterator
from time import monotonic

from apps import httpcache
from apps.gateway.call.call import Call
from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.limits.client_limits import client_key
from apps.gateway.records.metrics import Metrics
from apps.gateway.upstream.client import REPEATABLE, UpstreamClient, UpstreamResponse, origin_of
from apps.gateway.upstream.concurrency import WARM_UPS, ConcurrencyLimits, Slot
from apps.gateway.upstream.errors import Broken, DestinationRefused, TimedOut, UpstreamError
from apps.gateway.upstream.failure_log import FailureLog
from apps.gateway.upstream.headers import host_field, ordered, upstream_fields, upstream_target
from apps.gateway.upstream.loop_detection import LoopDetection
from apps.wire.failure_causes import FailureCause


class _ResponseInSlot:
    """An upstream's response whose end gives its call's place back. Between two parts its reader is waited for."""

    __slots__ = ("_calls", "_given_up", "_place", "_response", "_since", "_waited", "_x", "fields", "status")

    def __init__(self, response: UpstreamResponse, place: Slot, calls: "UpstreamCalls", x: Call) -> None:
        self._response, self._place, self._calls, self._x = response, place, calls, x
        self._given_up, self._waited, self._since = False, 0.0, monotonic()
        self.status, self.fields = response.status, response.fields
        place.held_by = self

    @property
    def whole(self) -> bytes | None:
        return self._response.whole

    async def read(self) -> bytes:
        if self._given_up:
            raise Broken(FailureCause.CLIENT_TOO_SLOW, sent=True)
        self._waited, self._since = self.seconds_waited(), 0.0
        try:
            part = await self._response.read()
        except UpstreamError as error:
            self._calls.failed(self._x, error)
            raise
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


class UpstreamCalls:
    """Makes a worker's calls to upstreams."""

    def __init__(
        self,
        client: UpstreamClient,
        concurrency: ConcurrencyLimits,
        loop_detection: LoopDetection,
        config: WorkerConfig,
        metrics: Metrics,
        log: FailureLog,
    ) -> None:
        self._client, self._concurrency, self._loop_detection = client, concurrency, loop_detection
        self._config, self._metrics, self._log = config, metrics, log

    async def ask(self, x: Call, conditional: httpcache.Headers = (), *, waits: bool = True) -> UpstreamResponse:
        """One call to the API's upstreams, with its retries; ``conditional`` are conditions on what is stored; ``waits``:
        where as many calls as the API allows are under way, in the queue for a place.

        The place is held until the response is closed. Raises ``UpstreamError``, or what reading the caller's body raises.
        """
        place = await self._concurrency.enter(x.api.slug, x.api.concurrency, consumer_of(x), waits=waits)
        if place.waited:
            x.flags = (*x.flags, "queued")
        place.held_by = x.body
        try:
            return _ResponseInSlot(await self._ask(x, conditional), place, self, x)
        except BaseException:
            place.leave()
            raise

    async def _ask(self, x: Call, conditional: httpcache.Headers) -> UpstreamResponse:
        """The call itself.

        What surely wasn't sent is sent elsewhere, whatever it is (RFC 9110 §9.2.2). What may have been is sent again where its
        method is idempotent and it has no body, or one that is whole here (QUERY), before any byte of a response, and not
        for an upstream that was too slow: the client has waited for it once.
        """
        plan, api = x.cache_plan, x.api
        fields = self._loop_detection.marked(x, upstream_fields(x, conditional))
        x.upstream_began = monotonic()
        repeatable = x.method in REPEATABLE and _is_whole(x)
        upstreams = ordered(api.upstreams, random.random())  # noqa: S311  a share of traffic, not a secret
        tries, sent_before = 1 + api.retries, False
        try:
            for attempt in range(tries):
                upstream = upstreams[attempt % len(upstreams)]
                origin = origin_of(upstream.url, upstream.ca)
                x.attempts += 1
                x.upstream = origin.name
                _note(x, "forward", f"attempt {x.attempts}")
                try:
                    response = await self._client.send(
                        origin,
                        self._config.egress(api.tenant),
                        api.tenant,
                        x.method,
                        upstream_target(api, origin.base, origin.path, plan.request.path, plan.query),
                        fields,
                        _body_to_send(x),
                        api.connect_timeout,
                        api.read_timeout,
                        x.interim,
                        host_field(x) if api.host_header else b"",
                    )
                except UpstreamError as error:
                    error.sent_before |= sent_before
                    sent_before = error.sent or error.sent_before
                    self.failed(x, error)
                    again = not error.sent or (repeatable and not isinstance(error, TimedOut))
                    if attempt + 1 == tries or not again:
                        raise
                else:
                    self._metrics.upstream_answered(origin.name)
                    x.upstream_status = response.status
                    _note(x, "upstream", str(response.status))
                    return response
            raise AssertionError("unreachable")
        finally:
            x.upstream_duration = (monotonic() - x.upstream_began) * 1000

    def failed(self, x: Call, error: UpstreamError) -> None:
        """Note why this attempt failed, wherever someone may look: in the call's record and trace, metrics and log."""
        x.cause = error.cause.code
        if isinstance(error, DestinationRefused):
            _note(x, "egress", error.reason)
        else:
            _note(x, "upstream", x.cause)
        self._metrics.upstream_failed(x.api.slug, x.upstream, error.kind, x.cause)
        self._log.failed(monotonic(), x.api.slug, x.upstream, error)


def _note(x: Call, stage: str, decision: str) -> None:
    x.trace += ((stage, decision, (monotonic() - x.began) * 1000),)


def consumer_of(x: Call) -> str:
    """In whose name a call waits for a place: the platform's own for warm-ups, its application, or one client (an IPv6 network
    of 64 bits is one, so that no client takes turns with itself).
    """
    if x.warms:
        return WARM_UPS
    return x.credential.application if x.credential is not None else f"client {client_key(x.client)}"


def _body_to_send(x: Call) -> AsyncIterator[bytes] | None:
    """The call's body for the upstream: again and again where it is whole here, else once."""
    if x.body is None:
        return None
    return aiter(x.body) if x.read_ahead is None else aiter(x.read_ahead)


def _is_whole(x: Call) -> bool:
    """Whether the call has no body, or all of it is here, so that it can be sent again."""
    return x.body is None or (x.read_ahead is not None and x.read_ahead.whole is not None)
