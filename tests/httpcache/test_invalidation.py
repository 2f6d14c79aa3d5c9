"""Invalidation: RFC 9111 §4.4; tags of entries and what a purge names."""

import pytest

from apps.httpcache import (
    Identity,
    Policy,
    ResponseHead,
    on_unsafe,
    paths_meant,
    subject_of_key,
    tag_of_api,
    tag_of_application,
    tag_of_grant,
    tag_of_key,
    tag_of_path,
    tag_of_prefix,
    tag_of_representation,
    tag_of_subject,
    tag_of_tenant,
    tags_of,
    tags_of_key,
)
from apps.httpcache.invalidation import collections_above
from tests.httpcache.build import POLICY, pairs, plan, request, stored


def tags(path, *fields):
    return tags_of(stored([("Cache-Control", "max-age=60"), *fields], the_plan=plan(path=path)).entry)


def test_an_entry_has_the_tags_of_its_api_path_prefixes_and_keys():
    *found, own = tags("/items/7/parts", ("Surrogate-Key", "item-7 items"))
    assert found == [
        "a:products",
        "p:products:/items/7/parts",
        "x:products:",
        "x:products:/items",
        "x:products:/items/7",
        "x:products:/items/7/parts",
        "k:products:item-7",
        "k:products:items",
    ]
    assert own == tag_of_representation("products", plan(path="/items/7/parts").keys[0], ())


def test_each_query_and_each_variant_has_a_tag_of_its_own():
    def own(query="", language="de"):
        the_plan = plan(query=query, headers=[("Accept-Language", language)])
        entry = stored([("Cache-Control", "max-age=60"), ("Vary", "Accept-Language")], the_plan=the_plan).entry
        return tags_of(entry)[-1]

    assert len({own(), own("page=2"), own(language="fr"), own("page=2", "fr")}) == 4
    assert own("page=2", "fr") == own("page=2", "fr")


@pytest.mark.parametrize(
    ("prefix", "path", "covered"),
    [
        (b"/", "/anything", True),
        (b"/", "/", True),
        (b"/items", "/items", True),
        (b"/items", "/items/", True),
        (b"/items/", "/items", True),
        (b"/items", "/items/7", True),
        (b"/items", "/items7", False),
        (b"/items/7", "/items", False),
        (b"/items//7", "/items//7/a", True),
    ],
)
def test_a_prefix_covers_whole_segments(prefix, path, covered):
    assert (tag_of_prefix("products", prefix) in tags(path)) is covered


def test_other_purges_name_exactly_what_they_say():
    assert tag_of_api("products") in tags("/a")
    assert tag_of_api("product") not in tags("/a")
    assert tag_of_path("products", b"/a") in tags("/a")
    assert tag_of_path("products", b"/a") not in tags("/a/b")
    assert tag_of_key("products", "k") in tags("/a", ("Cache-Tag", "k"))
    assert tag_of_key("other", "k") not in tags("/a", ("Cache-Tag", "k"))


@pytest.mark.parametrize(
    ("scope", "named"),
    [
        ("shared", set()),
        ("tenant", {"t:acme", "g:products:acme"}),
        ("application", {"t:acme", "o:acme/bot", "g:products:acme", "g:products:acme/bot"}),
        ("subject", {"t:acme", "o:acme/bot", "g:products:acme", "g:products:acme/bot", "s:ann"}),
    ],
)
def test_what_is_not_shared_by_all_ends_with_the_grant_of_its_holder(scope, named):
    the_plan = plan(policy=Policy(api="products", scope=scope), identity=Identity("acme", "acme/bot", "ann"))
    found = set(tags_of(stored([("Cache-Control", "max-age=60")], the_plan=the_plan).entry))
    tags = {
        tag_of_tenant("acme"),
        tag_of_application("acme/bot"),
        tag_of_grant("products", "acme"),
        tag_of_grant("products", "acme/bot"),
        tag_of_subject("ann"),
    }
    assert tags & found == named


def test_what_a_keys_caller_has_of_its_own_ends_with_the_key_too():
    caller = subject_of_key(7, "ann")
    the_plan = plan(policy=Policy(api="products", scope="subject"), identity=Identity("acme", "acme/bot", caller))
    found = tags_of(stored([("Cache-Control", "max-age=60")], the_plan=the_plan).entry)
    assert {tag_of_subject(caller), tag_of_subject("key:7")} <= set(found)


def test_a_holder_without_a_name_has_no_tag():
    the_plan = plan([("Authorization", "x")])
    assert not {tag[0] for tag in tags_of(stored([("Cache-Control", "max-age=60")], the_plan=the_plan).entry)} & set(
        "togs"
    )


@pytest.mark.parametrize(
    ("path", "listen_path", "meant"),
    [
        ("/items/7", "/products/", (b"/items/7",)),
        ("/products/items/7", "/products/", (b"/products/items/7", b"/items/7")),
        ("/products", "/products/", (b"/products", b"/")),
        ("/productsX/a", "/products/", (b"/productsX/a",)),
        ("/a/../b%61?x=1", "/", (b"/ba",)),
        ("", "/products/", (b"/",)),
        ("items", "/products/", ()),
        ("/a b", "/products/", ()),
    ],
)
def test_a_person_may_mean_the_path_with_or_without_the_listen_path(path, listen_path, meant):
    assert paths_meant(path, listen_path) == meant


def unsafe(
    method="POST", status=200, headers=(), *, path="/items/7", listen_path="/products/", authorities=(), policy=POLICY
):
    head = None if status is None else ResponseHead(status, pairs(headers))
    return on_unsafe(request(method, path), policy, head, listen_path, authorities)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "M-SEARCH", "whatever"])
@pytest.mark.parametrize(
    ("status", "ends"),
    [(200, True), (201, True), (204, True), (303, True), (None, True), (400, False), (404, False), (500, False)],
)
def test_an_unsafe_method_ends_its_url_unless_it_failed(method, status, ends):
    assert unsafe(method, status) == (("p:products:/items/7",) if ends else ())


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"])
def test_a_safe_method_ends_nothing(method):
    assert unsafe(method) == ()


def test_a_policy_that_stores_nothing_ends_what_the_api_s_other_policies_stored():
    assert unsafe(policy=Policy(api="products", mode="off")) == ("p:products:/items/7",)


@pytest.mark.parametrize("name", ["Location", "Content-Location"])
@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ("/items/8", ["/items/8"]),
        ("/products/items/8", ["/products/items/8", "/items/8"]),
        ("8", ["/products/items/8", "/items/8"]),
        ("?x=1", ["/products/items/7"]),
        ("http://api.test/items/8", ["/items/8"]),
        ("http://API.test/items/8", ["/items/8"]),
        ("http://10.0.0.1:9000/items/8?q", ["/items/8"]),
        ("//api.test/items/8", ["/items/8"]),
        ("http://evil/items/8", []),
        ("http://api.test:81/items/8", []),
        ("http://[broken", []),
        ("http://api.test", ["/"]),
    ],
)
def test_the_places_that_the_answer_names_end_too_if_they_are_of_the_same_origin(name, value, paths):
    found = unsafe(headers=[(name, value)], authorities=["10.0.0.1:9000"])
    assert found[0] == "p:products:/items/7"
    assert [tag.removeprefix("p:products:") for tag in found[1:]] == [path for path in paths if path != "/items/7"]


@pytest.mark.parametrize(
    ("location", "ended"),
    [
        ("/v1/items/8", ["/v1/items/8", "/items/8"]),
        ("http://10.0.0.1:9000/v1/items/8", ["/v1/items/8", "/items/8"]),
        ("/v1/products/items/8", ["/v1/products/items/8", "/products/items/8", "/items/8"]),
        ("/products/items/8", ["/products/items/8", "/items/8"]),
        ("/v1", ["/v1", "/"]),
        ("/v10/items/8", ["/v10/items/8"]),
    ],
)
def test_a_place_may_be_told_as_the_upstream_sees_it(location, ended):
    head = ResponseHead(201, pairs([("Location", location)]))
    authorities, bases = ["10.0.0.1:9000"], ["/v1", ""]
    found = on_unsafe(request("POST", "/items"), POLICY, head, "/products/", authorities, (), bases)
    assert [tag.removeprefix("p:products:") for tag in found] == ["/items", *ended]


OPERATIONS = (
    ("GET", "/items"),
    ("GET", "/items/{id}"),
    ("DELETE", "/items/{id}"),
    ("PUT", "/items/{id}/parts/{part}"),
    ("GET", "/items/{id}/parts/"),
    ("POST", "/orders"),
    ("PATCH", "/orders/{id}"),
    ("*", "/any"),
    ("GET", "/any/{id}"),
    ("GET", "/"),
    ("DELETE", "/{slug}"),
    ("GET", "/größe"),
    ("PUT", "/größe/{id}"),
    ("GET", "/files"),
    ("PUT", "/files/{name}.{type}"),
)


@pytest.mark.parametrize(
    ("path", "collections"),
    [
        (b"/items/7", (b"/items",)),
        (b"/items/7/", (b"/items",)),
        (b"/items/7/parts/3", (b"/items/7/parts/",)),
        (b"/items/7/parts", ()),
        (b"/items", (b"/",)),
        (b"/orders/7", ()),
        (b"/any/7", (b"/any",)),
        (b"/gr%C3%B6%C3%9Fe/7", (b"/gr%C3%B6%C3%9Fe",)),
        (b"/files/a.txt", (b"/files",)),
        (b"/files/a", ()),
        (b"/other/7/8", ()),
        (b"/", ()),
    ],
)
def test_the_collection_above_an_item_is_the_one_that_the_operations_describe(path, collections):
    assert collections_above(path, OPERATIONS) == collections


def test_a_write_to_an_item_ends_the_collection_above_it():
    policy = Policy(api="products")
    head = ResponseHead(201, pairs([("Location", "/items/8/parts/1")]))
    ended = on_unsafe(request("PUT", "/items/7"), policy, head, "/products/", (), OPERATIONS)
    assert ended == (
        "p:products:/items/7",
        "p:products:/items/8/parts/1",
        "p:products:/items",
        "p:products:/items/8/parts/",
    )
    lost = on_unsafe(request("DELETE", "/items/7"), policy, None, "/products/", (), OPERATIONS)
    assert lost == ("p:products:/items/7", "p:products:/items")
    refused = on_unsafe(request("DELETE", "/items/7"), policy, ResponseHead(404, ()), "/products/", (), OPERATIONS)
    assert refused == ()


def test_a_policy_may_keep_collections():
    policy = Policy(api="products", collections=False)
    ended = on_unsafe(request("DELETE", "/items/7"), policy, None, "/products/", (), OPERATIONS)
    assert ended == ("p:products:/items/7",)


def test_a_purge_of_a_key_ends_what_carries_it_and_what_cannot_be_told():
    assert tags_of_key("products", "item:7") == ("k:products:item:7", "k:products:*")


@pytest.mark.parametrize(
    "path", ["/a" * 2000, "/items/" + "7" * 2000, "/" + "i" * 2000, "/a/" + "b" * 508, "/a/" + "b" * 509]
)
def test_the_tags_of_a_long_path_are_short_and_still_end_it(path):
    """Callers make up paths of 8 KiB, and an unsafe call's tag is remembered by every worker."""
    entry = stored([("Cache-Control", "max-age=60")], the_plan=plan(path=path)).entry
    found = tags_of(entry)
    assert max(map(len, found)) < 600
    assert len(found) < 300
    assert tag_of_path("products", path.encode()) in found
    assert tag_of_path("products", path.encode() + b"x") not in found
    ends = [at for at, character in enumerate(path) if at and character == "/"] + [len(path)]
    assert {tag_of_prefix("products", path[:end].encode()) for end in ends} <= set(found)
