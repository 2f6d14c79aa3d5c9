"""Many callers at once, on real sockets: two machines of two gateway workers each, which share the state and the cache
server, and an origin that counts.

Request collapsing, failed refreshes (RFC 9111 §4.2.4, RFC 5861 §4), purges of what is on its way, and what the cache
server's absence costs.
"""

import asyncio
import contextlib
import itertools
import os
import re
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from apps.supervisor.valkey import EmbeddedValkey, ValkeyRole, ValkeySettings
from tests.gateway.house import Answered, CutShort, Origin, ok, read_answer
from tests.support.gateways import Machine, calls_in_flight, connections_of, metric, second_machine
from tests.support.installation import Installation, installation
from tests.support.ports import free_port
from tests.support.waiting import until

FILE = """
version: 1
tenants: [{{slug: acme, name: Acme}}]
apis:
  - slug: crowd
    name: Crowd
    tenant: acme
    listen_path: /crowd/
    upstreams: [{{url: "http://127.0.0.1:{port}/"}}]
    authentication: [none]
    timeouts: {{connect: 1s, read: 30s}}
    retries: 0
    published: true
  - slug: hasty
    name: Hasty
    tenant: acme
    listen_path: /crowd/hasty/
    upstreams: [{{url: "http://127.0.0.1:{port}/hasty/"}}]
    authentication: [none]
    timeouts: {{connect: 1s, read: 3s}}
    retries: 0
    published: true
"""

Cast = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Cluster(NamedTuple):
    """Two machines, the cache server that they share, and where their origin has to listen."""

    running: Installation
    second: Machine
    cache: EmbeddedValkey
    origin_port: int

    @property
    def ports(self) -> tuple[int, int]:
        return int(self.running.environment["GATEWAY_PORT"]), self.second.port

    @property
    def workers(self) -> list[int]:
        return [*self.running.pids("gateway --worker"), *self.second.pids]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """The two machines, with one API whose origin the tests play."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="apimgr-crowd-")))
        cache = EmbeddedValkey(
            ValkeySettings(role=ValkeyRole.CACHE, folder=folder / "cache", socket=folder / "cache.sock")
        )
        cache.start()
        stack.callback(cache.stop)
        running = stack.enter_context(installation(CACHE_REDIS_URL=cache.url))
        port = free_port()
        file = folder / "crowd.yaml"
        file.write_text(FILE.format(port=port))
        done = running.manage("apply", str(file))
        assert done.returncode == 0, done.stdout + done.stderr
        second = stack.enter_context(second_machine(running, folder / "second"))
        yield Cluster(running, second, cache, port)


@pytest.fixture
async def origin(cluster: Cluster) -> AsyncIterator[Origin]:
    """The API's origin."""
    async with Origin(cluster.origin_port) as playing:
        yield playing


_numbers = itertools.count(1)


@pytest.fixture
def path() -> str:
    """A path that no other test uses."""
    return f"/item-{next(_numbers)}"


class Crowd:
    """Callers with a connection each, all open before any of them calls; even ones at one machine, odd at the other."""

    def __init__(self, connections: list[Cast]) -> None:
        self.connections = connections

    async def call(self, path: str, *lines: str) -> list[Answered | Exception]:
        """Everybody calls at once, on the connection kept. An answer each, or what became of it."""
        self.ask(path, *lines)
        return await self.answers()

    def ask(self, path: str, *lines: str) -> None:
        """The calls alone."""
        head = "\r\n".join([f"GET /crowd{path} HTTP/1.1", "host: api.test", *lines, "", ""]).encode()
        for _, writer in self.connections:
            writer.write(head)

    async def answers(self) -> list[Answered | Exception]:
        """The answers to what was asked."""
        async with asyncio.timeout(30):
            return await asyncio.gather(*(_answer(reader) for reader, _ in self.connections))


async def _answer(reader: asyncio.StreamReader) -> Answered | Exception:
    try:
        return await read_answer(reader)
    except (CutShort, ConnectionError) as error:
        return error


@contextlib.asynccontextmanager
async def crowd(cluster: Cluster, size: int) -> AsyncIterator[Crowd]:
    """``size`` callers."""
    ports = cluster.ports
    connections = [await asyncio.open_connection("127.0.0.1", ports[number % 2]) for number in range(size)]
    try:
        yield Crowd(connections)
    finally:
        for _, writer in connections:
            writer.close()


async def everywhere(cluster: Cluster, path: str, *lines: str) -> list[Answered]:
    """Answers of every worker, in all likelihood: eight connections to each machine."""
    async with crowd(cluster, 16) as callers:
        answers = await callers.call(path, *lines)
    return [answer for answer in answers if isinstance(answer, Answered)]


def said(answers: list[Any]) -> Counter[Any]:
    """Status and body of each, counted; whatever was no answer by its type."""
    return Counter(
        (answer.status, answer.body) if isinstance(answer, Answered) else type(answer).__name__ for answer in answers
    )


def late_exchanges(cluster: Cluster) -> int:
    """Exchanges with the cache server that failed, came too late or were left out: each may cost an upstream call more."""
    folders = (cluster.running.data, cluster.second.data)
    return sum(metric(f"apimgr_cache_server_{what}_total", *folders) for what in ("failures", "skipped"))


def all_are_in(cluster: Cluster, size: int) -> bool:
    """Whether just so many calls are being answered. Each test has a number of its own: workers say it once a second."""
    return calls_in_flight(cluster.running.data, cluster.second.data) == size


async def test_500_callers_at_once_make_one_upstream_call(cluster: Cluster, origin: Origin, path: str) -> None:
    enough = asyncio.Event()

    async def slow(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await enough.wait()
        writer.write(ok(b"x" * 5000, "cache-control: max-age=60"))

    origin.paths[path] = slow
    late = late_exchanges(cluster)
    async with crowd(cluster, 500) as callers:
        callers.ask(path)
        await until(lambda: all_are_in(cluster, 500))
        enough.set()
        answers = await callers.answers()
    assert said(answers) == {(200, b"x" * 5000): 500}
    assert {answer.cache for answer in await everywhere(cluster, path)} == {"HIT"}
    await until(lambda: all_are_in(cluster, 0))
    # A machine under load answers late: then a worker asks by itself (docs/caching.md), once.
    assert origin.calls_to(path) == 1 or origin.calls_to(path) <= min(1 + late_exchanges(cluster) - late, 4)


async def test_when_the_leader_is_killed_midway_the_others_callers_are_all_answered(
    cluster: Cluster, origin: Origin, path: str
) -> None:
    peers: list[int] = []

    async def slow(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        peers.append(writer.get_extra_info("peername")[1])
        if len(peers) > 1:
            writer.write(ok(b"halfhalf", "cache-control: max-age=60"))
            return
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\ncache-control: max-age=60\r\n\r\nhalf")
        await reader.read()

    origin.paths[path] = slow
    supervised = cluster.running.pids("gateway --worker")
    async with crowd(cluster, 1) as first, crowd(cluster, 200) as callers:
        first.ask(path)  # at the machine whose workers are started again
        await until(lambda: peers)
        callers.ask(path)
        await until(lambda: all_are_in(cluster, 201))
        (leader,) = (pid for pid in supervised if (peers[0], cluster.origin_port) in connections_of(pid))
        theirs = connections_of(leader)
        os.kill(leader, signal.SIGKILL)
        answers = await callers.answers()
    others = [
        answer
        for answer, (_, writer) in zip(answers, callers.connections, strict=True)
        if (writer.get_extra_info("peername")[1], writer.get_extra_info("sockname")[1]) not in theirs
    ]
    assert len(others) >= 100
    assert said(others) == {(200, b"halfhalf"): len(others)}
    assert len(peers) == 2
    await until(lambda: len(cluster.workers) == 4 and cluster.running.is_ready(), 30)


async def test_a_leader_that_sleeps_is_followed_by_another_and_overwrites_nothing(
    cluster: Cluster, origin: Origin, path: str
) -> None:
    peers: list[int] = []
    enough = asyncio.Event()

    async def versions(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        peers.append(writer.get_extra_info("peername")[1])
        if len(peers) == 1:
            await enough.wait()
            writer.write(ok(b"old", "cache-control: max-age=60"))
        else:
            writer.write(ok(b"new", "cache-control: max-age=60"))

    origin.paths[path] = versions
    late_before = late_exchanges(cluster)
    async with crowd(cluster, 1) as first:
        first.ask(path)
        await until(lambda: peers)
        (leader,) = (pid for pid in cluster.workers if (peers[0], cluster.origin_port) in connections_of(pid))
        os.kill(leader, signal.SIGSTOP)
        try:
            enough.set()
            # At the second machine nobody sleeps.
            reader, writer = await asyncio.open_connection("127.0.0.1", cluster.second.port)
            writer.write(f"GET /crowd{path} HTTP/1.1\r\nhost: api.test\r\n\r\n".encode())
            async with asyncio.timeout(30):
                assert (await read_answer(reader)).body == b"new"
            writer.close()
        finally:
            os.kill(leader, signal.SIGCONT)
        (late,) = await first.answers()
    # It may have slept for longer than it waits for an upstream.
    assert isinstance(late, Answered)
    assert (late.status, late.body) == (200, b"old") or late.status == 504
    # A worker that wasn't told in time that it had lost the lock may keep what it fetched for itself; the others don't get it.
    answers = said(await everywhere(cluster, path))
    assert set(answers) <= {(200, b"new"), (200, b"old")}
    if (200, b"old") in answers:
        await until(lambda: late_exchanges(cluster) > late_before)
    assert len(peers) == 2


async def test_a_refresh_that_fails_never_replaces_a_good_answer(cluster: Cluster, origin: Origin, path: str) -> None:
    path = f"/hasty{path}"
    good = ok(b"good", "cache-control: max-age=0, stale-if-error=60", 'etag: "1"')
    origin.paths[path] = good
    assert said(await everywhere(cluster, path)) == {(200, b"good"): 16}

    async def reset(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        writer.transport.abort()

    async def silent(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        await reader.read()

    async def short(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ncache-control: max-age=60\r\n\r\nbad")
        await writer.drain()
        writer.transport.close()

    for failure in (ok(b"bad", "cache-control: max-age=60", status="503 Service Unavailable"), reset, silent):
        origin.paths[path] = failure
        assert said(await everywhere(cluster, path)) == {(200, b"good"): 16}
    # What broke off can't be taken back from whoever got its head; but nobody gets it from the cache.
    origin.paths[path] = short
    assert not [answer for answer in await everywhere(cluster, path) if answer.body == b"bad"]
    origin.paths[path] = ok(b"", 'etag: "1"', status="304 Not Modified")
    answers = await everywhere(cluster, path)
    assert said(answers) == {(200, b"good"): 16}
    assert {answer.cache for answer in answers} <= {"REVALIDATED", "HIT"}


async def test_what_was_purged_on_its_way_is_served_to_nobody_who_came_later(
    cluster: Cluster, origin: Origin, path: str
) -> None:
    enough = asyncio.Event()

    async def versions(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        if origin.calls_to(path) == 1:
            await enough.wait()
            writer.write(ok(b"old", "cache-control: max-age=60"))
        else:
            writer.write(ok(b"new", "cache-control: max-age=60"))

    origin.paths[path] = versions
    async with crowd(cluster, 40) as callers:
        callers.ask(path)
        await until(lambda: all_are_in(cluster, 40))
        purge = {"api": "crowd", "path": path}
        receipt = await asyncio.to_thread(cluster.running.api, "POST", "purges/", json=purge)
        assert receipt.status_code == 201, receipt.text
        later = asyncio.create_task(everywhere(cluster, path))
        enough.set()
        assert set(said(await callers.answers())) <= {(200, b"old"), (200, b"new")}
    assert said(await later) == {(200, b"new"): 16}
    assert said(await everywhere(cluster, path)) == {(200, b"new"): 16}


async def test_two_identities_who_call_at_once_never_get_each_others_answers(
    cluster: Cluster, origin: Origin, path: str
) -> None:
    async def own(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        whose = re.search(rb"(?im)^authorization: Bearer (\w+)", head)
        assert whose is not None
        directive = "private" if b"/private" in head else "max-age=60"
        writer.write(ok(whose[1], f"cache-control: {directive}"))

    for each in (f"{path}/private", path):
        origin.paths[each] = own
        for _ in range(2):
            async with crowd(cluster, 50) as ann, crowd(cluster, 50) as bob:
                answers = await asyncio.gather(
                    ann.call(each, "authorization: Bearer ann"), bob.call(each, "authorization: Bearer bob")
                )
            assert [said(each) for each in answers] == [{(200, b"ann"): 50}, {(200, b"bob"): 50}]
    # What its subject may share with itself was fetched once for each of the two.
    assert origin.calls_to(path) == 2


async def test_callers_who_insist_on_validation_make_one_upstream_call_a_second(
    cluster: Cluster, origin: Origin, path: str
) -> None:
    origin.paths[path] = ok(b"body", "cache-control: max-age=60", 'etag: "1"')
    await everywhere(cluster, path)
    calls, answers = origin.calls_to(path), 0
    now = asyncio.get_running_loop().time
    began = now()
    async with crowd(cluster, 16) as callers:
        while now() - began < 2.2:
            got = await callers.call(path, "cache-control: no-cache")
            assert said(got) == {(200, b"body"): 16}
            answers += len(got)
    seconds = now() - began
    assert answers > 100
    assert origin.calls_to(path) - calls <= seconds + 1


async def test_every_call_is_answered_while_the_cache_server_is_frozen_and_while_it_is_gone(
    cluster: Cluster, origin: Origin, path: str
) -> None:
    async def anything(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(ok(head.split(b" ")[1], "cache-control: max-age=60"))

    origin.paths |= {f"{path}-{number}": anything for number in range(3000)}
    numbers = itertools.count()
    statuses: Counter[Any] = Counter()

    async def load(stop: asyncio.Event) -> None:
        async with crowd(cluster, 8) as callers:
            while not stop.is_set():
                for each in (f"{path}-0", f"{path}-{next(numbers) % 3000}"):
                    for answer in await callers.call(each):
                        right = isinstance(answer, Answered) and answer.body == each.encode()
                        statuses[answer.status if right else repr(answer)] += 1

    async def goes_on() -> None:
        before = statuses[200]
        await until(lambda: statuses[200] > before + 100)

    stop = asyncio.Event()
    loading = asyncio.create_task(load(stop))
    await goes_on()
    cluster.cache.send(signal.SIGSTOP)
    await goes_on()
    cluster.cache.send(signal.SIGCONT)
    await goes_on()
    cluster.cache.kill()
    try:
        await goes_on()
        # Each worker collapses its own calls.
        enough = asyncio.Event()

        async def slow(origin: Origin, head: bytes, reader: Any, writer: Any) -> None:
            await enough.wait()
            writer.write(ok(b"once", "cache-control: max-age=60"))

        origin.paths[f"{path}/slow"] = slow
        stop.set()
        await loading
        async with crowd(cluster, 180) as callers:
            callers.ask(f"{path}/slow")
            await until(lambda: all_are_in(cluster, 180))
            enough.set()
            assert said(await callers.answers()) == {(200, b"once"): 180}
        assert origin.calls_to(f"{path}/slow") <= len(cluster.workers)
    finally:
        stop.set()
        cluster.cache.start()
    assert set(statuses) == {200}

    async def is_shared_again() -> bool:
        each = f"{path}/again-{next(numbers)}"
        origin.paths[each] = ok(b"again", "cache-control: max-age=60")
        await everywhere(cluster, each)
        return origin.calls_to(each) == 1

    await until(is_shared_again)
