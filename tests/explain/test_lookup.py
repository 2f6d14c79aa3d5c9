"""What the cache would do with a typed request, who may ask, and who sees whose entries."""

import json
import time
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps import httpcache
from apps.access.models import Credential
from apps.access.services import client_id_add, key_create, trial_key_create
from apps.cachestore import path_index
from apps.cachestore.backend import close_clients
from apps.cachestore.inspection import CacheInspection
from apps.cachestore.purges import purge
from apps.caching.models import CachePolicy
from apps.catalog.models import API
from apps.catalog.services import api_update
from apps.explain import lookup as module
from apps.explain.head_stages import StoredConfig, stages, taken_in
from apps.explain.lookup import explain
from apps.fleet import state
from apps.fleet.publisher import publish_pending
from apps.foundation.errors import Unavailable
from apps.gateway.gateway import Gateway
from apps.gateway.pipeline.stages import DependsOn
from apps.gateway.pipeline.stages.cache import plan_of
from apps.purging.services import policy_update
from apps.tenants.actors import PLATFORM
from apps.tenants.choices import Role
from apps.wire import redis_names
from apps.wire.api_keys import make_key as make_key_text
from tests.gateway.house import Origin, gateway_options, ok, serving
from tests.gateway.tokens import CLIENT, key_set, token
from tests.httpcache.build import pairs
from tests.support.cast import (
    make_api,
    make_application,
    make_cast,
    make_introspection,
    make_issuer,
    make_key,
    make_subscription,
    make_user,
)

HOST = settings.GATEWAY_URL.partition("//")[2]


@pytest.fixture
def bots(cast, state_redis, cache_redis):
    """The published API ``products`` of the tenant platform, and two subscribed applications: acme's and globex's."""
    api = make_api(cast.platform)
    applications = [make_application(tenant) for tenant in (cast.acme, cast.globex)]
    for application in applications:
        make_key(application)
        make_subscription(application, api)
    publish_pending()
    return applications


def kept(url="/products/items", *, application=None, asked=(), said=("max-age=60",), vary=None, ago=0.0):
    """Store a response as a gateway would, ``ago`` seconds in the past."""
    typed = module.typed(url, "GET", list(asked), None)
    x, _ = taken_in(typed, StoredConfig(), application)
    plan = plan_of(x)
    client = state.client()
    birth = state.redis_state(client).incarnation, int(client.get(redis_names.PURGE_CLOCK) or 0)
    headers = [("Cache-Control", *said)] + ([("Vary", vary)] if vary else []) + [("ETag", '"1"')]
    at = time.time() - ago
    decision = httpcache.on_response(plan, None, httpcache.ResponseHead(200, pairs(headers)), at, at, birth)
    assert isinstance(decision, httpcache.Store), decision
    entry = decision.entry
    entry.body = b"a body that nobody is shown"
    records, _ = httpcache.placement(caches["responses"].get(entry.key.hex()), entry, 64)
    values = [(key.hex(), record, 600.0) for key, record in records]
    caches["responses"].write(values, note=path_index.index_row(plan, entry, records[-1][0]))
    return entry, plan.key_name


def asked_by(actor, application, url="/products/items", **how):
    return explain(actor=actor, url=url, application=application, **how)


def differing(found):
    return [(each.label, each.wanted, each.stored) for each in found.nearest.differences]


# The decision


def test_without_anything_stored_it_is_a_miss_with_its_key_in_parts(cast, bots):
    found = asked_by(cast.olga, bots[0], "/products/items/7?b=2&a=1")
    assert (found.result, found.reason, found.api, found.application) == ("MISS", "not_found", "products", "acme/bot")
    assert found.url == f"http://{HOST}/products/items/7?b=2&a=1"
    assert found.forwarded == "/items/7?b=2&a=1"
    parts = {part.label: part.value for part in found.parts}
    assert (parts["host"], parts["path"], parts["query"], parts["scope"]) == (HOST, "/items/7", "b=2&a=1", "shared")
    assert len(found.key) == 64
    assert found.stored is found.nearest is None


def test_what_is_stored_is_a_hit_and_its_body_is_not_shown(cast, bots):
    entry, _ = kept()
    found = asked_by(cast.olga, bots[0])
    assert (found.result, found.reason, found.key) == ("HIT", "fresh", entry.key.hex())
    assert (found.stored.state, found.stored.status, found.stored.size) == ("fresh", 200, len(entry.body))
    assert (found.stored.scope, found.stored.holder) == ("shared", "")
    assert found.nearest is None
    assert "nobody is shown" not in repr(found)


@pytest.mark.parametrize(
    ("said", "headers", "result", "reason", "state"),
    [
        ("max-age=60", [("Cache-Control", "max-age=5")], "REVALIDATED", "request_max_age", "fresh"),
        ("max-age=10", [], "REVALIDATED", "expired", "stale"),
        ("max-age=10, stale-while-revalidate=60", [], "STALE", "stale_while_revalidate", "stale"),
        ("max-age=10", [("Cache-Control", "only-if-cached")], "REFUSED", "only_if_cached", "stale"),
        ("max-age=60", [("If-Match", "x")], "BYPASS", "request_precondition", None),
    ],
)
def test_every_decision_has_its_result_and_its_reason(cast, bots, said, headers, result, reason, state):
    kept(said=(said,), ago=30)
    found = asked_by(cast.olga, bots[0], headers=headers)
    assert (found.result, found.reason) == (result, reason)
    assert (found.stored.state if found.stored else None) == state
    assert found.sentence == httpcache.Reason(reason).sentence


def test_a_purged_answer_is_a_miss_that_says_so(cast, bots):
    kept()
    purge(state.client(), [httpcache.tag_of_path("products", b"/items")])
    found = asked_by(cast.olga, bots[0])
    assert (found.result, found.reason, found.stored.state) == ("MISS", "purged", "purged")


def test_a_soft_purge_makes_it_stale(cast, bots):
    kept()
    purge(state.client(), [httpcache.tag_of_api("products")], soft=True)
    found = asked_by(cast.olga, bots[0])
    assert (found.result, found.reason, found.stored.state) == ("REVALIDATED", "soft_purged", "stale")


def test_a_body_is_part_of_the_request(cast, bots):
    policy_update(actor=PLATFORM, api=API.objects.get(), methods=["GET", "POST"])
    json = [("Content-Type", "application/json")]
    one, other = (
        asked_by(cast.olga, bots[0], method="POST", headers=json, body=body) for body in (b'{"a":1}', b' {"a": 1.0}')
    )
    assert one.key == other.key
    assert {part.label: part.value for part in one.parts}["body form"] == "json"
    large = asked_by(cast.olga, bots[0], method="POST", body=b"x" * (2**20 + 1))
    assert (large.result, large.reason) == ("BYPASS", "body_too_large_to_key")
    huge = asked_by(cast.olga, bots[0], method="POST", body=b"x" * (10 * 2**20 + 1))
    assert (huge.result, huge.reason) == ("REFUSED", "body_too_large")


def test_the_operations_policy_that_decided_is_named(cast, bots):
    policy_update(actor=PLATFORM, api=API.objects.get(), operations=[{"path": "/live/*", "mode": "off"}])
    found = asked_by(cast.olga, bots[0], "/products/live/7")
    assert (found.result, found.reason, found.operation) == ("BYPASS", "mode_off", "/live/*")
    assert asked_by(cast.olga, bots[0]).operation == ""


def test_another_policy_can_be_tried(cast, bots):
    found = asked_by(
        cast.olga, bots[0], "/products/items?a=1&utm=x", policy=CachePolicy(query_mode="exclude", query_names=["utm"])
    )
    assert found.forwarded == "/items?a=1"
    assert asked_by(cast.olga, bots[0], policy=CachePolicy(mode="off")).reason == "mode_off"


# The nearest stored response


def test_the_nearest_answer_is_the_one_that_differs_in_the_fewest_parts(cast, bots):
    kept("http://other.test/products/items?a=2")
    kept("/products/items?a=2")
    kept("/products/other?a=1")
    found = asked_by(cast.olga, bots[0], "/products/items?a=1")
    assert differing(found) == [("query", "a=1", "a=2")]
    assert found.nearest.others == 1
    assert found.nearest.stored.state == "fresh"


@pytest.mark.parametrize(("asked", "there"), [("/items/", "/items"), ("/items", "/items/")])
def test_a_slash_at_the_end_is_a_difference_that_is_found(cast, bots, asked, there):
    kept(f"/products{there}")
    assert differing(asked_by(cast.olga, bots[0], f"/products{asked}")) == [("path", asked, there)]


def test_a_changed_policy_shows_in_the_revision_group(cast, bots):
    kept()
    policy_update(actor=PLATFORM, api=API.objects.get(), mode="ttl")
    ((label, _, _),) = differing(asked_by(cast.olga, bots[0]))
    assert label == "revision group"


def test_another_variant_names_the_field_that_selects_it(cast, bots):
    kept(asked=[("Accept-Language", "de")], vary="Accept-Language, Cookie")
    found = asked_by(cast.olga, bots[0], headers=[("Accept-Language", "fr")])
    assert (found.result, found.reason) == ("MISS", "vary_mismatch")
    assert differing(found) == [("Vary: accept-language", "fr", "de")]


def test_a_credential_in_a_variant_is_never_shown(cast, bots):
    kept(asked=[("Cookie", "hunter2")], said=("max-age=60, public",), vary="Cookie")
    found = asked_by(cast.olga, bots[0], headers=[("Cookie", "other-secret")])
    assert found.nearest is not None
    assert "hunter2" not in repr(found)
    assert "other-secret" not in repr(found)


def test_a_purged_neighbour_is_said_to_be_purged_and_a_lost_one_is_none(cast, bots):
    entry, _ = kept("/products/items?a=2")
    purge(state.client(), [httpcache.tag_of_api("products")])
    assert asked_by(cast.olga, bots[0]).nearest.stored.state == "purged"
    caches["responses"].delete(entry.key.hex())
    assert asked_by(cast.olga, bots[0]).nearest is None


# Who may ask, and who sees what


@pytest.fixture
def each_its_own(bots):
    """Every application of ``products`` has answers of its own, and acme's has one."""
    policy_update(actor=PLATFORM, api=API.objects.get(), scope="application")
    kept(application=bots[0])
    return bots


def test_the_apis_owner_sees_whose_the_nearest_answer_is(cast, each_its_own):
    found = asked_by(cast.olga, each_its_own[1])
    assert found.result == "MISS"
    assert differing(found) == [("owner", "globex/bot", "acme/bot")]
    assert (found.nearest.stored.scope, found.nearest.stored.holder) == ("application", "acme/bot")
    assert asked_by(cast.ada, each_its_own[1]).nearest is not None


def test_another_tenant_never_learns_of_it(cast, each_its_own):
    found = asked_by(cast.charlie, each_its_own[1])
    assert (found.result, found.nearest) == ("MISS", None)
    assert "acme" not in repr(found)


def test_its_own_tenant_does(cast, each_its_own):
    assert asked_by(cast.vera, each_its_own[0]).result == "HIT"
    assert asked_by(cast.bob, each_its_own[0], "/products/items?a=1").nearest.stored.holder == "acme/bot"


def test_what_others_asked_of_a_shared_answer_is_not_told(cast, bots):
    """Its query may hold an address or a token; that there is one, and in which part it differs, is no secret."""
    policy_update(actor=PLATFORM, api=API.objects.get(), headers=["x-coupon"])
    kept("/products/items?email=ann@acme.test", application=bots[0], asked=[("X-Coupon", "HUNTER2")])
    found = asked_by(cast.charlie, bots[1], "/products/items?email=me")
    assert differing(found) == [("query", "email=me", "(another)"), ("headers", "x-coupon: (none)", "(another)")]
    assert (found.nearest.stored.key, found.nearest.stored.tags) == ("", ())
    assert "ann@acme" not in repr(found)
    assert "HUNTER2" not in repr(found)
    assert "ann@acme" in repr(asked_by(cast.olga, bots[1], "/products/items?email=me"))


def test_nobody_explains_calls_of_an_application_that_isnt_theirs(cast, bots):
    with pytest.raises(PermissionDenied):
        asked_by(cast.charlie, bots[0])


@pytest.mark.parametrize(
    ("shown_to", "subscriber", "anybody"), [("none", False, False), ("subscribers", True, False), ("all", True, True)]
)
def test_callers_may_ask_as_far_as_the_api_shows_its_cache(cast, bots, shown_to, subscriber, anybody):
    API.objects.update(debug_headers=shown_to, authentication=["api_key", "none"])
    for application, allowed in ((bots[1], subscriber), (None, anybody)):
        if allowed:
            assert asked_by(cast.charlie, application).result == "MISS"
        else:
            with pytest.raises(PermissionDenied):
                asked_by(cast.charlie, application)


def test_a_viewer_of_the_apis_tenant_asks_but_sees_no_other_tenants_entries(cast, each_its_own):
    viewer = make_user("viewer@platform.test", cast.platform, Role.VIEWER)
    API.objects.update(authentication=["api_key", "none"])
    found = explain(actor=viewer, url="/products/items")
    assert (found.result, found.nearest) == ("BYPASS", None)
    policy_update(actor=PLATFORM, api=API.objects.get(), scope="auto")
    assert explain(actor=viewer, url="/products/items").nearest is None


# What never reaches the cache


def test_a_call_without_a_key_is_refused_as_the_gateway_does(cast, bots):
    found = asked_by(cast.olga, None)
    assert (found.result, found.reason, found.parts) == ("REFUSED", "missing_credential", ())
    assert asked_by(cast.olga, None, method="HEAD").sentence == found.sentence


def test_a_key_among_the_headers_says_who_calls(cast, bots):
    secret = make_key(bots[0], "other").secret
    found = explain(actor=cast.olga, url="/products/items", headers=[("X-API-Key", secret)])
    assert (found.result, found.application) == ("MISS", "acme/bot")
    assert secret not in repr(found)
    wrong = explain(actor=cast.olga, url="/products/items", headers=[("X-API-Key", "nobody-has-this-key")])
    assert (wrong.result, wrong.reason) == ("REFUSED", "invalid_credential")


def test_a_token_whose_server_would_have_to_be_asked_is_left_to_gateways(cast, bots):
    make_introspection("legacy")
    api_update(actor=PLATFORM, api=API.objects.get(), authentication=["introspection"], introspection="legacy")
    found = explain(actor=cast.olga, url="/products/items", headers=[("Authorization", "Bearer an-opaque-token")])
    assert (found.result, found.reason) == ("REFUSED", "not_ready")
    assert "asked by gateways" in found.sentence
    assert "an-opaque-token" not in repr(found)


def test_a_token_among_the_headers_is_checked_as_gateways_do(cast, bots):
    make_issuer("corp", jwks=json.loads(key_set()))
    rules = {"issuers": ["corp"], "required_scopes": ["read"]}
    api_update(actor=PLATFORM, api=API.objects.get(), authentication=["jwt"], jwt=rules)
    client_id_add(actor=PLATFORM, application=bots[0], client_id=CLIENT)

    def asked(given):
        return explain(actor=cast.olga, url="/products/items", headers=[("Authorization", f"Bearer {given}")])

    good = token(None, None, scope="read")
    found = asked(good)
    assert (found.result, found.application) == ("MISS", "acme/bot")
    assert good not in repr(found)
    assert (asked(token()).result, asked(token()).reason) == ("REFUSED", "insufficient_scope")
    expired = asked(token(None, None, exp=1))
    assert (expired.result, expired.reason) == ("REFUSED", "invalid_token")
    assert "expired" in expired.sentence


def test_an_application_without_a_subscription_is_refused(cast, bots):
    stranger = make_application(cast.acme, "stranger")
    make_key(stranger)
    found = asked_by(cast.olga, stranger)
    assert (found.result, found.reason) == ("REFUSED", "not_subscribed")


def test_an_application_without_a_key_cant_call(cast, bots):
    with pytest.raises(ValidationError, match="no active key"):
        asked_by(cast.olga, make_application(cast.acme, "keyless"))


def ended(key):
    Credential.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    return key


def test_the_call_is_made_with_a_key_that_can_call_now_however_old_it_is(cast, bots):
    usable = bots[0].keys.get()
    ended(make_key(bots[0], "ended").key)
    ended(trial_key_create(actor=PLATFORM, application=bots[0], api=API.objects.get()).key)
    make_api(cast.platform, "other")
    key_create(actor=PLATFORM, application=bots[0], name="for another API", apis=["other"])
    found = asked_by(cast.alice, bots[0])
    assert (found.result, found.api_key) == ("MISS", str(usable))


def test_a_refusal_for_the_key_says_which_key_it_is(cast, bots):
    key = ended(bots[0].keys.get())
    found = asked_by(cast.alice, bots[0])
    assert (found.result, found.reason, found.api_key) == ("REFUSED", "invalid_credential", str(key))


def test_which_key_it_is_is_for_those_who_may_see_it(cast, bots):
    assert asked_by(cast.olga, bots[0]).api_key == ""
    assert asked_by(PLATFORM, bots[0]).api_key == str(bots[0].keys.get())


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("/nothing/here", "unknown_api"),
        ("/products/%00", "invalid_request"),
        ("/products/..%2Fa", "invalid_request"),
        pytest.param("/products/" + make_key_text(), "invalid_request", id="a key in the address"),
        ("/products", "listen_path"),
    ],
)
def test_what_the_door_refuses_says_so(cast, bots, url, reason):
    found = asked_by(cast.olga, bots[0], url)
    assert (found.result, found.reason) == ("REFUSED", reason)
    assert found.sentence


def test_the_url_must_lead_to_the_api_that_was_named(cast, bots):
    make_api(cast.platform, "other")
    products, other = API.objects.get(slug="products"), API.objects.get(slug="other")
    assert asked_by(cast.olga, bots[0], api=products).result == "MISS"
    for url in ("/products/items", "/nothing"):
        with pytest.raises(ValidationError) as refused:
            asked_by(cast.olga, bots[0], url, api=other)
        assert list(refused.value.message_dict) == ["url"]


def test_the_longest_listen_path_and_the_host_decide_as_in_the_gateway(cast, bots):
    make_api(cast.platform, "inner", listen_path="/products/inner/")
    make_api(cast.platform, "hosted", hosts=["h.test"], listen_path="/products/inner/deep/")
    found = {url: explain(actor=cast.ada, url=url).api for url in (
        "/products/inner/a", "/products/a", "/products/inner/deep/a", "http://h.test/products/inner/deep/a")}  # fmt: skip
    assert list(found.values()) == ["inner", "products", "inner", "hosted"]


def test_a_wildcard_and_whose_its_names_are_decide_as_in_the_gateway(cast, bots):
    make_api(cast.acme, "wild", hosts=["*.acme.test"], listen_path="/products/")
    make_api(cast.globex, "theirs", hosts=["shop.acme.test"], listen_path="/other/")
    found = {host: explain(actor=cast.ada, url=f"http://{host}/products/a").api for host in (
        "www.acme.test", "WWW.acme.test:80", "acme.test", "shop.acme.test", "a.www.acme.test")}  # fmt: skip
    assert list(found.values()) == ["wild", "wild", "products", "", "products"]


def test_of_a_path_no_more_is_looked_up_than_listen_paths_are_long(cast, bots):
    """Of 9,000 characters that are mostly slashes the database was asked for 37 MB of beginnings."""
    with CaptureQueriesContext(connection) as queries:
        found = explain(actor=cast.ada, url="/products/" + "a/" * 4_000)
    assert found.api == "products"
    assert max(len(query["sql"]) for query in queries) < 100_000


def test_without_redis_it_says_so(cast, bots, monkeypatch):
    def away(*args):
        raise ConnectionError

    monkeypatch.setattr(CacheInspection, "record", away)
    with pytest.raises(Unavailable):
        asked_by(cast.olga, bots[0])


# The gateway's own word


@pytest.mark.django_db(transaction=True)
async def test_it_says_what_the_gateway_then_does(state_redis, cache_redis, tmp_path, transactional_db):
    async with Origin() as origin:
        origin.paths["/items"] = ok(b"[]", "cache-control: max-age=60", "vary: accept-language")

        def prepare():
            cast = make_cast()
            api = make_api(cast.platform, upstream=origin.url)
            application = make_application(cast.acme)
            make_subscription(application, api)
            key = make_key(application)
            publish_pending()
            return application, key.secret

        application, key = await sync_to_async(prepare)()
        gateway = Gateway(gateway_options(tmp_path, settings.REDIS_URL, caches["responses"]))
        assert await gateway.start()
        of_request = [type(each) for each in gateway.stages if each.depends_on in (DependsOn.HEAD, DependsOn.BODY)]
        assert [type(each) for each in stages(StoredConfig(), None)] == of_request
        try:
            async with serving(gateway) as door:
                for language, expected in (("de", "MISS"), ("de", "HIT"), ("fr", "MISS")):
                    found = await sync_to_async(explain)(
                        actor=PLATFORM,
                        url="http://api.test/products/items",
                        headers=[("Accept-Language", language)],
                        application=application,
                    )
                    answer = await door.call("/products/items", key=key, accept_language=language)
                    assert found.result == answer.cache == expected
                assert found.key in answer["cache-status"]
                assert differing(found) == [("Vary: accept-language", "fr", "de")]
        finally:
            await gateway.stop()
            await close_clients()
