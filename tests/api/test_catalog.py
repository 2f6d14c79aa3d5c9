"""APIs and upstreams over REST, in the words of the declarative file."""

import pytest

from apps.audit.models import Entry
from apps.catalog.choices import APIState
from apps.catalog.document import to_document
from apps.catalog.models import API
from tests.support.cast import make_api, make_application, make_subscription
from tests.support.certificates import self_signed

SHOP = {
    "slug": "shop",
    "name": "Shop",
    "tenant": "platform",
    "listen_path": "/shop/",
    "upstreams": [{"url": "http://127.0.0.1:9000/", "weight": 2}],
    "timeouts": {"connect": "500ms", "read": 20},
    "cache": {"mode": "ttl", "ttl": "90s", "query": {"mode": "include", "names": ["page"]}},
    "sensitivity": "public",
    "response_headers": {"set": {"X-Shop": "1"}, "remove": ["Server"]},
}


def test_an_api_is_registered_in_the_words_of_the_declarative_file(cast, calls_as):
    made = calls_as(cast.olga).post("/api/v1/apis/", SHOP)
    assert made.status_code == 201
    body = made.json()
    assert (body["state"], body["published"], body["revision"]) == ("draft", False, 1)
    assert body["timeouts"] == {"connect": "500ms", "read": "20s"}
    assert (body["cache"]["mode"], body["cache"]["ttl"]) == ("ttl", "90s")
    assert body["upstreams"] == [{"url": "http://127.0.0.1:9000/", "weight": 2}]
    api = API.objects.get(slug="shop")
    assert (api.connect_timeout, api.cache_policy.ttl, api.cache_policy.sensitivity) == (0.5, 90.0, "public")
    assert Entry.objects.get(verb="api.create").via == "api"


def test_what_rest_shows_is_what_export_writes(cast, calls_as):
    api = make_api(cast.platform)
    shown = calls_as(cast.olga).get("/api/v1/apis/products/").json()
    document = to_document(API.objects.get(pk=api.pk))
    assert {name: shown[name] for name in document} == document
    assert set(shown) - set(document) == {"state", "revision", "created_at", "updated_at", "published_at"}


def test_an_api_can_be_registered_and_published_in_one(cast, calls_as):
    made = calls_as(cast.olga).post("/api/v1/apis/", SHOP | {"published": True})
    assert (made.status_code, made.json()["state"]) == (201, "published")
    assert made.json()["receipt"]["sentence"]


def test_an_api_that_cannot_be_published_is_not_registered_either(cast, calls_as):
    refused = calls_as(cast.olga).post("/api/v1/apis/", SHOP | {"published": True, "upstreams": []})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["upstreams"])
    assert not API.objects.filter(slug="shop").exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cache": {"ttl": "soon"}}, "cache.ttl"),
        ({"cache": {"speed": 3}}, "cache.speed"),
        ({"timeouts": {"connect": "-1s"}}, "timeouts.connect"),
        ({"upstreams": [{"url": "ftp://files.test/"}]}, "upstreams.0.url"),
        ({"upstreams": [{"url": "http://169.254.169.254/"}]}, "upstreams.0.url"),
        ({"listen_path": "shop"}, "listen_path"),
        ({"listen_path": "/products/"}, "listen_path"),
        ({"slug": "products"}, "slug"),
        ({"slug": None}, "slug"),
        ({"tenant": "acme"}, "tenant"),
        ({"tenant": 7}, "tenant"),
        ({"tenant": None}, "tenant"),
        ({"colour": "red"}, "colour"),
        ({"published": "perhaps"}, "published"),
        ({"authentication": ["passport"]}, "authentication.0"),
        ({"expected_revision": "x"}, "expected_revision"),
    ],
)
def test_a_refused_field_is_named_as_it_was_written(cast, calls_as, change, field):
    make_api(cast.platform)
    refused = calls_as(cast.olga).post("/api/v1/apis/", SHOP | change)
    assert refused.status_code == 400
    assert field in refused.json()["errors"]
    assert not API.objects.filter(slug="shop").exists()


@pytest.mark.parametrize("body", [[], "text", 7, None])
def test_a_body_that_is_no_object_is_refused(cast, calls_as, body):
    assert calls_as(cast.olga).post("/api/v1/apis/", body).status_code == 400


def test_a_change_names_only_what_changes(cast, calls_as):
    make_api(cast.platform)
    changed = calls_as(cast.olga).patch("/api/v1/apis/products/", {"cache": {"ttl": 5}, "comment": "Fresher."})
    assert changed.status_code == 200
    assert (changed.json()["cache"]["ttl"], changed.json()["cache"]["mode"]) == ("5s", "origin")
    assert changed.json()["revision"] == 2
    revisions = calls_as(cast.olga).get("/api/v1/apis/products/revisions/").json()["results"]
    assert [(row["number"], row["author"]) for row in revisions] == [(2, cast.olga.email), (1, None)]
    assert revisions[0]["comment"] == "Fresher."


def test_the_answer_to_a_change_has_the_new_upstreams(cast, calls_as):
    make_api(cast.platform)
    changed = calls_as(cast.olga).patch("/api/v1/apis/products/", {"upstreams": [{"url": "http://127.0.0.1:8/"}]})
    assert [row["url"] for row in changed.json()["upstreams"]] == ["http://127.0.0.1:8/"]


def test_whose_api_it_is_and_its_slug_never_change(cast, calls_as):
    make_api(cast.platform)
    refused = calls_as(cast.ada).patch("/api/v1/apis/products/", {"slug": "other", "tenant": "acme"})
    assert set(refused.json()["errors"]) == {"slug", "tenant"}


def test_what_was_read_can_be_sent_back(cast, calls_as):
    make_api(cast.platform)
    olga = calls_as(cast.olga)
    read = olga.get("/api/v1/apis/products/").json()
    sent = olga.patch("/api/v1/apis/products/", read)
    assert (sent.status_code, sent.json()["revision"]) == (200, read["revision"])


def test_a_change_of_an_outdated_revision_is_a_conflict(cast, calls_as):
    make_api(cast.platform)
    olga = calls_as(cast.olga)
    assert olga.patch("/api/v1/apis/products/", {"name": "One", "expected_revision": 1}).status_code == 200
    late = olga.patch("/api/v1/apis/products/", {"name": "Two", "expected_revision": 1})
    assert late.status_code == 409
    assert cast.olga.name in late.json()["detail"]


def test_an_api_goes_through_its_life(cast, calls_as):
    make_api(cast.platform, publish=False)
    olga = calls_as(cast.olga)
    for action, state in (
        ("publish", "published"),
        ("deprecate", "deprecated"),
        ("publish", "published"),
        ("unpublish", "draft"),
        ("retire", "retired"),
    ):
        moved = olga.post(f"/api/v1/apis/products/{action}/", {"comment": "As planned."})
        assert (moved.status_code, moved.json()["state"]) == (200, state)
        assert "receipt" in moved.json()


def test_a_step_that_the_state_does_not_allow_is_a_conflict(cast, calls_as):
    make_api(cast.platform, publish=False)
    assert calls_as(cast.olga).post("/api/v1/apis/products/deprecate/").status_code == 409


@pytest.mark.parametrize(
    ("start", "change", "end"),
    [
        (APIState.DRAFT, {"published": True}, "published"),
        (APIState.PUBLISHED, {"published": True}, "published"),
        (APIState.PUBLISHED, {"published": False}, "draft"),
        (APIState.DRAFT, {"published": True, "deprecated": True}, "deprecated"),
        (APIState.DEPRECATED, {"deprecated": False}, "published"),
        (APIState.DRAFT, {"published": False}, "draft"),
        (APIState.DEPRECATED, {"published": True}, "deprecated"),
    ],
)
def test_the_document_says_whether_an_api_is_served(cast, calls_as, start, change, end):
    make_api(cast.platform)
    API.objects.update(state=start)
    assert calls_as(cast.olga).patch("/api/v1/apis/products/", change).json()["state"] == end


def test_developers_edit_and_only_owners_publish(cast, calls_as):
    make_api(cast.acme, publish=False)
    bob = calls_as(cast.bob)
    assert bob.patch("/api/v1/apis/products/", {"summary": "All of them."}).status_code == 200
    assert bob.post("/api/v1/apis/products/publish/").status_code == 403
    assert bob.patch("/api/v1/apis/products/", {"name": "Other", "published": True}).status_code == 403
    assert API.objects.get().name == "Products"


def test_viewers_and_strangers_change_nothing(cast, calls_as):
    make_api(cast.acme)
    for user in (cast.vera, cast.charlie):
        caller = calls_as(user)
        assert caller.patch("/api/v1/apis/products/", {"name": "Mine"}).status_code == 403
        assert caller.post("/api/v1/apis/products/retire/").status_code == 403
        assert caller.delete("/api/v1/apis/products/").status_code == 403


def test_a_stranger_sees_what_the_catalogue_tells_and_no_configuration(cast, calls_as):
    make_api(cast.acme)
    charlie = calls_as(cast.charlie)
    shown = charlie.get("/api/v1/apis/products/").json()
    assert (shown["slug"], shown["listen_path"]) == ("products", "/products/")
    assert not {"upstreams", "cache", "request_headers", "response_headers", "timeouts"} & set(shown)
    assert charlie.get("/api/v1/apis/").json()["results"] == [shown]
    assert charlie.get("/api/v1/apis/products/revisions/").json()["results"] == []
    assert charlie.get("/api/v1/apis/products/revisions/1/").status_code == 404


def test_a_stranger_does_not_find_a_draft(cast, calls_as):
    make_api(cast.acme, publish=False)
    charlie = calls_as(cast.charlie)
    assert charlie.get("/api/v1/apis/products/").status_code == 404
    assert charlie.get("/api/v1/apis/").json()["results"] == []
    assert charlie.post("/api/v1/apis/products/publish/").status_code == 404


def test_an_earlier_revision_is_taken_up_again(cast, calls_as):
    make_api(cast.platform)
    olga = calls_as(cast.olga)
    olga.patch("/api/v1/apis/products/", {"name": "Other"})
    back = olga.post("/api/v1/apis/products/rollback/", {"number": 1})
    assert (back.json()["name"], back.json()["revision"]) == ("Products", 3)
    assert olga.get("/api/v1/apis/products/revisions/2/").json()["document"]["name"] == "Other"
    refused = olga.post("/api/v1/apis/products/rollback/", {"number": 9})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["number"])


def test_an_openapi_document_brings_the_operations(cast, calls_as):
    make_api(cast.platform)
    document = {
        "openapi": "3.0.3",
        "info": {"title": "Products", "version": "1"},
        "paths": {
            "/items": {"get": {"responses": {"200": {"description": "All."}}}},
            "/items/{id}": {
                "get": {
                    "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
                    "responses": {"200": {"description": "One."}},
                }
            },
        },
    }
    olga = calls_as(cast.olga)
    result = olga.post("/api/v1/apis/products/import/", document)
    assert result.status_code == 200
    assert (result.json()["operations"], result.json()["added"], result.json()["removed"]) == (2, 2, 0)
    listed = olga.get("/api/v1/apis/products/operations/").json()["results"]
    assert [(row["method"], row["path"]) for row in listed] == [("GET", "/items"), ("GET", "/items/{id}")]


def test_a_document_that_describes_nothing_is_refused(cast, calls_as):
    make_api(cast.platform)
    olga = calls_as(cast.olga)
    refused = olga.post("/api/v1/apis/products/import/", b"\xff\xfe not a document", content_type="application/yaml")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["document"])
    assert olga.post("/api/v1/apis/products/import/", b"", content_type="application/yaml").status_code == 400


def test_an_oversized_document_is_refused_by_its_size(cast, calls_as):
    make_api(cast.platform)
    huge = calls_as(cast.olga).post(
        "/api/v1/apis/products/import/", b"x" * (10 * 2**20 + 1), content_type="application/json"
    )
    assert (huge.status_code, huge.json()["code"]) == (413, "too_large")


def test_an_api_that_nobody_subscribes_to_is_deleted(cast, calls_as):
    api = make_api(cast.platform)
    olga = calls_as(cast.olga)
    subscription = make_subscription(make_application(cast.acme), api)
    assert olga.delete("/api/v1/apis/products/").status_code == 400
    olga.post(f"/api/v1/subscriptions/{subscription.pk}/revoke/")
    assert olga.delete("/api/v1/apis/products/").status_code == 204
    assert not API.objects.exists()


def test_upstreams_are_added_changed_and_removed(cast, calls_as):
    make_api(cast.platform)
    olga = calls_as(cast.olga)
    made = olga.post("/api/v1/upstreams/", {"api": "products", "url": "http://127.0.0.1:10/", "weight": 3})
    assert (made.status_code, made.json()["weight"]) == (201, 3)
    one = f"/api/v1/upstreams/{made.json()['id']}/"
    assert olga.patch(one, {"weight": 1}).json()["weight"] == 1
    assert [row["url"] for row in olga.get("/api/v1/upstreams/?api=products").json()["results"]] == [
        "http://127.0.0.1:9/",
        "http://127.0.0.1:10/",
    ]
    assert olga.delete(one).status_code == 204
    last = olga.get("/api/v1/upstreams/").json()["results"][0]["id"]
    assert olga.delete(f"/api/v1/upstreams/{last}/").status_code == 400


def test_certificates_of_an_upstream_are_set_shown_and_kept_by_other_changes(cast, calls_as):
    certificate = self_signed("backend.test")
    make_api(cast.platform)
    ada = calls_as(cast.ada)
    made = ada.post("/api/v1/upstreams/", {"api": "products", "url": "https://backend.test/", "ca": certificate.pem})
    assert (made.status_code, made.json()["ca"]) == (201, certificate.pem)
    one = f"/api/v1/upstreams/{made.json()['id']}/"
    assert ada.patch(one, {"weight": 7}).json()["ca"] == certificate.pem
    assert ada.get("/api/v1/apis/products/").json()["upstreams"][1] == {
        "url": "https://backend.test/",
        "weight": 7,
        "ca": certificate.pem,
    }
    refused = ada.patch(one, {"ca": certificate.key})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["ca"])
    assert ada.patch(one, {"ca": ""}).json()["ca"] == ""


def test_a_bad_upstream_is_an_error_of_that_field(cast, calls_as):
    make_api(cast.platform)
    refused = calls_as(cast.olga).post("/api/v1/upstreams/", {"api": "products", "url": "http://169.254.169.254/"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["url"])


def test_a_stranger_sees_no_upstream_and_adds_none(cast, calls_as):
    api = make_api(cast.platform)
    charlie = calls_as(cast.charlie)
    assert charlie.get("/api/v1/upstreams/").json()["results"] == []
    assert charlie.get(f"/api/v1/upstreams/{api.upstreams.get().pk}/").status_code == 404
    refused = charlie.post("/api/v1/upstreams/", {"api": "products", "url": "http://127.0.0.1:10/"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["api"])


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("state=draft", ["beta"]),
        ("tenant=acme", ["beta"]),
        ("search=prod", ["products"]),
        ("ordering=-slug", ["products", "beta"]),
        ("listen_path=/products/", ["products"]),
        ("tenant=nobody", []),
    ],
)
def test_apis_are_filtered_and_ordered(cast, calls_as, filters, found):
    make_api(cast.platform)
    make_api(cast.acme, "beta", publish=False)
    listed = calls_as(cast.ada).get(f"/api/v1/apis/?{filters}").json()["results"]
    assert [row["slug"] for row in listed] == found


def test_a_list_of_apis_takes_as_many_queries_for_ten_as_for_one(cast, calls_as, django_assert_num_queries):
    make_api(cast.acme)
    bob = calls_as(cast.bob)
    bob.get("/api/v1/apis/")
    with django_assert_num_queries(3):  # token, page, upstreams
        bob.get("/api/v1/apis/")
    for number in range(9):
        make_api(cast.acme, f"more-{number}")
    with django_assert_num_queries(3):
        assert len(bob.get("/api/v1/apis/").json()["results"]) == 10
