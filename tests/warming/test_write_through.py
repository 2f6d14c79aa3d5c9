"""Write-through: what an origin may push, what becomes of it in the tiers, and what ends it. A worker here is its store, with the
purges that it has heard of.
"""

import asyncio
import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import PermissionDenied, ValidationError

from apps import httpcache
from apps.audit.models import Entry
from apps.cachestore import purges, store
from apps.cachestore.backend import close_clients
from apps.cachestore.store import ResponseStore
from apps.catalog.services import api_update, host_grant
from apps.fleet.publisher import publish_pending
from apps.foundation.errors import Conflict, Unavailable
from apps.foundation.field_names import by_path
from apps.gateway.pipeline.cache_plan import plan_call
from apps.purging.services import purge
from apps.tenants.actors import PLATFORM
from apps.warming import write_through
from apps.warming.targets import Targets
from apps.warming.write_through import entry_push
from apps.wire import redis_names
from tests.support.cast import make_api

FRESH = ((b"cache-control", b"max-age=60"), (b"content-type", b"application/json"))
HERE = "http://api.test"


class Worker:
    """A worker's two tiers. It knows the purges that were there when it last ``heard``."""

    def __init__(self, runner: asyncio.Runner, state) -> None:
        self.store = ResponseStore(8 * 2**20, caches["responses"])
        self._runner, self._state = runner, state
        self.hear()

    def hear(self) -> None:
        incarnation = int(self._state.hget(redis_names.EPOCH, "incarnation"))
        clock = int(self._state.get(redis_names.PURGE_CLOCK) or 0)
        self.store.purges.load(incarnation, clock, self._state.hgetall(redis_names.PURGES))

    def plan(self, api, target, headers=(), host="api.test") -> httpcache.RequestPlan:
        compiled = Targets(api).compiled
        found = httpcache.normalise_target(target.encode())
        path = found.path[len(compiled.listen_path) - 1 :]
        return plan_call(compiled, httpcache.Request("GET", "http", host.encode(), path, found.query, headers), None)

    def body(self, api, target="/products/items/1", headers=(), **where) -> bytes | None:
        """What a call is answered with from the tiers; ``None``: the upstream would be asked."""
        plan = self.plan(api, target, headers, **where)
        held = self.store.find_local(plan, time.time()) or self._runner.run(self.store.find(plan, time.time()))
        decision = httpcache.on_entry(plan, held, time.time())
        return (
            httpcache.response_from(decision.stored, plan, time.time()).body
            if isinstance(decision, httpcache.Serve)
            else None
        )

    def fetch(self, api, body, headers=FRESH, target="/products/items/1", request_headers=(), birth=None) -> None:
        """Store what the upstream answered."""
        plan, now = self.plan(api, target, request_headers), time.time()
        decision = httpcache.on_response(
            plan, None, httpcache.ResponseHead(200, headers), now, now, birth or self.store.purge_clock()
        )
        decision.entry.body = body
        self._runner.run(self.store.put(plan, decision.entry))


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A worker of the tests waits for the shared tier however busy the machine is."""
    monkeypatch.setattr(store, "READ_WAIT", 5.0)
    monkeypatch.setattr(store, "WRITE_WAIT", 5.0)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running
        running.run(close_clients())


@pytest.fixture
def products(cast, state_redis, cache_redis):
    """A published API of which Redis knows."""
    api = make_api(cast.platform)
    publish_pending()
    return api


@pytest.fixture
def worker(products, runner, state_redis) -> Worker:
    return Worker(runner, state_redis)


@pytest.fixture
def other(products, runner, state_redis) -> Worker:
    return Worker(runner, state_redis)


def push(api, url=f"{HERE}/products/items/1", body=b"pushed", headers=FRESH, **options):
    return entry_push(actor=PLATFORM, api=api, url=url, body=body, headers=headers, **options)


def test_a_pushed_answer_is_there_before_anybody_asked(products, worker, other):
    before = time.time()
    pushed = push(products)
    assert (worker.body(products), other.body(products)) == (b"pushed", b"pushed")
    assert pushed.reason is httpcache.Reason.STORED
    assert before + 54 <= pushed.fresh_until <= time.time() + 60  # by chance up to a tenth less than it said
    assert pushed.urls == ("http://api.test/products/items/1",)


def test_it_is_witnessed(cast, products):
    entry_push(actor=cast.olga, api=products, url=f"{HERE}/products/items/1", headers=FRESH, body=b"12345")
    entry = Entry.objects.first()
    assert (entry.verb, entry.target, entry.actor_email) == ("cache.push", "products", cast.olga.email)
    assert entry.changes == {"pushed": [None, "http://api.test/products/items/1 (200, 5 bytes)"]}


def test_an_older_copy_in_a_workers_memory_loses(products, worker, other):
    for each in (worker, other):
        each.fetch(products, b"old")
        assert each.body(products) == b"old"
    push(products)
    for each in (worker, other):
        each.hear()
        assert each.body(products) == b"pushed"


def test_other_queries_of_the_path_stay(products, worker):
    worker.fetch(products, b"second page", target="/products/items/1?page=2")
    push(products)
    worker.hear()
    assert worker.body(products, "/products/items/1?page=2") == b"second page"
    assert worker.body(products) == b"pushed"


def test_each_variant_is_pushed_by_itself(products, worker):
    vary = (*FRESH, (b"vary", b"accept-language"))
    german, french = ((b"accept-language", b"de"),), ((b"accept-language", b"fr"),)
    push(products, body=b"Brot", headers=vary, request_headers=german)
    push(products, body=b"pain", headers=vary, request_headers=french)
    worker.hear()
    assert worker.body(products, headers=german) == b"Brot"
    assert worker.body(products, headers=french) == b"pain"
    assert worker.body(products, headers=((b"accept-language", b"it"),)) is None


def test_an_answer_that_varies_takes_the_place_of_one_that_did_not(products, worker):
    worker.fetch(products, b"old")
    vary, german = (*FRESH, (b"vary", b"accept-language")), ((b"accept-language", b"de"),)
    push(products, body=b"Brot", headers=vary, request_headers=german)
    worker.hear()
    assert worker.body(products, headers=german) == b"Brot"
    assert worker.body(products) is None


def test_an_answer_that_does_not_vary_takes_the_place_of_all_variants(products, worker, other):
    vary, german = (*FRESH, (b"vary", b"accept-language")), ((b"accept-language", b"de"),)
    for each in (worker, other):
        each.fetch(products, b"Brot", vary, request_headers=german)
    push(products)
    for each in (worker, other):
        each.hear()
        assert each.body(products, headers=german) == b"pushed"
        assert each.body(products) == b"pushed"


def test_a_later_purge_ends_it(products, worker, state_redis):
    for kind, value in (("api", ""), ("path", "/items/1"), ("prefix", "/items"), ("tag", "bread")):
        push(products, headers=(*FRESH, (b"surrogate-key", b"bread basics")))
        worker.hear()
        assert worker.body(products) == b"pushed"
        purge(actor=PLATFORM, api=products, kind=kind, value=value)
        worker.hear()
        assert worker.body(products) is None, kind


def test_a_soft_purge_makes_it_stale(products, worker):
    push(products)
    purge(actor=PLATFORM, api=products, kind="api", soft=True)
    worker.hear()
    assert worker.body(products) is None


def test_it_has_the_tags_that_its_body_gives_it(products, worker):
    api_update(actor=PLATFORM, api=products, policy={"entity_tags": [{"json": "items[*].id", "tag": "item:"}]})
    products.refresh_from_db()
    pushed = push(products, body=b'{"items": [{"id": 7}, {"id": 8}]}')
    assert {"item:7", "item:8"} <= set(pushed.tags)
    purge(actor=PLATFORM, api=products, kind="tag", value="item:8")
    worker.hear()
    assert worker.body(products) is None


def test_a_fetch_that_was_under_way_does_not_bring_the_older_answer_back(products, worker):
    before = worker.store.purge_clock()
    push(products)
    worker.hear()
    worker.fetch(products, b"old", birth=before)
    assert worker.body(products) == b"pushed"


def test_a_purge_that_comes_while_it_is_pushed_wins(products, worker, monkeypatch):
    known = write_through._known

    def purged_meanwhile(cache, judged):
        purge(actor=PLATFORM, api=products, kind="prefix", value="/items")
        return known(cache, judged)

    monkeypatch.setattr(write_through, "_known", purged_meanwhile)
    with pytest.raises(Conflict, match="Push it again"):
        push(products)
    worker.hear()
    assert worker.body(products) is None


def test_a_purge_of_something_else_meanwhile_does_not(products, worker, monkeypatch):
    known = write_through._known

    def purged_meanwhile(cache, judged):
        purge(actor=PLATFORM, api=products, kind="path", value="/items/2")
        return known(cache, judged)

    monkeypatch.setattr(write_through, "_known", purged_meanwhile)
    push(products)
    worker.hear()
    assert worker.body(products) == b"pushed"


def test_header_rules_and_per_call_fields_are_applied_as_to_an_upstreams_answer(products, worker):
    api_update(actor=PLATFORM, api=products, response_headers={"set": {"x-shop": "ours"}, "remove": ["server"]})
    products.refresh_from_db()
    given = ((b"server", b"secret/1.0"), (b"x-request-id", b"theirs"), (b"connection", b"x-hop"), (b"x-hop", b"1"))
    push(products, headers=(*FRESH, *given))
    plan = worker.plan(products, "/products/items/1")
    held = worker._runner.run(worker.store.find(plan, time.time()))
    fields = dict(held.entry.headers)
    assert fields[b"x-shop"] == b"ours"
    assert not {b"server", b"x-request-id", b"connection", b"x-hop"} & fields.keys()
    assert b"date" in fields


def test_a_path_is_stored_for_each_of_the_apis_hosts(cast, state_redis, cache_redis, runner):
    api = make_api(cast.platform, hosts=["a.test", "b.test"])
    publish_pending()
    pushed = push(api, "/items/1")
    assert pushed.urls == ("http://a.test/products/items/1", "http://b.test/products/items/1")
    worker = Worker(runner, state_redis)
    assert [worker.body(api, host=host) for host in ("a.test", "b.test")] == [b"pushed", b"pushed"]


def test_below_a_wildcard_a_whole_url_says_which_host_is_meant(cast, state_redis, cache_redis, runner):
    api = make_api(cast.platform, hosts=["*.a.test"])
    publish_pending()
    assert "which host of *.a.test is meant" in str(errors_of(api, url="/items/1")["url"])
    assert "don't reach" in str(errors_of(api, url="http://a.test/products/items/1")["url"])
    pushed = push(api, "http://www.a.test/products/items/1")
    worker = Worker(runner, state_redis)
    assert (worker.body(api, host="www.a.test"), worker.body(api, host="x.a.test")) == (b"pushed", None)
    purge(actor=PLATFORM, api=api, kind="path", value="http://x.a.test/products/items/1")
    worker.hear()
    assert worker.body(api, host="www.a.test") is None, "a URL is purged at all hosts of the API"
    api = api_update(actor=PLATFORM, api=api, hosts=["*.a.test", "b.test"])
    assert push(api, "/items/1").urls == ("http://b.test/products/items/1",)
    host_grant(actor=PLATFORM, tenant=cast.globex, host="www.a.test")
    with pytest.raises(ValidationError, match="don't reach"):
        push(api, pushed.urls[0])


def test_a_path_without_hosts_is_the_gateways_own_address(products):
    assert push(products, "/items/1?b=2").urls == (f"{settings.GATEWAY_URL}/products/items/1?b=2",)
    assert push(products, "/products/items/1").urls == (f"{settings.GATEWAY_URL}/products/items/1",)


def errors_of(api, **options) -> dict[str, list[str]]:
    before = Entry.objects.count()
    with pytest.raises(ValidationError) as refusal:
        push(api, **options)
    assert Entry.objects.count() == before
    assert not caches["responses"].client.get_client().keys("*:r:*")
    return by_path(refusal.value)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ((b"cache-control", b"no-store"), "no_store"),
        ((b"cache-control", b"private"), "private"),
        ((b"set-cookie", b"a=b"), "set_cookie"),
        ((b"vary", b"*"), "vary_star"),
        ((b"content-range", b"bytes 0-1/5"), "partial"),
    ],
)
def test_what_an_upstream_may_not_have_stored_is_refused_with_the_reason(products, headers, code):
    errors = errors_of(products, headers=(*FRESH, headers))
    assert list(errors) == ["answer"]
    assert errors["answer"][0].endswith(f"({code})")


@pytest.mark.parametrize(("status", "code"), [(206, "partial"), (304, "conditional")])
def test_a_status_that_is_no_answer_for_all_is_refused(products, status, code):
    assert code in errors_of(products, status=status)["answer"][0]


def test_an_answer_without_a_lifetime_is_refused(products):
    assert "no_lifetime" in errors_of(products, headers=())["answer"][0]


def test_an_answer_larger_than_the_policy_stores_is_refused(products):
    api_update(actor=PLATFORM, api=products, policy={"max_body": 5})
    products.refresh_from_db()
    assert "too_large" in errors_of(products)["answer"][0]


def test_graphql_that_reports_errors_is_refused_as_it_would_be_from_an_upstream(products):
    api_update(actor=PLATFORM, api=products, policy={"body": "graphql"})
    products.refresh_from_db()
    assert "GraphQL" in errors_of(products, body=b'{"errors": [{"message": "busy"}]}')["answer"][0]


@pytest.mark.parametrize("length", [b"5", b"7", b"x"])
def test_a_length_that_contradicts_the_body_is_refused(products, length):
    assert "contradicts" in errors_of(products, headers=(*FRESH, (b"content-length", length)))["headers"][0]


def test_a_framing_of_its_own_is_refused(products):
    assert "headers" in errors_of(products, headers=(*FRESH, (b"transfer-encoding", b"chunked")))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"policy": {"mode": "off"}}, "mode_off"),
        ({"policy": {"scope": "tenant"}}, "no_identity"),
        ({"policy": {"sensitivity": "secret"}}, "secret"),
        ({"policy": {"sensitivity": "personal"}}, "one caller each"),
        ({"forward_credential": True}, "one caller each"),
    ],
)
def test_where_nothing_is_for_everybody_nothing_can_be_pushed(products, change, told):
    api_update(actor=PLATFORM, api=products, **change)
    products.refresh_from_db()
    assert told in errors_of(products)["url"][0]


def test_an_answer_to_a_call_with_credentials_is_not_for_everybody(products):
    asked = errors_of(products, request_headers=((b"authorization", b"Bearer x"),))
    assert "one caller each" in asked["url"][0]


@pytest.mark.parametrize(
    "url",
    [
        "http://api.test/orders/1",
        "http://api.test/products",
        "ftp://api.test/products/1",
        "http://api.test/products/..%2fx",
        "http://[::1/products/1",
    ],
)
def test_a_url_that_does_not_reach_the_api_is_refused(products, url):
    assert list(errors_of(products, url=url)) == ["url"]


def test_a_url_that_another_apis_longer_path_takes_is_refused(cast, products):
    make_api(cast.platform, "special", listen_path="/products/special/")
    assert "another API" in errors_of(products, url="/special/1")["url"][0]


def test_for_what_is_not_served_nothing_is_stored(cast, state_redis, cache_redis):
    api = make_api(cast.platform, publish=False)
    publish_pending()
    assert "publish it first" in errors_of(api)["url"][0]


@pytest.mark.parametrize("who", ["vera", "charlie"])
def test_viewers_and_strangers_push_nothing(cast, who, cache_redis):
    with pytest.raises(PermissionDenied):
        entry_push(actor=getattr(cast, who), api=make_api(cast.acme), url="/1", headers=FRESH)
    assert not cache_redis.keys("*")


def test_while_the_cache_is_away_nothing_is_purged_or_stored(products, worker, settings, extra_valkey, monkeypatch):
    worker.fetch(products, b"old")
    away = extra_valkey("cache")
    away.stop()
    monkeypatch.setattr(caches["responses"], "_server", away.url)
    monkeypatch.setattr(caches["responses"], "_client_cls", caches["responses"]._client_cls)
    broken = write_through.ResponsesCache(away.url, {})
    monkeypatch.setattr(write_through, "caches", {"responses": broken})
    with pytest.raises(Unavailable):
        push(products)
    worker.hear()
    assert worker.store.find_local(worker.plan(products, "/products/items/1"), time.time()).entry.body == b"old"


def test_while_the_state_is_away_nothing_is_stored(products, cache_redis, extra_valkey, settings):
    away = extra_valkey("state")
    away.stop()
    settings.REDIS_URL = away.url
    with pytest.raises(Unavailable):
        push(products)
    assert not cache_redis.keys("*:r:*")


def test_into_an_empty_state_nothing_is_pushed(cast, state_redis, cache_redis):
    api = make_api(cast.platform)
    state_redis.flushall()
    with pytest.raises(Unavailable):
        push(api)


def test_where_the_one_server_is_nearly_full_nothing_is_pushed(products, settings, monkeypatch, state_redis):
    settings.CACHE_REDIS_URL = settings.REDIS_URL
    monkeypatch.setattr(write_through, "ROOM", 0.0)
    cache_client = caches["responses"].client.get_client(write=True)
    bound = cache_client.config_get("maxmemory")["maxmemory"]
    cache_client.config_set("maxmemory", "100mb")
    try:
        with pytest.raises(Unavailable, match="no room"):
            push(products)
    finally:
        cache_client.config_set("maxmemory", bound)


def test_what_the_apis_bound_has_no_room_for_is_said_not_to_be_stored(products):
    api_update(actor=PLATFORM, api=products, policy={"max_size": 1024})
    products.refresh_from_db()
    with pytest.raises(Unavailable, match="no room"):
        push(products, body=b"x" * 5000)


def test_the_tags_that_a_push_ends_are_its_own(products, state_redis):
    push(products)
    assert all(tag.startswith(b"e:") for tag in state_redis.hkeys(redis_names.PURGES))
    assert purges.FLOOR.encode() not in state_redis.hkeys(redis_names.PURGES)
