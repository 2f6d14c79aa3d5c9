"""Why a call to an upstream failed: each cause is brought about, and found in the call's record, its trace, metrics and the log."""

import asyncio
import contextlib
import errno
import json
import logging
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from apps.gateway.upstream import failure_log
from apps.gateway.upstream.errors import Broken
from apps.gateway.upstream.failure_log import FailureLog
from apps.wire.failure_causes import FailureCause
from apps.wire.snapshot import Concurrency, Upstream
from tests.gateway.house import KEY, Answered, Door, Origin, Published, api, ok
from tests.support.certificates import DAY, Certificate, self_signed
from tests.support.ports import free_port
from tests.support.waiting import until

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Scene:
    """An API ``products`` whose upstream fails, and what a test needs to bring that about."""

    def __init__(self, lane: Door, published: Published, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.lane, self.published, self.folder, self.patch = lane, published, folder, patch
        self.ends = contextlib.AsyncExitStack()

    async def leads_to(self, url: str, ca: str = "", **changes: Any) -> None:
        before = self.lane.gateway.config.epoch
        fields = {"retries": 0, "connect_timeout": 0.3, "read_timeout": 0.3} | changes
        self.published.change(api("products", upstreams=(Upstream(url, ca=ca),), **fields))
        await until(lambda: self.lane.gateway.config.epoch > before)

    async def call(self, **request: Any) -> Answered:
        return await self.lane.call("/products/x", **request)

    async def serves(self, serve: Serve, certificate: Certificate | None = None) -> int:
        """The port of a server that does this with each connection."""

        async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await serve(reader, writer)
            writer.close()

        context = certificate.served_from(self.folder) if certificate else None
        server = await asyncio.start_server(served, "127.0.0.1", 0, ssl=context)
        self.ends.callback(server.close)
        return int(server.sockets[0].getsockname()[1])

    async def shows(self, certificate: Certificate, ca: str = "", host: str = "localhost") -> Answered:
        """A call to a server that shows this certificate."""
        port = await self.serves(greets, certificate)
        await self.leads_to(f"https://{host}:{port}", ca)
        return await self.call()

    async def sends(self, data: bytes, **request: Any) -> Answered:
        """A call to a server that answers with this and closes."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(data)
            await writer.drain()

        await self.leads_to(f"http://127.0.0.1:{await self.serves(serve)}")
        return await self.call(**request)

    def resolves(self, resolve: Callable[..., Any]) -> None:
        self.patch.setattr(socket, "getaddrinfo", resolve)


async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(ok(b"over TLS", "connection: close"))
    await writer.drain()


async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)


async def name_unknown(scene: Scene) -> Answered:
    await scene.leads_to(f"http://{'a' * 64}.test")  # a label of 64 characters: no name server has one
    return await scene.call()


async def name_failed(scene: Scene) -> Answered:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    await scene.leads_to("http://somewhere.test")
    scene.resolves(fail)
    return await scene.call()


async def name_timeout(scene: Scene) -> Answered:
    over = threading.Event()
    scene.ends.callback(over.set)
    await scene.leads_to("http://somewhere.test", connect_timeout=0.05)
    scene.resolves(lambda *_, **__: over.wait() and [])
    return await scene.call()


async def address_not_allowed(scene: Scene) -> Answered:
    await scene.leads_to("http://169.254.1.1")
    return await scene.call()


async def connection_refused(scene: Scene) -> Answered:
    await scene.leads_to(f"http://127.0.0.1:{free_port()}")
    return await scene.call()


async def connection_timeout(scene: Scene) -> Answered:
    full = scene.ends.enter_context(socket.socket())
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    for _ in range(3):  # what comes then is dropped, as by a packet filter
        taken = scene.ends.enter_context(socket.socket())
        taken.setblocking(False)
        taken.connect_ex(full.getsockname())
    await scene.leads_to(f"http://127.0.0.1:{full.getsockname()[1]}", connect_timeout=0.05)
    return await scene.call()


async def network_unreachable(scene: Scene) -> Answered:
    await scene.leads_to("http://127.255.255.255:9")  # a broadcast address: no way of TCP leads there
    return await scene.call()


async def connection_failed(scene: Scene) -> Answered:
    async def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    await scene.leads_to(f"http://127.0.0.1:{free_port()}")
    scene.patch.setattr(scene.lane.gateway.client, "_open", fail)
    return await scene.call()


async def certificate_untrusted(scene: Scene) -> Answered:
    return await scene.shows(self_signed("localhost"))


async def certificate_expired(scene: Scene) -> Answered:
    expired = self_signed("localhost", -2 * DAY, -DAY)
    return await scene.shows(expired, expired.pem)


async def certificate_not_yet_valid(scene: Scene) -> Answered:
    early = self_signed("localhost", DAY, 2 * DAY)
    return await scene.shows(early, early.pem)


async def certificate_name(scene: Scene) -> Answered:
    other = self_signed("elsewhere.test")
    return await scene.shows(other, other.pem)


async def certificate_of_a_name_for_an_address(scene: Scene) -> Answered:
    named = self_signed("localhost")
    return await scene.shows(named, named.pem, "127.0.0.1")


async def tls_failed(scene: Scene) -> Answered:
    async def in_the_clear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read(-1)

    await scene.leads_to(f"https://localhost:{await scene.serves(in_the_clear)}")
    return await scene.call()


async def tls_timeout(scene: Scene) -> Answered:
    await scene.leads_to(f"https://localhost:{await scene.serves(waits)}", connect_timeout=0.1)
    return await scene.call()


async def closed_early(scene: Scene) -> Answered:
    return await scene.sends(b"")


async def closed_in_the_handshake(scene: Scene) -> Answered:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    await scene.leads_to(f"https://localhost:{await scene.serves(close)}")
    return await scene.call()


async def upload_timeout(scene: Scene) -> Answered:
    async def unread(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()
        await over.wait()

    over = asyncio.Event()
    scene.ends.callback(over.set)
    body_limit = 64 * 2**20
    await scene.leads_to(f"http://127.0.0.1:{await scene.serves(unread)}", body_limit=body_limit, read_timeout=0.1)
    return await scene.call(method="POST", body=b"x" * (body_limit // 2))


async def response_timeout(scene: Scene) -> Answered:
    await scene.leads_to(f"http://127.0.0.1:{await scene.serves(waits)}", read_timeout=0.05)
    return await scene.call()


async def invalid_response(scene: Scene) -> Answered:
    return await scene.sends(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


async def response_head_too_large(scene: Scene) -> Answered:
    return await scene.sends(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000)


async def no_place(scene: Scene) -> Answered:
    one = Concurrency(calls=1, queue=0)
    await scene.leads_to(f"http://127.0.0.1:{await scene.serves(waits)}", concurrency=one, read_timeout=60.0)
    _, writer = await scene.lane.connect()
    scene.ends.callback(writer.close)
    writer.write(f"GET /products/first HTTP/1.1\r\nhost: api.test\r\nx-api-key: {KEY}\r\n\r\n".encode())
    await until(lambda: scene.lane.gateway.concurrency.counts())
    return await scene.call()


async def gateway_stopped(scene: Scene) -> Answered:
    began = asyncio.Event()

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        began.set()
        await reader.read(-1)

    await scene.leads_to(f"http://127.0.0.1:{await scene.serves(begin)}", read_timeout=60.0)
    call = asyncio.create_task(scene.call())
    await began.wait()
    await scene.lane.gateway.coalescer.stop()
    return await call


async def gateway_failed(scene: Scene) -> Answered:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a mistake of ours")

    scene.patch.setattr(scene.lane.gateway.client, "send", fail)
    await scene.leads_to(f"http://127.0.0.1:{free_port()}")
    return await scene.call()


SCENES = (
    *(name_unknown, name_failed, name_timeout, address_not_allowed),
    *(connection_refused, connection_timeout, network_unreachable, connection_failed),
    *(certificate_untrusted, certificate_expired, certificate_not_yet_valid, certificate_name),
    *(certificate_of_a_name_for_an_address, tls_failed, tls_timeout),
    *(closed_early, closed_in_the_handshake, upload_timeout, response_timeout, invalid_response),
    *(response_head_too_large, no_place, gateway_stopped, gateway_failed),
)
CAUSES = {
    "certificate_of_a_name_for_an_address": "certificate_name",
    "closed_in_the_handshake": "closed_early",
}
"""What further scenes come to."""

ELSEWHERE = {"failed_elsewhere": "test_collapsing.py", "client_too_slow": "test_body_fanout.py"}
"""Where the causes are tested that take several workers or callers."""

CLASSES = {
    "name_timeout": (504, "upstream_timeout"),
    "connection_timeout": (504, "upstream_timeout"),
    "tls_timeout": (504, "upstream_timeout"),
    "upload_timeout": (504, "upstream_timeout"),
    "response_timeout": (504, "upstream_timeout"),
    "address_not_allowed": (502, "upstream_refused"),
    "no_place": (503, "upstream_busy"),
    **dict.fromkeys(
        ["closed_early", "invalid_response", "response_head_too_large", "gateway_stopped", "gateway_failed"],
        (502, "upstream_invalid"),
    ),
}
"""What the client gets to know, where it isn't 502 ``upstream_unreachable``."""
OWN_DOING = {"no_place", "gateway_stopped", "gateway_failed"}
"""No upstream did that: nothing of it is in an upstream's figures."""


@pytest.fixture
async def scene(
    lane: Door, published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    made = Scene(lane, published, tmp_path, monkeypatch)
    async with made.ends:
        yield made


def test_every_cause_is_brought_about() -> None:
    brought = {CAUSES.get(each.__name__, each.__name__) for each in SCENES} | ELSEWHERE.keys()
    assert brought == {cause.code for cause in FailureCause}
    for cause, module in ELSEWHERE.items():
        assert cause.upper() in (Path(__file__).parent / module).read_text()


@pytest.mark.parametrize("bring_about", SCENES, ids=lambda each: each.__name__)
async def test_the_cause_is_recorded_and_logged_and_the_client_gets_its_class_only(
    scene: Scene, caplog: pytest.LogCaptureFixture, bring_about: Callable[[Scene], Awaitable[Answered]]
) -> None:
    cause = CAUSES.get(bring_about.__name__, bring_about.__name__)
    answer = await bring_about(scene)
    status, code = CLASSES.get(cause, (502, "upstream_unreachable"))
    if bring_about is closed_in_the_handshake:
        status, code = 502, "upstream_unreachable"
    assert (answer.status, json.loads(answer.body)["code"]) == (status, code)
    assert not any(word in answer.body.decode() for word in (cause, "127.0.0.1", "localhost", "test"))
    (record,) = scene.lane.calls()
    assert (record.code, record.cause) == (code, cause)
    told = [line.getMessage() for line in caplog.records if line.name == failure_log.__name__]
    if cause in OWN_DOING:
        assert not told
        return
    step = ("egress", "egress_link_local") if cause == "address_not_allowed" else ("upstream", cause)
    assert step in [(stage, decision) for stage, decision, _ in record.trace]
    assert len(told) == 1
    assert f"API products to {record.upstream} failed: {cause}" in told[0]
    counted = [labels for name, labels, _ in scene.lane.gateway.metrics.samples(0.0) if "upstream_failures" in name]
    assert [dict(labels)["cause"] for labels in counted] == [cause]


async def test_a_call_that_another_attempt_answered_names_the_cause_of_the_one_that_failed(
    scene: Scene, origin: Origin, caplog: pytest.LogCaptureFixture
) -> None:
    origin.paths["/x"] = ok(b"x")
    before = scene.lane.gateway.config.epoch
    gone = Upstream(f"http://127.0.0.1:{free_port()}", weight=1000)
    scene.published.change(api("products", upstreams=(gone, Upstream(origin.url))))
    await until(lambda: scene.lane.gateway.config.epoch > before)
    scene.patch.setattr("apps.gateway.upstream.calls.random.random", lambda: 0.0)
    assert (await scene.call()).status == 200
    (record,) = scene.lane.calls()
    assert (record.status, record.code, record.attempts) == (200, "", 2)
    assert record.cause == "connection_refused"


async def test_a_response_that_breaks_off_says_why(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Exception, match="half"):
        await scene.sends(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
    (record,) = scene.lane.calls()
    assert (record.flags, record.cause) == (("cut_short",), "closed_early")


async def test_trust_in_one_upstream_is_no_trust_in_another_on_the_same_server(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a connection nor a TLS session that one ``ca`` vouched for is used for the other."""
    certificate = self_signed("localhost")
    url = f"https://localhost:{await scene.serves(keeps_open, certificate)}"
    await scene.leads_to(url, certificate.pem)
    assert (await scene.call(method="DELETE")).body == b"over TLS"
    await scene.leads_to(url, self_signed("localhost").pem)
    assert (await scene.call(method="DELETE")).status == 502
    await scene.leads_to(url)
    assert (await scene.call(method="DELETE")).status == 502
    await scene.leads_to(url, certificate.pem)
    assert (await scene.call(method="DELETE")).body == b"over TLS"
    assert [record.cause for record in scene.lane.calls()] == ["", "certificate_untrusted", "certificate_untrusted", ""]


async def keeps_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(ok(b"over TLS"))


def test_the_log_has_one_line_for_many_failures_of_a_kind(caplog: pytest.LogCaptureFixture) -> None:
    log, error = FailureLog(), Broken(FailureCause.CLOSED_EARLY, sent=True)
    caplog.set_level(logging.WARNING)

    def lines() -> list[str]:
        told = [line.getMessage() for line in caplog.records]
        caplog.clear()
        return told

    for _ in range(1000):
        log.failed(100.0, "products", "a.test:80", error)
    log.failed(100.0, "other", "a.test:80", error)
    assert [line.partition(" to ")[0] for line in lines()] == ["A call of API products", "A call of API other"]
    log.tell(105.0)
    assert not lines()
    log.tell(110.0)
    assert lines() == ["999 more calls of API products to its upstreams failed: closed_early"]
    log.tell(120.0)
    assert not log._lately
    log.failed(121.0, "products", "a.test:80", error)
    assert len(lines()) == 1


def test_the_log_counts_no_more_kinds_than_it_has_room_for(caplog: pytest.LogCaptureFixture) -> None:
    log = FailureLog()
    for number in range(failure_log.MOST + 10):
        log.failed(0.0, f"api-{number}", "a.test:80", Broken(FailureCause.CLOSED_EARLY, sent=True))
    assert len(log._lately) == failure_log.MOST
