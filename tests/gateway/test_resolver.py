"""Names of upstreams: whose name servers are slow waits alone."""

import asyncio
import contextlib
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from apps.egress.rules import ONE_MACHINE, Guard, rule_of
from apps.gateway.upstream import resolver as resolver_module
from apps.gateway.upstream.client import HTTP1Client, origin_of
from apps.gateway.upstream.errors import TimedOut, Unreachable
from apps.gateway.upstream.resolver import ALTOGETHER, MOST_ADDRESSES, OF_A_TENANT, Resolver
from tests.gateway.house import Origin as Served
from tests.gateway.house import ok
from tests.support.waiting import until

HERE = Guard([rule_of(text) for text in ONE_MACHINE])


class Names:
    """A resolver of the machine whose answers for ``*.slow.test`` come when the test says so."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.waiting = 0
        self.answers = threading.Event()
        self._lock = threading.Lock()

    def getaddrinfo(self, host: str, port: object, *args: Any, **options: Any) -> list[Any]:
        with self._lock:
            self.asked[host] += 1
            self.waiting += 1
        try:
            if host.endswith(".slow.test"):
                self.answers.wait(30)
            if host.endswith(".gone.test"):
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            if host.endswith(".odd.test"):
                raise UnicodeError("label too long")
        finally:
            with self._lock:
                self.waiting -= 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))] * 2


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    known = Names()
    monkeypatch.setattr(socket, "getaddrinfo", known.getaddrinfo)
    yield known
    known.answers.set()


@pytest.fixture
async def client(names: Names) -> AsyncIterator[HTTP1Client]:
    made = HTTP1Client(asyncio.get_running_loop())
    yield made
    await made.close()
    names.answers.set()
    await until(lambda: names.waiting == 0)


async def call(client: HTTP1Client, host: str, port: int, tenant: str, patience: float = 10.0) -> bytes | None:
    origin = origin_of(f"http://{host}:{port}")
    response = await client.send(origin, HERE, tenant, "GET", b"/", [], None, patience, 5.0)
    response.close()
    return response.whole


async def test_a_tenant_whose_names_are_slow_holds_up_nobody_elses_calls(
    client: HTTP1Client, origin: Served, names: Names
) -> None:
    async def answer(origin: Served, head: bytes, reader: Any, writer: Any) -> None:
        writer.write(ok(b"x"))

    origin.paths["/"] = answer
    async with asyncio.TaskGroup() as group:
        slow = [group.create_task(call(client, f"n{i}.slow.test", origin.port, "evil", 60.0)) for i in range(200)]
        await until(lambda: names.waiting == OF_A_TENANT)
        for number in range(20):
            assert await call(client, f"n{number}.fast.test", origin.port, "good") == b"x"
        assert names.waiting == OF_A_TENANT
        names.answers.set()
    assert all(task.result() == b"x" for task in slow)


async def test_however_many_tenants_are_slow_the_last_threads_are_for_those_that_have_none(names: Names) -> None:
    resolver = Resolver(asyncio.get_running_loop())
    async with asyncio.TaskGroup() as group:
        for tenant in range(ALTOGETHER // OF_A_TENANT):
            for number in range(OF_A_TENANT):
                group.create_task(resolver.addresses(f"n{number}.slow.test", f"t{tenant}"))
        crowded = ALTOGETHER // 2
        await until(lambda: names.waiting == crowded + (ALTOGETHER // OF_A_TENANT - crowded // OF_A_TENANT))
        assert await resolver.addresses("a.fast.test", "another") == ["127.0.0.1"]
        names.answers.set()


async def test_a_name_is_asked_for_once_however_many_calls_wait_for_it(names: Names) -> None:
    resolver = Resolver(asyncio.get_running_loop())
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(resolver.addresses("a.slow.test", "acme")) for _ in range(50)]
        await until(lambda: names.waiting == 1)
        names.answers.set()
    assert {tuple(task.result()) for task in asked} == {("127.0.0.1",)}
    assert names.asked == {"a.slow.test": 1}


async def test_what_no_call_waits_for_any_more_is_not_asked(client: HTTP1Client, names: Names) -> None:
    async def times_out(number: int) -> None:
        with pytest.raises(TimedOut):
            await call(client, f"n{number}.slow.test", 80, "acme", 0.05)

    async with asyncio.TaskGroup() as group:
        for number in range(30):
            group.create_task(times_out(number))
    names.answers.set()
    await until(lambda: names.waiting == 0)
    with contextlib.suppress(Unreachable):
        await call(client, "a.gone.test", 80, "acme")
    assert len(names.asked) == OF_A_TENANT + 1


async def test_a_call_that_leaves_takes_no_other_callers_answer_away(names: Names) -> None:
    resolver = Resolver(asyncio.get_running_loop())
    first = asyncio.create_task(resolver.addresses("a.slow.test", "acme"))
    second = asyncio.create_task(resolver.addresses("a.slow.test", "acme"))
    await until(lambda: names.waiting == 1)
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    names.answers.set()
    assert await second == ["127.0.0.1"]


@pytest.mark.parametrize("host", ["a.gone.test", "a.odd.test"])
async def test_a_name_without_an_address_is_unreachable(client: HTTP1Client, host: str) -> None:
    with pytest.raises(Unreachable, match="no address"):
        await call(client, host, 80, "acme")


async def test_a_machine_that_has_no_thread_left_is_no_end_of_the_worker(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    resolver = Resolver(asyncio.get_running_loop())
    with monkeypatch.context() as without:
        without.setattr(resolver_module.threading, "Thread", NoThread)
        with pytest.raises(OSError, match="thread"):
            await resolver.addresses("a.fast.test", "acme")
    assert await resolver.addresses("a.fast.test", "acme") == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1", "127.0.0.1"), ("0x7f.1", "127.0.0.1"), ("::1", "::1"), ("::ffff:1.2.3.4", "1.2.3.4")],
)
async def test_an_address_is_no_name(names: Names, text: str, address: str) -> None:
    assert await Resolver(asyncio.get_running_loop()).addresses(text, "acme") == [address]
    assert not names.asked


async def test_what_was_found_is_used_for_its_seconds_and_then_asked_anew(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = Resolver(asyncio.get_running_loop())
    for _ in range(3):
        assert await resolver.addresses("a.fast.test", "acme") == ["127.0.0.1"]
        with pytest.raises(OSError, match="not known"):
            await resolver.addresses("a.gone.test", "acme")
    assert names.asked == {"a.fast.test": 1, "a.gone.test": 1}
    await resolver.addresses("a.fast.test", "globex")
    assert names.asked["a.fast.test"] == 2, "what one tenant asked for says nothing to another"
    await resolver.addresses("a.fast.test", "acme", anew=True)
    assert names.asked["a.fast.test"] == 3
    monkeypatch.setattr(resolver_module, "REMEMBERED", -1.0)
    monkeypatch.setattr(resolver_module, "FAILURE_REMEMBERED", -1.0)
    other = Resolver(asyncio.get_running_loop())
    for _ in range(2):
        await other.addresses("a.fast.test", "acme")
    assert names.asked["a.fast.test"] == 5


async def test_names_that_are_remembered_are_bounded(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver_module, "NAMES_KEPT", 2)
    resolver = Resolver(asyncio.get_running_loop())
    for number in range(4):
        await resolver.addresses(f"{number}.fast.test", "acme")
    assert [host for _, host in resolver._known] == ["2.fast.test", "3.fast.test"]


async def test_the_first_addresses_of_a_name_are_used_and_remembered_and_a_check_gets_all(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_of_it = [f"192.0.2.{number}" for number in range(1, 2 * MOST_ADDRESSES)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **options: [(2, 1, 6, "", (each, 0)) for each in all_of_it])
    resolver = Resolver(asyncio.get_running_loop())
    for _ in range(2):
        assert await resolver.addresses("many.fast.test", "acme") == all_of_it[:MOST_ADDRESSES]
        assert await resolver.addresses("many.fast.test", "acme", anew=True) == all_of_it
    assert {len(found) for _, found in resolver._known.values() if isinstance(found, list)} == {MOST_ADDRESSES}
