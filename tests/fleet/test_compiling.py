"""Rows in, what gateways read out."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from apps.access import services as access
from apps.access.models import Credential
from apps.catalog import services as catalog
from apps.catalog.models import API
from apps.catalog.services import api_update, openapi_import
from apps.fleet.compile import (
    affected_by,
    all_credentials,
    all_parts,
    compile_api,
    compile_plan,
    credentials_of,
    parts_of,
)
from apps.purging import services as caching
from apps.tenants.actors import PLATFORM
from apps.wire.snapshot import Concurrency, HeaderRules, Operation, Upstream
from tests.support.cast import make_api, make_application, make_key, make_plan, make_subscription, make_tenant

pytestmark = pytest.mark.django_db


def compiled(slug: str = "products"):
    return parts_of(affected_by([["api", slug]]))[f"api:{slug}"]


def test_an_api_is_compiled_with_all_that_a_call_meets():
    api = make_api(
        make_tenant("platform"),
        hosts=["shop.test"],
        strip_listen_path=False,
        api_key_header="X-Shop-Key",
        connect_timeout=1.5,
        read_timeout=9.0,
        retries=2,
        concurrent_calls=7,
        queued_calls=3,
        queue_wait=0.5,
        body_limit=1234,
        request_headers={"set": {"X-From": "apimgr"}, "remove": ["X-Secret"]},
        policy={"mode": "ttl", "ttl": 30.0, "headers": ["X-Tier"], "query_mode": "include", "query_names": ["q"]},
    )
    made = compiled()
    assert made.tenant == "platform"
    assert made.revision == api.revision
    assert made.hosts == ("shop.test",)
    assert made.strip_listen_path is False
    assert made.api_key_header == "x-shop-key"
    assert made.upstreams == (Upstream("http://127.0.0.1:9/", 1),)
    assert (made.connect_timeout, made.read_timeout, made.retries, made.body_limit) == (1.5, 9.0, 2, 1234)
    assert made.concurrency == Concurrency(7, 3, 0.5)
    assert made.request_headers == HeaderRules((("x-from", "apimgr"),), ("x-secret",))
    assert (made.policy.api, made.policy.mode, made.policy.ttl) == ("products", "ttl", 30.0)
    assert made.policy.methods == ("GET", "HEAD")
    assert made.policy.headers == ("x-tier",)
    assert (made.policy.query_mode, made.policy.query_names) == ("include", ("q",))


def test_operations_are_compiled():
    api = make_api(make_tenant("platform"))
    catalog.api_update(actor=PLATFORM, api=api, operations=[{"method": "GET", "path": "/items/{id}"}])
    assert compiled().operations == (Operation("GET", "/items/{id}"),)


def test_the_caches_policy_knows_whether_anybody_may_call():
    """What caches behind the gateway may share depends on it; and so what was told before ends with a change of it."""
    api = make_api(make_tenant("platform"))
    closed = compiled().policy
    catalog.api_update(actor=PLATFORM, api=api, authentication=["none"])
    opened = compiled().policy
    assert (closed.open_to_all, opened.open_to_all) == (False, True)
    assert closed.group != opened.group


def test_what_is_not_served_or_gone_is_a_tombstone():
    make_api(make_tenant("platform"), publish=False)
    parts = parts_of(affected_by([["api", "products"], ["api", "never"], ["plan", "never"]]))
    assert parts == dict.fromkeys(("api:products", "schema:products", "api:never", "schema:never", "plan:never"))
    digest = "00" * 32
    assert list(credentials_of(affected_by([["key", digest]]))) == [{digest: None}]


DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "version": "1"},
    "paths": {
        "/items": {
            "post": {
                "parameters": [{"name": "q", "in": "query", "schema": {"type": "integer"}}],
                "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
                "responses": {"200": {"content": {"application/json": {"schema": {"type": "array"}}}}},
            }
        }
    },
}


def test_gateways_get_of_a_document_what_its_api_has_checked():
    api = make_api(make_tenant("platform"))
    openapi_import(actor=PLATFORM, api=api, content=json.dumps(DOCUMENT).encode())

    def compiled(**settings):
        api_update(actor=PLATFORM, api=api, **settings)
        found = parts_of(affected_by([["api", "products"]]))["schema:products"]
        everything = {name: part for parts in all_parts() for name, part in parts.items()}
        assert everything.get("schema:products") == found
        return found

    assert compiled() is None
    operation = compiled(validate_requests="report").operations[0]
    assert (operation.parameters[0].name, [kind for kind, _ in operation.content]) == ("q", ["application/json"])
    assert operation.responses == ()
    operation = compiled(validate_requests="off", validate_responses="report").operations[0]
    assert (operation.parameters, operation.content, operation.responses[0][0]) == ((), (), "200")
    assert compiled(validate_responses="off") is None


def test_a_plan_without_limits_has_none():
    plan = compile_plan(make_plan("free", rate_calls=None, burst=None, quota=None, trust_lease=0.0))
    assert (plan.rate, plan.burst, plan.quota, plan.trust_lease) == (None, None, None, 0.0)
    plan = compile_plan(make_plan("minute", rate_calls=90, rate_period=60.0, burst=10))
    assert (plan.rate, plan.burst) == (1.5, 10)


def test_a_key_carries_its_grants_and_limits():
    platform, acme = make_tenant("platform"), make_tenant("acme")
    api, other = make_api(platform), make_api(platform, slug="other")
    application = make_application(acme)
    end = datetime(2030, 1, 1, tzinfo=UTC)
    subscription = make_subscription(application, api, expires_at=end)
    make_subscription(application, other, state="revoked")
    key = make_key(application, expires_at=end).key
    (records,) = credentials_of(affected_by([["key", key.digest]]))
    record = records[key.digest]
    assert (record.key_id, record.application, record.tenant, record.state) == (key.pk, "acme/bot", "acme", "active")
    assert record.expires_at == end.timestamp()
    assert set(record.grants) == {"products"}
    assert record.grants["products"].subscription == subscription.pk
    assert record.grants["products"].expires_at == end.timestamp()
    assert record.only_api is None


def test_a_trial_key_opens_one_api_alone():
    api = make_api(make_tenant("platform"))
    application = make_application(make_tenant("acme"))
    make_subscription(application, api)
    key = access.trial_key_create(actor=PLATFORM, application=application, api=api).key
    (records,) = credentials_of(affected_by([["application", "acme/bot"]]))
    assert records[key.digest].only_api == "products"
    assert records[key.digest].expires_at is not None


def test_a_tenant_means_its_keys_and_nobody_elses():
    acme, globex = make_tenant("acme"), make_tenant("globex")
    mine = make_key(make_application(acme)).key.digest
    make_key(make_application(globex))
    affected = affected_by([["tenant", "acme"]])
    assert parts_of(affected) == {}
    assert [set(records) for records in credentials_of(affected)] == [{mine}]


def test_applications_of_one_name_in_two_tenants_are_two():
    mine = make_key(make_application(make_tenant("acme"))).key.digest
    make_key(make_application(make_tenant("globex")))
    assert [set(records) for records in credentials_of(affected_by([["application", "acme/bot"]]))] == [{mine}]


def test_everything_is_compiled_in_chunks_that_miss_nothing(monkeypatch):
    monkeypatch.setattr("apps.fleet.compile.CHUNK", 2)
    platform = make_tenant("platform")
    for number in range(5):
        make_api(platform, slug=f"api{number}")
    make_plan()
    application = make_application(platform)
    digests = {make_key(application, name=f"key{number}").key.digest for number in range(5)}
    parts = [set(chunk) for chunk in all_parts()]
    assert set().union(*parts) == {f"api:api{number}" for number in range(5)} | {"plan:standard", "egress:"}
    assert max(map(len, parts)) == 2
    records = [set(chunk) for chunk in all_credentials()]
    assert set().union(*records) == digests
    assert max(map(len, records)) == 2


def test_the_number_of_queries_does_not_grow_with_what_is_compiled(django_assert_num_queries):
    platform = make_tenant("platform")
    application = make_application(platform)
    for number in range(6):
        make_subscription(application, make_api(platform, slug=f"api{number}"))
        make_key(application, name=f"key{number}")
    with django_assert_num_queries(3):  # APIs, their upstreams, their operations
        assert len(parts_of(affected_by([["api", f"api{number}"] for number in range(6)]))) == 12
    affected = affected_by([["tenant", "platform"]])
    with django_assert_num_queries(3):  # keys, their subscriptions; no more keys
        assert sum(map(len, credentials_of(affected))) == 6


@pytest.mark.parametrize(
    ("change", "another"),
    [
        ({"upstreams": [{"url": "http://127.0.0.1:10/", "weight": 1}]}, True),
        ({"upstreams": [{"url": "http://127.0.0.1:9/", "weight": 5}]}, False),
        ({"strip_listen_path": False}, True),
        ({"response_headers": {"set": {"X-A": "1"}, "remove": []}}, True),
        ({"read_timeout": 3.0}, False),
        ({"debug_headers": "all"}, False),
        ({"policy": {"store_set_cookie": True}}, True),
        ({"policy": {"ttl": 5.0}}, True),
        ({"policy": {"client_directives": "ignore"}}, False),
    ],
)
def test_answers_stored_under_other_rules_are_of_another_group(change, another):
    api = make_api(make_tenant("platform"))
    before = compiled().policy.group
    catalog.api_update(actor=PLATFORM, api=api, **change)
    assert (compiled().policy.group != before) is another


def test_an_api_that_takes_a_slug_over_finds_nothing_of_the_old_one():
    platform = make_tenant("platform")
    api = make_api(platform, publish=False)
    old = compile_api(API.objects.get()).policy.group
    catalog.api_delete(actor=PLATFORM, api=api)
    make_api(platform)
    assert compiled().policy.group != old


def test_a_policy_changed_by_the_caching_service_is_compiled_too():
    api = make_api(make_tenant("platform"))
    caching.policy_update(actor=PLATFORM, api=api, mode="off")
    assert compiled().policy.mode == "off"
    assert Credential.objects.count() == 0


OPERATIONS = [
    {"path": "/items/{id}", "methods": ["GET"], "ttl": 5.0},
    {"path": "/search", "methods": ["POST"], "scope": "tenant"},
    {"path": "/reports/**", "mode": "off"},
]


def test_an_operation_s_policy_is_the_api_s_but_for_what_it_says():
    make_api(make_tenant("platform"), policy={"mode": "ttl", "ttl": 60.0, "headers": ["x-a"], "operations": OPERATIONS})
    made = compiled()
    item, search, reports = (each.policy for each in made.operation_policies)
    assert item == replace(made.policy, ttl=5.0, group=item.group), "GET stands for HEAD too"
    assert search == replace(made.policy, scope="tenant", methods=("POST",), group=search.group)
    assert reports == replace(made.policy, mode="off", group=reports.group)
    assert len({made.policy.group, item.group, search.group, reports.group}) == 4


@pytest.mark.parametrize(
    ("method", "path", "ttl", "mode"),
    [
        ("GET", b"/items/7", 5.0, "ttl"),
        ("HEAD", b"/items/7", 5.0, "ttl"),
        ("DELETE", b"/items/7", 60.0, "ttl"),
        ("GET", b"/items", 60.0, "ttl"),
        ("GET", b"/reports/2026/7", 60.0, "off"),
        ("POST", b"/reports", 60.0, "off"),
    ],
)
def test_a_call_has_the_policy_of_the_first_operation_that_it_falls_under(method, path, ttl, mode):
    make_api(make_tenant("platform"), policy={"mode": "ttl", "operations": OPERATIONS})
    policy = compiled().policy_for(method, path)
    assert (policy.ttl, policy.mode) == (ttl, mode)


def test_an_api_caches_when_any_of_its_operations_does():
    api = make_api(make_tenant("platform"), policy={"mode": "off"})
    assert not compiled().caches
    caching.policy_update(actor=PLATFORM, api=api, operations=[{"path": "/items/*", "mode": "ttl"}])
    assert compiled().caches


@pytest.mark.parametrize("sensitivity", ["personal", "secret"])
def test_an_operation_is_as_sensitive_as_its_api(sensitivity):
    wide = {"path": "/**", "scope": "shared", "share_with_credentials": True}
    make_api(make_tenant("platform"), policy={"sensitivity": sensitivity, "operations": [wide]})
    assert compiled().policy_for("GET", b"/a").sensitivity == sensitivity


def test_a_snapshot_part_travels_with_its_policies():
    make_api(make_tenant("platform"), policy={"entity_tags": [{"json": "id", "tag": "i:"}], "operations": OPERATIONS})
    made = compiled()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(made), type=type(made)) == made


def test_a_key_carries_the_apis_that_it_is_limited_to():
    make_api(make_tenant("platform"))
    application = make_application(make_tenant("acme"))
    key = access.key_create(actor=PLATFORM, application=application, name="ci", apis=["products"]).key
    (records,) = credentials_of(affected_by([["key", key.digest]]))
    assert records[key.digest].apis == ("products",)
    assert [records[key.digest].is_for(slug) for slug in ("products", "weather")] == [True, False]
