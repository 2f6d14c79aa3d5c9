"""A policy that lets less be stored, or fewer see it, ends what was stored under the wider one (RFC 9111 §7.3)."""

from typing import Any

import pytest

from apps.audit.models import Entry as AuditEntry
from apps.catalog.models import API
from apps.fleet.compile import compile_api
from apps.httpcache import Identity, Policy, ResponseHead, SharingScope, Store, on_response, plan_request
from apps.purging import services as caching
from apps.tenants.actors import PLATFORM
from tests.httpcache.build import BIRTH, NOW, pairs, request
from tests.support.cast import Cast, make_api, make_tenant

pytestmark = pytest.mark.django_db

ANN, BOB = Identity("acme", "acme/bot", "ann"), Identity("zenith", "zenith/bot", "bob")
COOKIE = [("Cookie", "a=1")]


def policy_now(path: bytes = b"/items/1") -> Policy:
    return compile_api(API.objects.get()).policy_for("GET", path)


def plan_of(policy: Policy, identity: Identity, headers: Any = ()) -> Any:
    return plan_request(request(headers=headers), policy, identity)


@pytest.mark.parametrize(
    ("wide", "narrow", "headers", "answered"),
    [
        ({}, {"scope": "tenant"}, [], []),
        ({"scope": "shared"}, {"scope": "subject"}, [], []),
        ({"scope": "tenant"}, {"scope": "application"}, [], []),
        ({}, {"sensitivity": "personal"}, [], []),
        ({"sensitivity": "public"}, {"sensitivity": "secret"}, [], []),
        ({}, {"mode": "off"}, [], []),
        ({}, {"methods": ["HEAD"]}, [], []),
        ({}, {"headers": ["x-tier"]}, [], []),
        ({"headers": ["x-tier"]}, {"headers": ["x-tier", "x-region"]}, [], []),
        ({"query_mode": "exclude", "query_names": ["user"]}, {"query_mode": "all", "query_names": []}, [], []),
        ({"store_set_cookie": True}, {"store_set_cookie": False}, [], [("Set-Cookie", "sid=1")]),
        ({"share_with_credentials": True}, {"share_with_credentials": False}, COOKIE, []),
        ({}, {"ttl": 1.0, "mode": "override"}, [], []),
        ({"negative_ttl": 600.0}, {"negative_ttl": 1.0}, [], []),
        ({"stale_if_error": 600.0}, {"stale_if_error": 0.0}, [], []),
        ({"origin_stale_beside_s_maxage": True}, {"origin_stale_beside_s_maxage": False}, [], []),
        ({"entity_tags": []}, {"entity_tags": [{"json": "id", "tag": "item:"}]}, [], []),
        ({"downstream": "pass"}, {"downstream": "no-store"}, [], []),
        ({"surrogate_control": "pass"}, {"surrogate_control": "remove"}, [], []),
        ({}, {"operations": [{"path": "/items/*", "scope": "subject"}]}, [], []),
        ({}, {"operations": [{"path": "/items/*", "mode": "off"}]}, [], []),
    ],
)
def test_what_was_stored_under_the_wider_policy_is_not_reached_any_more(wide, narrow, headers, answered):
    api = make_api(make_tenant("platform"), policy=wide)
    before = plan_of(policy_now(), ANN, headers)
    head = ResponseHead(200, pairs([("Cache-Control", "max-age=600"), *answered]))
    stored = on_response(before, None, head, NOW, NOW, BIRTH)
    assert isinstance(stored, Store), "the wider policy stores it"
    caching.policy_update(actor=PLATFORM, api=api, **narrow)
    for identity in (ANN, BOB):
        after = plan_of(policy_now(), identity, headers)
        assert after.bypass is not None or stored.entry.key not in after.keys


def test_what_only_bounds_or_reads_the_store_leaves_what_is_there():
    api = make_api(make_tenant("platform"), policy={"mode": "ttl"})
    before = plan_of(policy_now(), ANN)
    harmless: Any = {"jitter": 0.5, "max_body": 1000, "max_variants": 2, "max_size": 10**6, "collections": False}
    caching.policy_update(actor=PLATFORM, api=api, client_directives="ignore", **harmless)
    assert plan_of(policy_now(), ANN).keys == before.keys


def test_an_answer_shared_by_the_switch_says_so_and_without_it_is_the_caller_s_own():
    api = make_api(make_tenant("platform"))
    head = ResponseHead(200, pairs([("Cache-Control", "max-age=600")]))
    rules = []
    for switch in (False, True):
        caching.policy_update(actor=PLATFORM, api=api, share_with_credentials=switch)
        plan = plan_of(policy_now(), ANN, COOKIE)
        stored = on_response(plan, None, head, NOW, NOW, BIRTH)
        assert isinstance(stored, Store)
        rules.append((stored.entry.scope, stored.entry.rule))
    assert rules == [
        (SharingScope.SUBJECT, "credentials forwarded"),
        (SharingScope.SHARED, "credentials, shared by the policy's switch"),
    ]


def test_the_switch_is_in_the_audit_log_by_name_with_its_value_before_and_after(cast: Cast):
    api = make_api(cast.platform)
    caching.policy_update(actor=cast.olga, api=api, share_with_credentials=True, comment="The price list is public.")
    entry = AuditEntry.objects.latest("pk")
    assert entry.changes == {"cache.share_with_credentials": [False, True]}
    assert (entry.target, entry.comment) == ("products", "The price list is public.")
    caching.policy_update(actor=cast.olga, api=api, operations=[{"path": "/own/**", "share_with_credentials": False}])
    changed = AuditEntry.objects.latest("pk").changes
    assert changed["cache.operations"] == [None, [{"path": "/own/**", "share_with_credentials": False}]]
