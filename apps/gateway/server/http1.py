"""The server of the gateway: uvicorn's HTTP/1.1 protocol, which answers at once what the pipeline's first half can answer.

As soon as a head is parsed, ``Pipeline.begin`` is asked. A response that is here is written to the transport;
everything else takes uvicorn's ordinary way to the ASGI application, with the call as far as it got. The protocol owns what it
bypasses: the order of pipelined calls, the deadline of a head, idle connections, output that the client doesn't read, the last
calls of a stopping worker.
"""

import logging
from collections import deque
from functools import partial
from http import HTTPMethod
from time import monotonic, time
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from apps.gateway.call.call import Call
from apps.gateway.call.head_limits import FIELDS, HEAD_BYTES, TARGET_BYTES, field
from apps.gateway.call.problems import Problem
from apps.gateway.call.request_body import ClientLeft
from apps.gateway.call.responses import WholeResponse, own_lines, refuse
from apps.gateway.gateway import Gateway
from apps.gateway.limits.client_limits import GRACE, SPARE, MinimumRate
from apps.gateway.pipeline.stages import Need
from apps.gateway.server.asgi import PASSED_CALL, PassedCall
from apps.gateway.upstream.headers import interim_fields
from apps.httpcache.stored_response import render

log = logging.getLogger(__name__)

HEAD_WAIT = 10.0
"""Seconds from the first byte of a head to its last."""

IDLE_WAIT = 75.0
"""Seconds that a connection may be silent; nginx has the same."""

LINGER = 2.0
"""Seconds during which a refused caller may still send: closing at once would take the response from it."""

LAST_CALL = 1.0
"""Seconds that an idle connection of a stopping worker gets for one more call."""

PIPELINED = 64
"""Calls that may wait for the responses of those before them; behind them the connection ends (RFC 9112 §9.3.2). A segment can
hold thousands, and each takes some kilobytes.
"""

SMALL = 16 * 1024
"""Bytes of a body up to which it is written together with its head."""

_METHODS = {method.value.encode(): method.value for method in HTTPMethod}


class HTTP1Connection(HttpToolsProtocol):
    """One connection."""

    gateway: Gateway

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gateway = self.app.gateway
        self.url = b""
        self.headers = []
        self._address = ""
        self._answered = False  # the call whose message is being parsed has its response
        self._between = True  # the parser stands between two messages and has read nothing of the next
        self._messages = 0  # that began in the segment being parsed
        self._admitted: Call | None = None  # the call of the message that began last, if its head may be remembered
        self._begun: tuple[Call, Need | None] | None = None  # the call of the very head that is being parsed
        self._remembers = False
        self._proposes_upgrade = False
        self._body_came = False
        self._framing_bytes = 0  # since the last part of a body
        self._deaf = False  # nothing more is read
        self._in_head = False
        self._head_since = 0.0
        self._head_bytes = 0
        self._headers_done = False
        self._active = monotonic()
        self._last_call = False
        self._linger_until = 0.0
        self._counted = False
        self._dropped = False
        self._unread = 0  # bytes of output that wait for the caller to read, when it was last looked at
        self._swept = 0.0
        self._pace = MinimumRate(self.gateway.options.client_min_rate)
        # Calls that took the ordinary way, in order: the first is being answered.
        self._under_way: deque[tuple[Call, RequestResponseCycle]] = deque()

    # The connection

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._remembers = not self.gateway.trusts(self._address)
        if self._remembers and self._address:
            self._counted = True
            above = self.gateway.connections.take(self._address)
            if above:
                self._refuse_connection(above)
                return
        if self.gateway.stopping:
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._counted:
            self._counted = False
            self.gateway.connections.give(self._address)
        self._unset_keepalive_if_required()
        for x, _ in self._under_way:
            if x.answering is not None and not x.ended:
                x.gone = True
                x.answering.cancel()
        self._under_way.clear()

    def shutdown(self) -> None:
        """The worker stops: calls under way are the last ones, and an idle connection gets a moment for one."""
        self._last_call = True
        if self._idle:
            self.loop.call_later(LAST_CALL, self._close_if_idle)
            return
        self.cycle.keep_alive = False
        for cycle, _ in self.pipeline:
            cycle.keep_alive = False

    @property
    def _idle(self) -> bool:
        return (self.cycle is None or self.cycle.response_complete) and not self.pipeline

    def _close_if_idle(self) -> None:
        if self._idle and not self._in_head and not self.transport.is_closing():
            self.transport.close()

    @property
    def unread(self) -> int:
        """Bytes that wait for the client: what was written and isn't read, by a connection that closes too, and what is held for
        the call that is being answered.
        """
        if self._dropped:
            return 0
        return self.transport.get_write_buffer_size() + (self._under_way[0][0].held_bytes() if self._under_way else 0)

    def drop(self) -> None:
        """End the connection at once; what waits for its client is lost."""
        self._dropped = True
        self.transport.abort()

    def sweep(self, now: float) -> None:
        """Once a second: enforce the deadlines. ``now`` is monotonic."""
        if self._linger_until:
            if now > self._linger_until:
                self.transport.abort()
        elif self._reads_too_slowly(now):
            self.transport.abort()
        elif self._unread or self.transport.is_closing():
            return
        elif self._in_head and now - self._head_since > HEAD_WAIT:
            self._end_with(Problem.REQUEST_TIMEOUT)
        elif self._idle and not self._in_head and now - self._active > IDLE_WAIT:
            self.transport.close()

    def _reads_too_slowly(self, now: float) -> bool:
        """Whether the caller leaves output lying: of a call under way, and after the last one, when a closing transport would
        wait for it without end. How much was read since the last look isn't known when there is more now: then nothing counts.
        """
        waiting = self.transport.get_write_buffer_size()
        if not waiting:
            self._pace.left = GRACE
        elif self._unread and waiting <= self._unread:
            self._pace.waited(now - self._swept, self._unread - waiting)
        self._unread, self._swept = waiting, now
        return self._pace.left <= 0

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread = 0
        self._pace.left = GRACE

    def _refuse_connection(self, above: int) -> None:
        """The client holds ``above`` connections more than it may."""
        self._deaf = True
        if above > SPARE:
            self.transport.abort()
            return
        x = self._nothing()
        x.silent = True
        self._write_last(x, refuse(x, Problem.TOO_MANY_CONNECTIONS, None, ((b"retry-after", b"1"),)))

    # Parsing

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        # Bytes are the name of a message only where the parser has read nothing of it yet.
        between = self._between
        alone = between and self._remembers
        if alone:
            head_memo = self.gateway.pipeline.heads.get(data)
            if head_memo is not None and self._idle and not self.flow.write_paused and not self.transport.is_closing():
                x = self.gateway.pipeline.again(head_memo, self._address)
                if x is not None and self._begin_again(x):
                    return
        self._messages = 0
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.send_400_response("")
            return
        finally:
            self._begun = None
        if self._in_head:
            if (
                between or not self._messages
            ):  # else it began behind something else, and is counted from the next segment on
                self._head_bytes += len(data)
            if len(self.url) > TARGET_BYTES:
                self._end_with(Problem.TARGET_TOO_LONG)
            elif self._head_bytes > HEAD_BYTES:
                self._end_with(Problem.HEADER_TOO_LARGE)
        elif self._between:
            if alone and self._admitted is not None and self._messages == 1 and _is_one_head(data):
                self.gateway.pipeline.remember(data, self._admitted)
        elif self._body_came:
            self._body_came = False
            self._framing_bytes = 0
        else:
            self._framing_bytes += len(data)
            if self._framing_bytes > HEAD_BYTES:  # a trailer that the parser keeps, or an extension of a chunk
                self._end_with(Problem.HEADER_TOO_LARGE)

    def _parse(self, data: bytes) -> None:
        """Parse what came. Raises ``HttpParserError`` for what is no HTTP/1.1.

        A proposal to upgrade (RFC 9110 §7.8) makes llhttp take the message for ended with its head, and httptools gives
        no way to say that nothing here upgrades. So such a head is parsed again without its proposal, and what came
        behind it is parsed as what it is.
        """
        rest: bytes | memoryview = data
        while True:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                if self._deaf:
                    return
                rest = memoryview(rest)[upgrade.args[0] :]
                self._parse_without_upgrade()
            else:
                return

    def _parse_without_upgrade(self) -> None:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        lines.append(b"\r\n")
        self._proposes_upgrade = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"".join(lines))

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._headers_done = False
        self._between = False
        self._messages += 1
        self._admitted = None
        self._in_head = True
        self._head_since = monotonic()
        self._head_bytes = 0
        self._framing_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._headers_done:
            return  # a trailer must not change what was decided on the head
        if len(self.headers) > FIELDS:
            return  # a field takes many times its bytes, and this head is refused, whatever comes
        name, value = field(name, value)
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._headers_done = True
        self._in_head = False
        if self.transport.is_closing() or self._deaf:
            self._deaf = self._answered = True
            return
        if len(self.headers) > FIELDS:
            # Those behind weren't read, and one of them may say where the message ends.
            self._answered = True
            self._end_with(Problem.HEADER_TOO_LARGE)
            return
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                # What follows would be the tunnel's (RFC 9110 §9.3.6): no call is behind it.
                self._answered = True
                self._end_with(Problem.INVALID_REQUEST)
            else:
                self._proposes_upgrade = True
            return
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._answered = True
            self.send_400_response("")
            return
        if version == "1.0":
            self.expect_100_continue = False  # which knows no interim responses (RFC 9110 §10.1.1)
        if len(self.pipeline) >= PIPELINED:
            self._answered = True
            self._end_with(Problem.INVALID_REQUEST)
            return
        if self._begun is not None:
            (x, need), self._begun = self._begun, None
            self._fall_back(x, need, fresh=False)
            return
        x = self._new_call()
        if not self._idle or self.flow.write_paused:
            self._fall_back(x, None, fresh=True)
            return
        if self._has_more(x.headers):
            # The length of a refused body isn't known: it is not read.
            refused = self.gateway.pipeline.without_route(x)
            if refused is not None:
                self._write_last(x, refused)
            else:
                self._fall_back(x, None, fresh=True)
            return
        try:
            outcome = self.gateway.pipeline.begin(x)
        except Exception:
            log.exception("call %s failed", x.call_id)
            outcome = refuse(x, Problem.INTERNAL_ERROR)
        stays = self.parser.should_keep_alive() and x.version == "1.1"
        if stays:
            self._admitted = x
        if outcome is None or isinstance(outcome, Need):
            self._fall_back(x, outcome, fresh=False)
        else:
            self._answered = True
            self._write(x, outcome, stays)

    def on_body(self, body: bytes) -> None:
        self._body_came = True
        if not self._answered:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._proposes_upgrade:
            return  # only its head was read
        self._between = self.parser.should_keep_alive()
        if self._answered:
            self._answered = False
        else:
            super().on_message_complete()

    def _has_more(self, headers: tuple[tuple[bytes, bytes], ...]) -> bool:
        """Whether the head announces a body or an expectation: those calls take the ordinary way."""
        return any(name in _MORE for name, _ in headers)

    def _begin_again(self, x: Call) -> bool:
        """Answer a call whose very head is known, without parsing it again. False: it takes the ordinary way from
        here.
        """
        try:
            outcome = self.gateway.pipeline.go_on(x)
        except Exception:
            log.exception("call %s failed", x.call_id)
            outcome = refuse(x, Problem.INTERNAL_ERROR)
        if outcome is None or isinstance(outcome, Need):
            self._begun = x, outcome
            return False
        self._write(x, outcome, True)
        return True

    def _new_call(self) -> Call:
        method = self.parser.get_method()
        return Call(
            _METHODS.get(method) or method.decode("latin-1").upper(),
            self.url,
            tuple(self.headers),
            call_id=self.gateway.spool.next_call_id(),
            began=monotonic(),
            at=time(),
            version=self.parser.get_http_version(),
            scheme=self.scheme or "http",
            client=self._address,
        )

    def _fall_back(self, x: Call, outcome: Need | None, *, fresh: bool) -> None:
        """Go uvicorn's way. ``fresh``: the pipeline has not been asked yet."""
        # ASGI wants a path that can be split; the application refuses what can't be by the call's own target.
        path = x.target.partition(b"?")[0]
        if not path.startswith(b"/"):
            self.url = b"/"
        self.scope = {  # type: ignore[typeddict-item]
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "root_path": self.root_path,
            "headers": self.headers,
            "state": {PASSED_CALL: PassedCall(x, outcome, fresh, self._respond)},
        }
        super().on_headers_complete()
        self._under_way.append((x, self.cycle))
        if x.version == "1.1":
            x.interim = partial(self._interim, x, self.cycle)
        if self._last_call:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        self._active = monotonic()
        if self._under_way:
            self._under_way.popleft()
        super().on_response_complete()
        if self._last_call and self._idle and not self.transport.is_closing():
            self.transport.close()

    # Answering

    def _interim(self, x: Call, cycle: RequestResponseCycle, status: int, fields: list[tuple[bytes, bytes]]) -> None:
        """Write an interim response (RFC 9110 §15.2), unless the call has its response already or an earlier one hasn't."""
        if cycle.disconnected or cycle.response_started or self.transport.is_closing() or x.ended:
            return
        if self._under_way and self._under_way[0][1] is cycle and not self.flow.write_paused:
            self.transport.write(render(status, interim_fields(x.api, fields)) + b"\r\n")

    async def _respond(self, x: Call, response: WholeResponse) -> None:
        """Answer a call that took the ordinary way, past the server's rendering of heads."""
        if self.flow.write_paused:
            await self.flow.drain()
        cycle = self._under_way[0][1] if self._under_way else self.cycle
        if cycle.disconnected or self.transport.is_closing():
            raise ClientLeft
        cycle.response_started = cycle.response_complete = True
        x.status, x.sent = response.status, len(response.body)
        self._write(x, response, cycle.keep_alive)
        cycle.message_event.set()
        cycle.on_response()

    def _write(self, x: Call, response: WholeResponse, stays: bool) -> None:
        """``stays``: the caller keeps its connection."""
        body = response.body
        x.ended = True
        self.gateway.record(x, response.status, len(body))
        self._active = x.began
        if not stays or self._last_call or x.version != "1.1":
            self.transport.write(b"%b%bconnection: close\r\n\r\n" % (response.head, own_lines(x)))
            self.transport.write(body)
            self.transport.close()
        elif len(body) <= SMALL:
            self.transport.write(b"%b%b\r\n%b" % (response.head, own_lines(x), body))
        else:
            self.transport.write(b"%b%b\r\n" % (response.head, own_lines(x)))
            self.transport.write(body)

    def send_400_response(self, msg: str) -> None:
        """What was sent is no HTTP/1.1."""
        self._end_with(Problem.INVALID_REQUEST)

    def _end_with(self, problem: Problem) -> None:
        """Refuse what came last, and read nothing behind it."""
        if self._deaf:
            return
        self._deaf = True
        self._in_head = False
        if self._idle:
            self._turn_away(problem)
        elif not self.pipeline and self.cycle.more_body:
            # The body of the call under way: where it ends is unknown, so neither it nor anything behind it counts.
            self.transport.close()
        else:
            # An earlier call is being answered: its response is the connection's last.
            self.cycle.keep_alive = False
            self.transport.pause_reading()

    def _turn_away(self, problem: Problem) -> None:
        """Answer what can't be taken as a call."""
        x = self._nothing()
        x.path = self.url.partition(b"?")[0][:1024]
        self._write_last(x, refuse(x, problem))

    def _nothing(self) -> Call:
        """A call object for what is no call."""
        return Call(
            "",
            self.url,
            (),
            call_id=self.gateway.spool.next_call_id(),
            began=self._head_since or monotonic(),
            at=time(),
            client=self._address,
        )

    def _write_last(self, x: Call, response: WholeResponse) -> None:
        """Answer, and end the connection once the caller, who may still be sending, had time to read it."""
        x.ended = True
        self.gateway.record(x, response.status, len(response.body))
        self.transport.write(b"%b%bconnection: close\r\n\r\n%b" % (response.head, own_lines(x), response.body))
        self._linger_until = monotonic() + LINGER
        self._deaf = True
        self._answered = True
        self._in_head = False
        if self.transport.can_write_eof():
            self.transport.write_eof()


_MORE = frozenset({b"content-length", b"transfer-encoding", b"expect"})


def _is_one_head(segment: bytes) -> bool:
    """Whether a segment in which exactly one message began, and ended without a body, has no empty line around it."""
    return segment[0] > 32 and segment.find(b"\r\n\r\n") == len(segment) - 4
