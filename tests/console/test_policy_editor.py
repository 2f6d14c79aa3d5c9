"""The cache policy in sentences, and what a sample request would get."""

import pytest

from apps.caching.models import CachePolicy
from apps.catalog.models import API
from apps.console.policy_words import sentences
from apps.console.preview import preview
from tests.console.conftest import text_of

SAMPLE = {"method": "GET", "path": "/items/7?page=2", "status": 200, "response_headers": "", "age": 10}


@pytest.fixture
def api(world) -> API:
    return world.api


def results(api, policy, **sample) -> list[str]:
    return [call.result for call in preview(api, policy, SAMPLE | sample).calls]


def test_an_origin_that_gives_a_lifetime_is_a_miss_and_then_a_hit(api):
    assert results(api, CachePolicy(), response_headers="Cache-Control: max-age=30") == ["MISS", "HIT"]


def test_a_policy_without_methods_means_get_and_head(api):
    assert results(api, CachePolicy(mode="override", methods=[])) == ["MISS", "HIT"]
    assert results(api, CachePolicy(mode="override", methods=[]), method="POST") == ["BYPASS"]


def test_what_the_origin_forbids_is_a_miss_each_time(api):
    shown = preview(api, CachePolicy(mode="override"), SAMPLE | {"response_headers": "Cache-Control: no-store"})
    assert [call.result for call in shown.calls] == ["MISS", "MISS"]
    assert shown.calls[1].because == "The origin forbids storing the answer (no-store)."


def test_after_its_lifetime_an_answer_is_stale_within_the_grace_and_then_fetched(api):
    policy = CachePolicy(mode="override", ttl=5, stale_while_revalidate=30)
    assert results(api, policy, age=10) == ["MISS", "STALE"]
    assert results(api, policy, age=60) == ["MISS", "MISS"]


def test_an_answer_with_a_validator_is_revalidated(api):
    headers = 'Cache-Control: max-age=5\nETag: "1"'
    assert results(api, CachePolicy(), response_headers=headers) == ["MISS", "REVALIDATED"]


def test_what_is_not_keyed_is_not_forwarded(api):
    policy = CachePolicy(query_mode="include", query_names=["page"])
    assert preview(api, policy, SAMPLE | {"path": "/items?page=2&utm=x"}).forwarded == "/items?page=2"


def test_an_ambiguous_path_is_refused_as_the_gateway_would(api):
    assert preview(api, CachePolicy(), SAMPLE | {"path": "no-slash"}).error == "The gateway refuses this path with 400."


def test_a_policy_speaks_sentences():
    policy = CachePolicy(mode="ttl", ttl=60, stale_while_revalidate=30, headers=["accept-language"])
    said = [sentence.replace("\u00a0", " ") for sentence in sentences(policy)]
    assert said[0] == "Keep answers for 1 min when the origin says nothing."
    assert said[1] == "Serve them up to 30 s longer while one call refreshes."
    assert (
        "Two calls get the same answer when they have the same path, all query parameters, and the request headers accept-language."
        in said
    )


@pytest.mark.parametrize(
    ("fields", "start"), [({"mode": "off"}, "Nothing is cached"), ({"sensitivity": "secret"}, "Nothing is cached")]
)
def test_a_policy_that_stores_nothing_says_only_that(fields, start):
    (only,) = sentences(CachePolicy(**fields))
    assert only.startswith(start)


FIELDS = {
    **{"mode": "override", "ttl": "90s", "stale_while_revalidate": "0s", "stale_if_error": "", "scope": "auto"},
    **{"query_mode": "all", "query_names": "", "headers": "", "client_directives": "bounded", "sensitivity": "internal"},
    **{"methods": ["GET", "HEAD"], "body": "json", "negative_ttl": "", "jitter": "10", "max_body": "8 MiB"},
    **{"max_variants": "64", "max_size": "", "downstream": "pass", "surrogate_control": "remove", "entity_tags": ""},
    **{"collections": "on", "comment": "", "operations-TOTAL_FORMS": "0", "operations-INITIAL_FORMS": "0"},
}


def test_the_preview_follows_what_is_typed_and_saves_nothing(world, browse):
    answer = browse(world.people.olga).post("/apis/products/cache/preview/", FIELDS | SAMPLE)
    assert "HIT" in text_of(answer)
    world.api.cache_policy.refresh_from_db()
    assert world.api.cache_policy.mode == "origin"


def test_the_page_itself_shows_the_sample_decided(world, browse):
    page = text_of(browse(world.people.olga).get("/apis/products/cache/")).replace("\u00a0", " ")
    assert "The first time, this request would be: MISS because nothing is stored under this key." in page
    assert "10 s later, this request would be: HIT because a stored answer is still fresh." in page


def test_saving_the_policy_ends_with_its_receipt(world, browse):
    answer = browse(world.people.olga).post("/apis/products/cache/", FIELDS, follow=True)
    assert "The cache policy is saved: in force" in text_of(answer)
    world.api.cache_policy.refresh_from_db()
    assert (world.api.cache_policy.mode, world.api.cache_policy.ttl) == ("override", 90)


def test_a_policy_that_makes_no_sense_is_refused_beside_its_field(world, browse):
    answer = browse(world.people.olga).post("/apis/products/cache/", FIELDS | {"ttl": "soon", "query_mode": "include"})
    assert answer.status_code == 422
    page = text_of(answer)
    assert "is not a duration" in page
    assert "soon" in answer.content.decode()
