"""Keys of issuers are fetched once for all who wait, kept while the issuer is away, and gone when it takes them back. The issuer is
a server on a port; time is given.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from apps.cachestore.purges import PurgedTags
from apps.egress.rules import ONE_MACHINE
from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.pipeline.authenticators import Identified
from apps.gateway.pipeline.authenticators.jwt.issuer_keys import KEPT, LIFETIME, PAUSE, IssuerKeys, metadata_urls
from apps.gateway.pipeline.authenticators.jwt.key_sets import KeySet
from apps.gateway.pipeline.authenticators.sources import Sources
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.gateway.pipeline.stages import Need
from apps.gateway.upstream.client import HTTP1Client
from apps.gateway.upstream.exchange import Exchange
from apps.wire.snapshot import Egress, Issuer
from tests.gateway.house import Origin, ok
from tests.gateway.test_jwt import identified
from tests.gateway.tokens import issuer, key, key_set, token

DOWN = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Keys:
    """A worker's keys of one issuer, with the clock in the test's hand."""

    def __init__(self, origin: Origin, client: HTTP1Client) -> None:
        self.clock, self.origin = Clock(), origin
        self.config = WorkerConfig(PurgedTags(), 900.0)
        self.config.put(Egress("", ONE_MACHINE))
        self.sources = Sources(self.config, Exchange(client, self.config), self.spawn)
        self.keys = self.sources._parts[IssuerKeys] = IssuerKeys(self.sources, self.clock, lambda: 0.0)
        self.tasks: list[asyncio.Task[None]] = []
        self.has(issuer(jwks_url=f"{origin.url}/keys"))

    def spawn(self, work: Any) -> asyncio.Task[None]:
        self.tasks.append(asyncio.get_running_loop().create_task(work))
        return self.tasks[-1]

    def has(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.config.put(issuer)

    def serve(self, *keys: Any, said: str = "", **changes: Any) -> None:
        """What the issuer tells from now on."""
        lines = [f"Cache-Control: {said}"] if said else []
        self.origin.paths["/keys"] = ok(key_set(*keys, **changes).encode(), *lines)

    @property
    def fetches(self) -> int:
        return self.origin.calls_to("/keys")

    async def ids(self) -> list[str | None] | None:
        """The IDs of the keys that a call gets; ``None``: 503."""
        found = self.keys.of(self.issuer)
        if isinstance(found, Need):
            await found.wait()
            found = self.keys.of(self.issuer)
        assert not isinstance(found, Need)
        return None if found is None else [each.key_id for each in found.keys]

    async def fault(self, given: str) -> TokenFault | None:
        """Why a call with this token is refused."""
        found = identified(given, self.sources)
        while isinstance(found, Need):
            await found.wait()
            found = identified(given, self.sources)
        return None if isinstance(found, Identified) or found is None else TokenFault(found.why)  # type: ignore[call-arg]

    async def settled(self) -> None:
        """What was started beside the calls has ended."""
        await asyncio.gather(*self.tasks)


@pytest.fixture
async def keys(origin: Origin) -> AsyncIterator[Keys]:
    client = HTTP1Client(asyncio.get_running_loop())
    made = Keys(origin, client)
    made.serve()
    yield made
    await made.settled()
    await client.close()


async def test_keys_are_fetched_once_for_all_who_wait(keys: Keys):
    assert await asyncio.gather(*(keys.ids() for _ in range(50))) == [["one"]] * 50
    assert keys.fetches == 1


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("", LIFETIME),
        ("max-age=1000", 1000.0),
        ("max-age=1000, s-maxage=2000", 2000.0),
        ("max-age=1", 60.0),
        ("max-age=0", 60.0),
        ("no-store", 60.0),
        ("no-cache, max-age=1000", 60.0),
        ("max-age=99999999", 86400.0),
        ("max-age=nonsense", 60.0),
    ],
)
async def test_keys_are_good_as_long_as_their_issuer_says_within_bounds(keys: Keys, said: str, seconds: float):
    keys.serve(said=said)
    await keys.ids()
    assert keys.keys.hold_until(keys.issuer) == seconds * 0.75
    keys.clock.now += seconds * 0.75 - 1
    assert isinstance(keys.keys.of(keys.issuer), KeySet)
    await keys.settled()
    assert keys.fetches == 1
    keys.clock.now += 2
    assert isinstance(keys.keys.of(keys.issuer), KeySet), "nobody waits for those that come"
    assert keys.keys.hold_until(keys.issuer) == pytest.approx(seconds * 0.25 - 1)
    await keys.settled()
    assert keys.fetches == 2


async def test_stale_keys_are_waited_for(keys: Keys):
    await keys.ids()
    keys.serve(key("ES256", "two"))
    keys.clock.now += LIFETIME + 1
    assert await keys.ids() == ["two"]
    assert keys.fetches == 2


async def test_keys_are_kept_for_an_hour_while_their_issuer_is_away(keys: Keys):
    await keys.ids()
    keys.origin.paths["/keys"] = DOWN
    keys.clock.now += LIFETIME + 1
    assert await keys.ids() == ["one"]
    assert keys.keys.failure(keys.issuer)
    assert keys.keys.hold_until(keys.issuer) == PAUSE, "it is looked after again"
    asked = keys.fetches
    for _ in range(10):
        assert await keys.ids() == ["one"]
    assert keys.fetches == asked, "it is asked again after a pause"
    keys.clock.now += PAUSE
    assert await keys.ids() == ["one"]
    await keys.settled()
    assert keys.fetches == asked + 1
    keys.clock.now += KEPT
    assert await keys.ids() is None
    assert await keys.fault(token()) is TokenFault.ISSUER_AWAY
    keys.serve()
    keys.clock.now += PAUSE
    assert await keys.fault(token()) is None
    assert not keys.keys.failure(keys.issuer)


async def test_an_issuer_that_was_never_there_is_asked_now_and_then(keys: Keys):
    keys.origin.paths["/keys"] = DOWN
    for _ in range(5):
        assert await keys.fault(token()) is TokenFault.ISSUER_AWAY
    assert keys.fetches == 1
    assert keys.keys.retry_after(keys.issuer) == PAUSE
    keys.clock.now += PAUSE
    keys.serve()
    assert await keys.fault(token()) is None


async def test_a_key_is_known_with_the_first_token_that_it_signs(keys: Keys):
    assert await keys.fault(token()) is None
    new = key("ES256", "two")
    keys.serve(key(), new)
    found = await asyncio.gather(*(keys.fault(token(new)) for _ in range(50)), keys.fault(token()))
    assert found == [None] * 51
    assert keys.fetches == 2


async def test_invented_key_ids_cost_the_issuer_next_to_nothing(keys: Keys):
    for number in range(50):
        assert await keys.fault(token(None, {"kid": f"x{number}"})) is TokenFault.UNKNOWN_KEY
    assert keys.fetches == 2
    keys.clock.now += PAUSE
    assert await keys.fault(token(None, {"kid": "x"})) is TokenFault.UNKNOWN_KEY
    assert keys.fetches == 3


async def test_a_key_without_an_id_is_known_with_its_first_token_too(keys: Keys):
    assert await keys.fault(token()) is None
    new = key("ES256", None)
    keys.serve(new)
    assert await keys.fault(token(new)) is None


async def test_an_unknown_key_is_no_refusal_while_the_issuer_is_away(keys: Keys):
    assert await keys.fault(token()) is None
    keys.origin.paths["/keys"] = DOWN
    new = key("ES256", "two")
    for _ in range(3):
        assert await keys.fault(token(new)) is TokenFault.ISSUER_AWAY
        assert await keys.fault(token()) is None
    assert keys.fetches == 2


async def test_a_key_that_is_taken_back_ends_what_it_let_in(keys: Keys):
    assert await keys.fault(token()) is None
    version = keys.config.version
    keys.serve(key(), key("ES256", "two"))
    keys.clock.now += LIFETIME + 1
    assert await keys.fault(token()) is None
    assert keys.config.version == version, "one more key ends nothing"
    keys.serve(key("ES256", "two"))
    keys.clock.now += LIFETIME + 1
    assert await keys.fault(token()) is TokenFault.UNKNOWN_KEY
    assert keys.config.version == version + 1


async def test_a_key_that_is_replaced_under_its_id_ends_what_it_let_in(keys: Keys):
    assert await keys.fault(token()) is None
    keys.serve(key("ES256", "one", 1))
    keys.clock.now += LIFETIME + 1
    assert await keys.fault(token()) is TokenFault.WRONG_SIGNATURE


async def test_the_same_keys_again_end_nothing(keys: Keys):
    assert await keys.fault(token()) is None
    held, version = keys.keys.of(keys.issuer), keys.config.version
    keys.clock.now += LIFETIME + 1
    assert await keys.fault(token()) is None
    assert keys.keys.of(keys.issuer) is held
    assert keys.config.version == version


async def test_an_issuer_without_keys_has_none(keys: Keys):
    assert await keys.fault(token()) is None
    keys.origin.paths["/keys"] = ok(b'{"keys": []}')
    keys.clock.now += LIFETIME + 1
    assert await keys.fault(token()) is TokenFault.UNKNOWN_KEY


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"<html>"),
        ok(json.dumps({"keys": [{}] * 101}).encode()),
        ok(b"x" * (2**20 + 1)),
        ok(b"", "Location: /other", status="302 Found"),
        ok(key_set().encode(), status="404 Not Found"),
        b"nonsense\r\n\r\n",
    ],
    ids=["no JSON", "too many", "too large", "elsewhere", "not found", "no HTTP"],
)
async def test_what_is_no_key_set_leaves_the_keys_as_they_were(keys: Keys, answer: bytes):
    assert await keys.fault(token()) is None
    keys.origin.paths["/keys"] = answer
    keys.clock.now += LIFETIME + 1
    assert await keys.fault(token()) is None
    assert keys.keys.failure(keys.issuer)


async def test_whatever_goes_wrong_with_a_fetch_calls_do_not_ask_without_a_pause(
    keys: Keys, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def read(text: bytes) -> KeySet:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("apps.gateway.pipeline.authenticators.jwt.issuer_keys.read_key_set", read)
    keys.serve()
    assert await keys.fault(token()) is TokenFault.ISSUER_AWAY
    assert await keys.fault(token()) is TokenFault.ISSUER_AWAY
    assert keys.fetches == 1
    assert "a fault of ours" in caplog.text


async def test_bad_keys_are_said_once(keys: Keys, caplog: pytest.LogCaptureFixture):
    keys.serve(key("RS256"), key(), use="enc")
    for _ in range(3):
        assert await keys.fault(token()) is TokenFault.UNKNOWN_KEY
        keys.clock.now += LIFETIME + 1
    assert sum("isn't taken" in each.message for each in caplog.records) == 2


async def test_another_place_of_its_keys_is_asked_at_once(keys: Keys):
    assert await keys.ids() == ["one"]
    keys.origin.paths["/new"] = ok(key_set(key("ES256", "two")).encode())
    keys.has(issuer(jwks_url=f"{keys.origin.url}/new"))
    assert await keys.ids() == ["two"]
    keys.has(issuer(jwks_url=f"{keys.origin.url}/new", leeway=1.0))
    keys.origin.paths["/new"] = DOWN
    assert await keys.ids() == ["two"], "another leeway is no other place"


async def test_where_nothing_is_fetched_the_keys_can_not_be_known(keys: Keys):
    keys.keys = IssuerKeys(Sources(keys.config))
    assert await keys.ids() is None
    assert keys.keys.anew(keys.issuer) is False


async def test_an_issuer_that_says_nothing_is_not_waited_for(keys: Keys, monkeypatch: pytest.MonkeyPatch):
    async def silent(origin: Origin, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    assert await keys.fault(token()) is None
    monkeypatch.setattr("apps.gateway.pipeline.authenticators.jwt.issuer_keys.DEADLINE", 0.1)
    keys.origin.paths["/keys"] = silent
    keys.clock.now += LIFETIME + 1
    assert await keys.fault(token()) is None
    assert "within 0.1 s" in keys.keys.failure(keys.issuer)


def metadata(keys: Keys, **changes: Any) -> bytes:
    return ok(json.dumps({"issuer": keys.origin.url, "jwks_uri": f"{keys.origin.url}/keys"} | changes).encode())


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"])
async def test_keys_are_found_by_the_issuers_metadata(keys: Keys, path: str):
    keys.has(issuer(issuer=keys.origin.url, discovery=True))
    keys.origin.paths[path] = metadata(keys)
    assert await keys.ids() == ["one"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda keys: metadata(keys, issuer="https://other.test/"), "another issuer"),
        (lambda keys: metadata(keys, jwks_uri=None), "jwks_uri"),
        (lambda keys: metadata(keys, jwks_uri="file:///etc/passwd"), "URL"),
        (lambda keys: metadata(keys, jwks_uri="http://a.test/ HTTP/1.1\r\nx: y"), "URL"),
        (lambda keys: ok(b"[]"), "no JSON object"),
        (lambda keys: DOWN, "metadata"),
    ],
    ids=["another's", "none", "no URL", "two lines", "no object", "away"],
)
async def test_metadata_that_can_not_be_trusted_finds_nothing(keys: Keys, change: Callable[[Keys], bytes], reason: str):
    keys.has(issuer(issuer=keys.origin.url, discovery=True))
    keys.origin.paths["/.well-known/openid-configuration"] = change(keys)
    assert await keys.ids() is None
    assert reason in keys.keys.failure(keys.issuer)
    assert not keys.fetches


@pytest.mark.parametrize(
    ("name", "urls"),
    [
        (
            "https://id.test",
            (
                "https://id.test/.well-known/openid-configuration",
                "https://id.test/.well-known/oauth-authorization-server",
            ),
        ),
        (
            "https://id.test/realms/a/",
            (
                "https://id.test/realms/a/.well-known/openid-configuration",
                "https://id.test/.well-known/oauth-authorization-server/realms/a",
            ),
        ),
    ],
)
def test_metadata_is_where_the_standards_put_it(name: str, urls: tuple[str, ...]):
    assert metadata_urls(name) == urls


async def test_a_tenants_issuer_is_asked_under_the_tenants_rules(keys: Keys):
    keys.config.drop("egress:")
    keys.config.put(Egress("acme", ONE_MACHINE))
    assert await keys.ids() is None
    keys.has(issuer(tenant="acme", jwks_url=f"{keys.origin.url}/keys"))
    assert await keys.ids() == ["one"]
