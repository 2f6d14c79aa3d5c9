"""APIs: the result, the row, the revision, the audit entry."""

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from apps.access.models import Subscription
from apps.analytics.policies import VisibleCalls
from apps.audit.models import Entry
from apps.caching.models import CachePolicy
from apps.catalog import services
from apps.catalog.models import API, Revision, Upstream
from apps.catalog.selectors import revision_changes_for
from apps.foundation.errors import Conflict
from apps.tenants.models import User
from tests.support.cast import Cast, make_api, make_application, make_subscription


def last() -> Entry:
    return Entry.objects.order_by("-epoch")[0]


def create(cast: Cast, **changes: Any) -> API:
    fields: dict[str, Any] = {
        "actor": cast.olga,
        "tenant": cast.platform,
        "slug": "products",
        "name": "Products",
        "listen_path": "/products/",
        "upstreams": [{"url": "http://127.0.0.1:9000/"}],
    }
    return services.api_create(**(fields | changes))


def errors_of(attempt) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as refused:
        attempt()
    return refused.value.message_dict


def test_a_new_api_is_a_draft_with_its_first_revision(cast: Cast):
    api = create(cast, policy={"mode": "ttl", "ttl": 5.0})
    row = API.objects.select_related("cache_policy").get(slug="products")
    assert (row.state, row.revision, row.cache_policy.ttl) == ("draft", 1, 5.0)
    assert list(row.upstreams.values_list("url", "weight")) == [("http://127.0.0.1:9000/", 1)]
    revision = Revision.objects.get(api=api)
    assert (revision.number, revision.author) == (1, cast.olga)
    assert revision.document["cache"]["ttl"] == "5s"
    entry = last()
    assert (entry.verb, entry.target, entry.tenant_slug) == ("api.create", "products", "platform")
    assert entry.affects == [["api", "products"]]
    assert entry.changes["listen_path"] == [None, "/products/"]


def test_each_save_is_a_revision_and_tells_what_changed(cast: Cast):
    api = create(cast)
    api = services.api_update(
        actor=cast.olga, api=api, read_timeout=5.0, policy={"ttl": 10.0}, comment="Quicker", retries=1
    )
    assert api.revision == 2
    newest = Revision.objects.filter(api=api)[0]
    assert (newest.number, newest.comment) == (2, "Quicker")
    assert last().changes == {"timeouts.read": ["30s", "5s"], "cache.ttl": ["60s", "10s"]}
    assert revision_changes_for(cast.olga, newest) == last().changes


def test_a_save_without_a_difference_is_none(cast: Cast):
    api = create(cast)
    before = Entry.objects.count()
    api = services.api_update(
        actor=cast.olga, api=api, name="Products", hosts=[], upstreams=[{"url": "http://127.0.0.1:9000/", "weight": 1}]
    )
    assert (api.revision, Entry.objects.count()) == (1, before)


def test_what_a_form_already_put_on_the_object_is_still_seen_as_a_change(cast: Cast):
    api = create(cast)
    api.name = "Goods"
    api = services.api_update(actor=cast.olga, api=api, name="Goods")
    assert API.objects.get(pk=api.pk).name == "Goods"
    assert last().changes == {"name": ["Products", "Goods"]}


def test_of_two_who_edit_the_same_revision_the_second_is_told_who_was_first(cast: Cast):
    api = create(cast)
    services.api_update(actor=cast.ada, api=api, name="Goods", expected_revision=1)
    with pytest.raises(Conflict) as late:
        services.api_update(actor=cast.olga, api=api, name="Wares", expected_revision=1)
    assert "Ada" in str(late.value)
    assert API.objects.get(pk=api.pk).name == "Goods"


def test_a_rollback_brings_an_old_configuration_back_as_a_new_revision(cast: Cast):
    api = create(cast, policy={"mode": "override", "ttl": 5.0, "query_mode": "include", "query_names": ["page"]})
    services.api_update(
        actor=cast.olga,
        api=api,
        name="Goods",
        upstreams=[{"url": "http://127.0.0.1:9001/", "weight": 3}],
        policy={"mode": "off", "query_mode": "all", "query_names": [], "stale_if_error": 4.0, "sensitivity": "secret"},
        request_headers={"set": {"X-Shop": "1"}, "remove": []},
    )
    services.api_publish(actor=cast.olga, api=api)
    api = services.api_rollback(actor=cast.olga, api=api, number=1)
    first, third = Revision.objects.get(api=api, number=1), Revision.objects.get(api=api, number=3)
    assert third.document == first.document
    assert (api.name, api.state, api.revision) == ("Products", "published", 3)
    assert last().verb == "api.rollback"
    assert third.comment == "Back to revision 1"
    assert "number" in errors_of(lambda: services.api_rollback(actor=cast.olga, api=api, number=9))


def test_publishing_needs_an_upstream_and_tells_the_gateways(cast: Cast):
    api = create(cast, upstreams=[])
    assert "upstreams" in errors_of(lambda: services.api_publish(actor=cast.olga, api=api))
    services.upstream_add(actor=cast.olga, api=api, url="http://127.0.0.1:9000/")
    services.api_publish(actor=cast.olga, api=api, comment="Go")
    assert (api.state, api.published_at is not None) == ("published", True)
    entry = last()
    assert (entry.verb, entry.changes, entry.comment) == ("api.publish", {"state": ["draft", "published"]}, "Go")
    assert entry.affects == [["api", "products"]]
    with pytest.raises(Conflict):
        services.api_publish(actor=cast.olga, api=api)


def test_a_served_api_keeps_an_upstream(cast: Cast):
    api = make_api(cast.platform)
    assert "upstreams" in errors_of(lambda: services.api_update(actor=cast.olga, api=api, upstreams=[]))
    upstream = Upstream.objects.get(api=api)
    assert "url" in errors_of(lambda: services.upstream_remove(actor=cast.olga, upstream=upstream))


def test_the_life_of_an_api(cast: Cast):
    api = make_api(cast.platform)
    services.api_deprecate(actor=cast.olga, api=api)
    services.api_retire(actor=cast.olga, api=api)
    assert API.objects.get(pk=api.pk).state == "retired"
    services.api_publish(actor=cast.olga, api=api)
    services.api_unpublish(actor=cast.olga, api=api)
    assert API.objects.get(pk=api.pk).state == "draft"


def test_a_retired_api_frees_its_path_and_can_come_back_only_while_it_is_free(cast: Cast):
    old = make_api(cast.platform, "old", listen_path="/shop/")
    assert "listen_path" in errors_of(lambda: make_api(cast.platform, "new", listen_path="/shop/"))
    services.api_retire(actor=cast.olga, api=old)
    make_api(cast.platform, "new", listen_path="/shop/")
    assert "listen_path" in errors_of(lambda: services.api_publish(actor=cast.olga, api=old))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("preserve", "preserve"),
        (" Upstream ", "upstream"),
        ("Shop.Test", "shop.test"),
        ("shop.test:8443", "shop.test:8443"),
    ],
)
def test_the_host_that_upstreams_get_is_a_word_or_a_name(cast: Cast, given: str, kept: str):
    assert create(cast, host_header=given).host_header == kept


@pytest.mark.parametrize(
    "given", ["", "a b", "shop.test:", "shop.test:0", "shop.test:x", "http://shop.test", "a\r\nx: y"]
)
def test_what_can_be_no_host_header_is_refused(cast: Cast, given: str):
    assert "host_header" in errors_of(lambda: create(cast, host_header=given))


@pytest.mark.parametrize(
    ("mine", "theirs", "collide"),
    [
        ([], [], True),
        (["a.test"], ["a.test", "b.test"], True),
        (["A.Test."], ["a.test"], True),
        (["a.test"], ["b.test"], False),
        (["a.test"], [], False),
    ],
)
def test_listen_paths_collide_on_overlapping_hosts(cast: Cast, mine: list[str], theirs: list[str], collide: bool):
    make_api(cast.platform, "theirs", listen_path="/shop/", hosts=theirs)
    if collide:
        errors = errors_of(lambda: create(cast, listen_path="/shop/", hosts=mine))
        assert "theirs" in errors["listen_path"][0]
    else:
        create(cast, listen_path="/shop/", hosts=mine)


@pytest.mark.parametrize(("theirs", "mine"), [("/shop/", "/shop"), ("/shop", "/shop/"), ("/shop", "/shop")])
def test_a_listen_path_with_and_without_its_last_slash_is_one_place(cast: Cast, theirs: str, mine: str):
    make_api(cast.platform, "theirs", listen_path=theirs)
    refused = errors_of(lambda: create(cast, listen_path=mine))["listen_path"][0]
    assert f"listens on {theirs} already" in refused
    assert ("the same place" in refused) == (theirs != mine)
    create(cast, listen_path="/shops")


def test_nested_listen_paths_do_not_collide(cast: Cast):
    make_api(cast.platform, "outer", listen_path="/shop/")
    create(cast, listen_path="/shop/items/")
    create(cast, slug="all", listen_path="/")


BAD = [
    ("slug", "no good"),
    ("slug", ""),
    ("name", ""),
    ("listen_path", "products/"),
    ("listen_path", "/products?"),
    ("listen_path", "/_gateway"),
    ("listen_path", "/products/.."),
    ("listen_path", ""),
    ("listen_path", "//"),
    ("listen_path", "/a//b/"),
    ("listen_path", "/a/../b/"),
    ("listen_path", "/./"),
    ("listen_path", "/_gateway/"),
    ("listen_path", "/_Gateway/x/"),
    ("listen_path", "/a b/"),
    ("listen_path", "/a%2fb/"),
    ("listen_path", "/a\n/"),
    ("listen_path", "/ä/"),
    ("listen_path", "/" + "a" * 200 + "/"),
    ("hosts", ["http://a.test"]),
    ("hosts", ["a.test:80"]),
    ("hosts", ["a_b..test"]),
    ("hosts", [""]),
    ("hosts", ["ü" * 64 + ".test"]),
    ("hosts", "a.test"),
    ("hosts", [1]),
    ("authentication", []),
    ("authentication", ["something_newer"]),
    ("authentication", "none"),
    ("api_key_header", "X API Key"),
    ("api_key_header", ""),
    ("api_key_header", "Authorization"),
    ("api_key_header", "Cookie"),
    ("api_key_header", "Host"),
    ("api_key_query", "a key"),
    ("api_key_query", "k" * 65),
    ("api_key_query", 1),
    ("api_key_cookie", "a;b"),
    ("api_key_cookie", "sessionid"),
    ("api_key_cookie", "csrftoken"),
    ("api_key_cookie", "k" * 65),
    ("approval", "maybe"),
    ("connect_timeout", 0.0),
    ("connect_timeout", -1.0),
    ("read_timeout", float("inf")),
    ("read_timeout", float("nan")),
    ("read_timeout", 3601.0),
    ("retries", 11),
    ("retries", -1),
    ("concurrent_calls", 0),
    ("concurrent_calls", 10_001),
    ("queued_calls", -1),
    ("queued_calls", 10_001),
    ("queue_wait", -0.1),
    ("queue_wait", 60.1),
    ("queue_wait", float("nan")),
    ("body_limit", -1),
    ("debug_headers", "some"),
    ("tags", ["<b>"]),
    ("tags", [""]),
    ("request_headers", {"set": {"X-A": "line\r\nbreak"}, "remove": []}),
    ("request_headers", {"set": {"X-A": "nul\x00"}, "remove": []}),
    ("request_headers", {"set": {"X-A": "ä"}, "remove": []}),
    ("request_headers", {"set": {"X A": "1"}, "remove": []}),
    ("request_headers", {"set": {"": "1"}, "remove": []}),
    ("request_headers", {"set": {"Transfer-Encoding": "chunked"}, "remove": []}),
    ("request_headers", {"set": {}, "remove": ["connection"]}),
    ("request_headers", {"set": {"X-A": "1"}, "remove": ["x-a"]}),
    ("request_headers", {"set": {"X-A": "1", "x-a": "2"}, "remove": []}),
    ("request_headers", {"set": {"X-A": 1}, "remove": []}),
    ("request_headers", {"set": [], "remove": []}),
    ("response_headers", {"set": {"Content-Length": "1"}, "remove": []}),
    ("response_headers", {"add": {}}),
    ("response_headers", "none"),
]


@pytest.mark.parametrize(("field", "value"), BAD, ids=str)
def test_what_is_wrong_is_said_next_to_its_field_and_nothing_is_saved(cast: Cast, field: str, value: object):
    before = Entry.objects.count()
    errors = errors_of(lambda: create(cast, **{field: value}))
    assert set(errors) == {field}
    assert not API.objects.exists()
    assert not CachePolicy.objects.exists()
    assert Entry.objects.count() == before


@pytest.mark.parametrize(
    ("upstream", "field"),
    [
        ({"url": "ftp://x.test/"}, "upstreams.1.url"),
        ({"url": "http://169.254.169.254/"}, "upstreams.1.url"),
        ({"url": "http://127.0.0.1:9000/"}, "upstreams.1.url"),
        ({}, "upstreams.1.url"),
        ({"url": "http://x.test/", "weight": 0}, "upstreams.1.weight"),
        ({"url": "http://x.test/", "weight": 1001}, "upstreams.1.weight"),
        ({"url": "http://x.test/" + "a" * 500}, "upstreams.1.url"),
    ],
)
def test_a_bad_upstream_is_named_by_its_place_in_the_list(cast: Cast, upstream: dict[str, Any], field: str):
    good = {"url": "http://127.0.0.1:9000/"}
    assert set(errors_of(lambda: create(cast, upstreams=[good, upstream]))) == {field}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", "sometimes"),
        ("ttl", -1.0),
        ("ttl", float("inf")),
        ("stale_while_revalidate", 4e7),
        ("stale_if_error", -1.0),
        ("methods", ["PATCH"]),
        ("methods", "GET"),
        ("query_mode", "some"),
        ("query_names", ["page"]),
        ("headers", ["Accept Language"]),
        ("headers", "Accept"),
        ("scope", "world"),
        ("client_directives", "obey"),
        ("sensitivity", "private"),
    ],
)
def test_a_bad_cache_policy_is_refused_next_to_its_field(cast: Cast, field: str, value: object):
    assert set(errors_of(lambda: create(cast, policy={field: value}))) == {field}


def test_names_in_a_key_are_needed_where_the_mode_speaks_of_them(cast: Cast):
    assert set(errors_of(lambda: create(cast, policy={"query_mode": "include"}))) == {"query_names"}


def test_several_mistakes_are_told_at_once(cast: Cast):
    errors = errors_of(
        lambda: create(cast, listen_path="x", retries=99, policy={"ttl": -1.0}, upstreams=[{"url": "x"}])
    )
    assert set(errors) == {"listen_path", "retries", "ttl", "upstreams.0.url"}


def test_a_slug_is_taken_once(cast: Cast):
    create(cast)
    assert set(errors_of(lambda: create(cast, listen_path="/other/"))) == {"slug"}


def test_values_of_header_rules_stay_out_of_the_audit_log(cast: Cast):
    api = create(cast)
    services.api_update(
        actor=cast.olga, api=api, request_headers={"set": {"X-Upstream-Key": "very-secret"}, "remove": []}
    )
    assert last().changes == {"request_headers.set.X-Upstream-Key": [None, "(hidden)"]}
    assert "very-secret" not in str(list(Entry.objects.values()))


def test_hosts_are_kept_in_one_form(cast: Cast):
    api = create(cast, hosts=["Shop.Test.", "shop.test", "[0:0::1]", "Bücher.test"])
    assert api.hosts == ["shop.test", "[::1]", "xn--bcher-kva.test"]


def test_upstreams_are_changed_one_by_one_and_each_change_is_a_revision(cast: Cast):
    api = create(cast)
    second = services.upstream_add(actor=cast.olga, api=api, url="http://127.0.0.1:9001/", weight=2)
    first = api.upstreams.all()[0]
    changed = services.upstream_update(actor=cast.olga, upstream=second, weight=5)
    assert (changed.pk, changed.weight) == (second.pk, 5)
    moved = services.upstream_update(actor=cast.olga, upstream=second, url="http://127.0.0.1:9002/")
    assert moved.pk == second.pk
    services.upstream_remove(actor=cast.olga, upstream=first)
    assert list(api.upstreams.values_list("pk", "url", "weight")) == [(second.pk, "http://127.0.0.1:9002/", 5)]
    assert Revision.objects.filter(api=api).count() == 5
    assert set(errors_of(lambda: services.upstream_add(actor=cast.olga, api=api, url="ftp://x/"))) == {"url"}


def test_the_order_of_upstreams_is_the_one_that_was_given(cast: Cast):
    api = create(cast, upstreams=[{"url": "http://a.test/"}, {"url": "http://b.test/"}])
    api = services.api_update(
        actor=cast.olga, api=api, upstreams=[{"url": "http://b.test/"}, {"url": "http://a.test/"}]
    )
    assert [row.url for row in api.upstreams.all()] == ["http://b.test/", "http://a.test/"]
    assert api.revision == 2


def test_operations_are_replaced_as_a_whole_and_are_a_revision(cast: Cast):
    api = create(cast, operations=[{"method": "GET", "path": "/items"}])
    api = services.api_update(
        actor=cast.olga,
        api=api,
        operations=[{"method": "GET", "path": "/items", "summary": "All"}, {"method": "POST", "path": "/items"}],
    )
    assert list(api.operations.values_list("method", "summary")) == [("GET", "All"), ("POST", "")]
    assert api.revision == 2
    assert last().changes == {"operations added": [None, ["POST /items"]]}
    before = Entry.objects.count()
    services.api_update(
        actor=cast.olga,
        api=api,
        operations=[{"method": "GET", "path": "/items", "summary": "All"}, {"method": "POST", "path": "/items"}],
    )
    assert Entry.objects.count() == before
    for operations in ([{"method": "FETCH", "path": "/"}], [{"method": "GET", "path": "x"}]):
        errors = errors_of(lambda wrong=operations: services.api_update(actor=cast.olga, api=api, operations=wrong))
        assert next(iter(errors)).startswith("operations.0.")


def test_an_api_with_live_subscriptions_is_not_deleted(cast: Cast):
    api = make_api(cast.platform)
    subscription = make_subscription(make_application(cast.acme), api)
    with pytest.raises(ValidationError):
        services.api_delete(actor=cast.olga, api=api)
    Subscription.objects.filter(pk=subscription.pk).update(state="revoked")
    services.api_delete(actor=cast.olga, api=api)
    assert not API.objects.exists()
    assert not CachePolicy.objects.exists()
    assert (last().verb, last().affects) == ("api.delete", [["api", "products"]])


def test_a_name_that_another_tenants_api_had_is_not_taken_over(cast: Cast):
    """Its calls, with their paths and callers, and its purges are kept under it, for whoever has it."""
    services.api_delete(actor=cast.olga, api=create(cast))
    taking = {"actor": cast.bob, "tenant": cast.acme, "upstreams": ()}
    assert list(errors_of(lambda: create(cast, **taking))) == ["slug"]
    assert not VisibleCalls.of(cast.bob).covers(api="products", tenant="globex")
    services.api_delete(actor=cast.olga, api=create(cast))
    assert list(errors_of(lambda: create(cast, **taking))) == ["slug"]
    assert create(cast, **(taking | {"actor": cast.ada})).tenant == cast.acme, "an administrator may give it to another"


def test_only_owners_and_developers_of_its_tenant_edit_an_api(cast: Cast):
    api = make_api(cast.acme)

    def edits(actor: User):
        upstream = Upstream.objects.filter(api=api)[0]
        yield lambda: services.api_create(
            actor=actor, tenant=cast.acme, slug="x", name="X", listen_path="/x/", upstreams=[]
        )
        yield lambda: services.api_update(actor=actor, api=api, name=f"By {actor}")
        yield lambda: services.api_rollback(actor=actor, api=api, number=1)
        yield lambda: services.upstream_add(actor=actor, api=api, url="http://more.test/")
        yield lambda: services.upstream_update(actor=actor, upstream=upstream, weight=2)
        yield lambda: services.upstream_remove(actor=actor, upstream=upstream)

    for actor in (cast.vera, cast.charlie, cast.olga):
        for edit in edits(actor):
            with pytest.raises(PermissionDenied):
                edit()
    assert API.objects.get().revision == 1
    for edit in edits(cast.bob):
        edit()


def test_only_owners_of_its_tenant_move_an_api_through_its_life(cast: Cast):
    api = make_api(cast.acme)
    for actor in (cast.bob, cast.vera, cast.charlie, cast.olga):
        for step in (
            services.api_publish,
            services.api_unpublish,
            services.api_deprecate,
            services.api_retire,
            services.api_delete,
        ):
            with pytest.raises(PermissionDenied):
                step(actor=actor, api=api)
    assert API.objects.get().state == "published"


@pytest.mark.parametrize(
    ("path", "hosts"),
    [
        ("/shop/admin/", []),
        ("/shop/admin", []),
        ("/shop/admin/v2/", ["api.test"]),
        ("/", []),
        ("/shop/", ["api.test"]),
        ("/shop", ["api.test"]),
    ],
)
def test_nobody_takes_calls_that_were_meant_for_another_tenants_api(cast: Cast, path: str, hosts: list[str]):
    make_api(cast.acme, "shop")
    wanted = {"slug": "mine", "name": "Mine", "listen_path": path, "hosts": hosts}
    refused = errors_of(lambda: services.api_create(actor=cast.charlie, tenant=cast.globex, **wanted))
    assert "Another tenant's API listens on /shop/" in str(refused["listen_path"])
    assert services.api_create(actor=cast.ada, tenant=cast.globex, **wanted).listen_path == path


def test_an_address_beside_another_tenants_is_free(cast: Cast):
    make_api(cast.acme, "shop")
    make_api(cast.acme, "root", listen_path="/", hosts=["acme.test"])
    make_api(cast.acme, "hosted", hosts=["acme.test"])
    for number, (path, hosts) in enumerate([("/shopping/", []), ("/sho/", []), ("/hosted/x/", ["globex.test"])]):
        services.api_create(
            actor=cast.charlie, tenant=cast.globex, slug=f"mine-{number}", name="M", listen_path=path, hosts=hosts
        )


def test_within_a_tenant_paths_nest_and_what_an_administrator_placed_can_be_edited(cast: Cast):
    make_api(cast.acme, "shop")
    services.api_create(actor=cast.alice, tenant=cast.acme, slug="inner", name="I", listen_path="/shop/inner/")
    placed = services.api_create(actor=cast.ada, tenant=cast.globex, slug="g", name="G", listen_path="/shop/g/")
    assert services.api_update(actor=cast.charlie, api=placed, name="Better").name == "Better"
    moved = errors_of(lambda: services.api_update(actor=cast.charlie, api=placed, listen_path="/shop/h/"))
    assert set(moved) == {"listen_path"}
