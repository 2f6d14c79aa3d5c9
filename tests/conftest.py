"""What every test stands on: two real Valkeys, which the settings under test name; and ``--random-order``."""

import contextlib
import gc
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import redis
import redis.asyncio
from django.conf import settings

from apps.supervisor.valkey import EmbeddedValkey, ValkeyRole, ValkeySettings
from tests.support.audit_log import let_tests_empty_it
from tests.support.cast import cast
from tests.support.examples import examples
from tests.support.letters import sent
from tests.support.ports import free_port
from tests.support.transactions import only_sql_in_transactions

__all__ = ["cast", "only_sql_in_transactions", "sent"]

LONGEST = ("tests/system/", "tests/test_linear_work.py")
"""The modules that take longest."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--random-order``: what a test needs, it makes itself, and what it leaves disturbs nobody."""
    parser.addoption(
        "--random-order",
        nargs="?",
        const="",
        metavar="SEED",
        help="run modules, and tests within them, in a random order: the printed SEED gives the same one again",
    )


def pytest_configure(config: pytest.Config) -> None:
    # How long an example takes says something of the machine: no test is about that.
    hypothesis.settings.register_profile("untimed", deadline=None, max_examples=examples(100))
    hypothesis.settings.load_profile("untimed")
    let_tests_empty_it()
    if config.getoption("--random-order") == "":
        config.option.random_order = str(random.randrange(10**6))


def pytest_report_header(config: pytest.Config) -> str | None:
    seed = config.getoption("--random-order")
    return f"random order: --random-order={seed}" if seed else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("--random-order")
    if not seed:
        # Several processes share the modules (pytest -n): the ones that take minutes must not be the last.
        items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
        return
    chance = random.Random(seed)
    modules: dict[str, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.nodeid.partition("::")[0], []).append(item)
    order = sorted(modules)
    chance.shuffle(order)
    items.clear()
    for module in order:
        # What a module's fixture makes for one of its parameters stays for the tests with that one, as in the usual order.
        together: dict[tuple[int, ...], list[pytest.Item]] = {}
        for item in modules[module]:
            together.setdefault(_shared_parameters(item), []).append(item)
        groups = list(together.values())
        chance.shuffle(groups)
        for group in groups:
            chance.shuffle(group)
            items += group


def pytest_collection_finish() -> None:
    """What collecting made, some million objects, stays: no collection of garbage looks at it again."""
    gc.collect()
    gc.freeze()


def _shared_parameters(item: pytest.Item) -> tuple[int, ...]:
    """Which parameters a test has of fixtures that live longer than a test."""
    found = getattr(item, "callspec", None)
    if found is None or not isinstance(item, pytest.Function):
        return ()
    made_by = item._fixtureinfo.name2fixturedefs
    longer = (name for name in sorted(found.indices) if name in made_by and made_by[name][-1].scope != "function")
    return tuple(found.indices[name] for name in longer)


@contextlib.contextmanager
def running_valkeys() -> Iterator[dict[ValkeyRole, EmbeddedValkey]]:
    """The two servers that ``settings.REDIS_URL`` and ``settings.CACHE_REDIS_URL`` name. Never stop or freeze these."""
    sockets = {ValkeyRole.STATE: settings.STATE_SOCKET, ValkeyRole.CACHE: settings.CACHE_SOCKET}
    servers = {
        role: EmbeddedValkey(ValkeySettings(role=role, folder=settings.DATA_DIR / role, socket=socket))
        for role, socket in sockets.items()
    }
    for server in servers.values():
        server.start()
    yield servers
    for server in servers.values():
        server.stop()


@pytest.fixture(scope="session", autouse=True)
def valkeys() -> Iterator[dict[ValkeyRole, EmbeddedValkey]]:
    """The same for all tests of a run."""
    with running_valkeys() as servers:
        yield servers


def _flushed(server: EmbeddedValkey) -> Iterator[redis.Redis]:
    client = server.client()
    client.flushall()
    yield client
    client.flushall()
    client.close()


@pytest.fixture
def state_redis(valkeys: dict[ValkeyRole, EmbeddedValkey]) -> Iterator[redis.Redis]:
    """The state server, empty before and after the test."""
    yield from _flushed(valkeys[ValkeyRole.STATE])


@pytest.fixture
def cache_redis(valkeys: dict[ValkeyRole, EmbeddedValkey]) -> Iterator[redis.Redis]:
    """The cache server, empty before and after the test."""
    yield from _flushed(valkeys[ValkeyRole.CACHE])


@pytest.fixture
async def async_state_redis(state_redis: redis.Redis) -> AsyncIterator[redis.asyncio.Redis]:
    """The state server for coroutines, emptied like ``state_redis``: bytes in, bytes out, RESP3."""
    client = redis.asyncio.Redis.from_url(settings.REDIS_URL, protocol=3)
    yield client
    await client.aclose()


@pytest.fixture
def extra_valkey() -> Iterator[Callable[..., EmbeddedValkey]]:
    """Makes servers of the test's own, which it may freeze, kill and start again.

    ``extra_valkey("state", tcp=False, **directives)`` is running when it returns: ``.url``, ``.client()``,
    ``.send(signal.SIGSTOP)``, ``.kill()``, ``.stop()``, ``.start()``. Underscores in directives stand for dashes.
    """
    servers: list[EmbeddedValkey] = []
    folder = Path(tempfile.mkdtemp(prefix="apimgr-valkey-"))

    def make(role: str = "state", *, tcp: bool = False, **directives: str) -> EmbeddedValkey:
        name = f"{role}{len(servers)}"
        server = EmbeddedValkey(
            ValkeySettings(
                role=ValkeyRole(role),
                folder=folder / name,
                socket=folder / f"{name}.sock",
                port=free_port() if tcp else 0,
                extra={key.replace("_", "-"): value for key, value in directives.items()},
            )
        )
        server.start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.stop()
    shutil.rmtree(folder, ignore_errors=True)
