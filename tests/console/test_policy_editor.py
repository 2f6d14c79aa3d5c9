"""The cache policy in sentences, and what a sample request would get."""

import pytest

from apps.access.models import Application
from apps.audit.models import Entry
from apps.caching.models import SETTINGS, CachePolicy
from apps.caching.validation import MOST_OPERATIONS
from apps.catalog.models import API
from apps.console.forms.cache import PolicyForm
from apps.console.forms.operations import OperationForm, rearranged
from apps.console.forms.sample import SampleForm
from apps.console.forms.warming import WarmUpSettingsForm
from apps.console.policy_sentences import sentences
from apps.console.preview import preview
from apps.purging.services import policy_update
from tests.console.conftest import errors_of, last_entry, text_of

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
    assert shown.calls[1].because == "The origin forbids storing the response (no-store)."


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


def test_the_key_that_the_gateway_checks_makes_no_answer_a_caller_s_own(api):
    policy = CachePolicy(mode="override")
    checked = preview(api, policy, SAMPLE | {"request_headers": "X-API-Key: any"})
    assert any("shared among every caller" in sentence for sentence in checked.calls[0].sentences)
    told = preview(api, policy, SAMPLE | {"request_headers": "X-Auth-Token: any"})
    assert any("shared among this one caller" in sentence for sentence in told.calls[0].sentences)


def test_an_ambiguous_path_is_refused_as_the_gateway_would(api):
    assert preview(api, CachePolicy(), SAMPLE | {"path": "no-slash"}).error == "The gateway refuses this path with 400."


def test_a_policy_speaks_sentences():
    policy = CachePolicy(mode="ttl", ttl=60, stale_while_revalidate=30, headers=["accept-language"])
    said = [sentence.replace("\u00a0", " ") for sentence in sentences(policy)]
    assert said[0] == "Keep responses for 1 min when the origin says nothing."
    assert said[1] == "Serve them up to 30 s longer while one call refreshes."
    assert (
        "Two calls get the same response when they have the same path, all query parameters, and the request headers "
        "accept-language." in said
    )


def test_what_is_seldom_set_is_said_where_it_is():
    policy = CachePolicy(
        methods=["GET", "POST"],
        body="graphql",
        query_sorted=True,
        negative_ttl=5,
        downstream="60",
        entity_tags=[{"json": "id", "tag": "item:"}],
        max_size=10**9,
        share_with_credentials=True,
        sensitivity="personal",
        origin_stale_beside_s_maxage=True,
        store_set_cookie=True,
        operations=[{"path": f"/{number}", "methods": ["GET"]} for number in range(5)],
    )
    said = [sentence.replace("\u00a0", " ") for sentence in sentences(policy)]
    for sentence in (
        "Keep errors for 5 s.",
        "Two calls get the same response when they have the same path, all query parameters in any order.",
        "A response belongs to the one caller, for 5 min at most, and is encrypted at rest.",
        "Responses to POST are kept too, by the call's body (as GraphQL).",
        "Responses to calls with credentials are shared without the origin's permission.",
        "The origin's own stale times count beside s-maxage.",
        "Responses that set cookies are stored too.",
        "Responses are tagged by what they show: item:….",
        "All of them together take 1 GB at most in each tier.",
        "Caches behind the gateway keep them for 1 min.",
        "Policies of their own have GET /0; GET /1; GET /2 and 2 more.",
    ):
        assert sentence in said
    assert sentences(CachePolicy(downstream="no-store"))[-1] == "No cache behind the gateway may keep them."
    off = sentences(CachePolicy(mode="off", operations=[{"path": "/**"}]))
    assert off == [
        "Nothing is cached but what an operation's policy says.",
        "Policies of their own have any method /**.",
    ]


@pytest.mark.parametrize(
    ("fields", "start"), [({"mode": "off"}, "Nothing is cached"), ({"sensitivity": "secret"}, "Nothing is cached")]
)
def test_a_policy_that_stores_nothing_says_only_that(fields, start):
    (only,) = sentences(CachePolicy(**fields))
    assert only.startswith(start)


FIELDS = {
    "mode": "override",
    "ttl": "90s",
    "stale_while_revalidate": "0s",
    "stale_if_error": "",
    "scope": "auto",
    "query_mode": "all",
    "query_names": "",
    "headers": "",
    "client_directives": "bounded",
    "sensitivity": "internal",
    "methods": ["GET", "HEAD"],
    "body": "json",
    "negative_ttl": "",
    "jitter": "10",
    "max_body": "8 MiB",
    "max_variants": "64",
    "max_size": "",
    "downstream": "pass",
    "surrogate_control": "remove",
    "entity_tags": "",
    "collections": "on",
    "comment": "",
    "operations-TOTAL_FORMS": "0",
    "operations-INITIAL_FORMS": "0",
    "expected_revision": "1",
}


def test_the_preview_follows_what_is_typed_and_saves_nothing(world, browse):
    answer = browse(world.people.olga).post("/apis/products/cache/preview/", FIELDS | SAMPLE)
    assert "HIT" in text_of(answer)
    world.api.cache_policy.refresh_from_db()
    assert world.api.cache_policy.mode == "origin"


def test_the_page_itself_shows_the_sample_decided(world, browse):
    page = text_of(browse(world.people.olga).get("/apis/products/cache/")).replace("\u00a0", " ")
    assert "The first time, this request would be: MISS because nothing is stored under this key." in page
    assert "10 s later, this request would be: HIT because a stored response is still fresh." in page


def test_saving_the_policy_ends_with_its_receipt(world, browse):
    answer = browse(world.people.olga).post("/apis/products/cache/", FIELDS, follow=True)
    assert "The cache policy is saved: in force" in text_of(answer)
    world.api.cache_policy.refresh_from_db()
    assert (world.api.cache_policy.mode, world.api.cache_policy.ttl) == ("override", 90)


def test_of_two_who_save_at_once_the_second_is_told_and_loses_nothing(world, browse):
    olga = browse(world.people.olga)
    assert olga.post("/apis/products/cache/", FIELDS).status_code == 302
    answer = browse(world.people.ada).post("/apis/products/cache/", FIELDS | {"ttl": "7m", "mode": "ttl"})
    assert answer.status_code == 422
    assert errors_of(answer)["__all__"]
    assert 'value="7m"' in answer.content.decode()
    assert CachePolicy.objects.get(api=world.api).mode == "override"


def test_a_policy_that_makes_no_sense_is_refused_beside_its_field(world, browse):
    answer = browse(world.people.olga).post("/apis/products/cache/", FIELDS | {"ttl": "soon", "query_mode": "include"})
    assert answer.status_code == 422
    page = text_of(answer)
    assert "is not a duration" in page
    assert "soon" in answer.content.decode()


def test_each_field_of_a_policy_is_typed_and_kept(world, browse):
    typed = {
        "query_sorted": "on",
        "methods": ["GET", "POST"],
        "body": "graphql",
        "negative_ttl": "5s",
        "jitter": "25",
        "max_body": "500 KiB",
        "max_variants": "8",
        "max_size": "1 GiB",
        "downstream": "for",
        "downstream_for": "30d",
        "surrogate_control": "pass",
        "entity_tags": "items[*].id item:\n$.id page:",
        "collections": "",
        "origin_stale_beside_s_maxage": "on",
        "store_set_cookie": "on",
        "sensitivity": "personal",
        "warm-on_publish": "on",
        "warm-every": "1h",
        "warm-top": "50",
        "warm-urls": "/items/1\n/items/2",
        "warm-rate": "5/s",
        "warm-headers": "Accept-Language: de",
    }
    assert browse(world.people.olga).post("/apis/products/cache/", FIELDS | typed).status_code == 302
    policy = CachePolicy.objects.get(api=world.api)
    kept = {
        "query_sorted": True,
        "methods": ["GET", "POST"],
        "body": "graphql",
        "negative_ttl": 5,
        "jitter": 0.25,
        "max_body": 500 * 1024,
        "max_variants": 8,
        "max_size": 2**30,
        "downstream": "2592000",
        "surrogate_control": "pass",
        "collections": False,
        "origin_stale_beside_s_maxage": True,
        "store_set_cookie": True,
        "sensitivity": "personal",
        "entity_tags": [{"json": "items[*].id", "tag": "item:"}, {"json": "$.id", "tag": "page:"}],
    }
    assert {name: getattr(policy, name) for name in kept} == kept
    warm_up = {"urls": ["/items/1", "/items/2"], "top": 50, "rate": "5/s", "on_publish": True}
    assert policy.warm_up == warm_up | {"every": "60m", "headers": {"accept-language": "de"}}


def form_of(answer) -> dict:
    """What a browser would post of the editor as it stands."""
    posted: dict = {}
    forms = (answer.context["form"], answer.context["warming"], *answer.context["operations"].forms)
    for bound in (bound for form in forms for bound in form):
        value = bound.field.prepare_value(bound.value())
        if value not in (None, False):
            posted[bound.html_name] = value
    management = answer.context["operations"].management_form
    return posted | {bound.html_name: bound.value() for bound in management}


def test_what_is_shown_and_saved_again_changes_nothing(world, browse):
    olga = browse(world.people.olga)
    operations = [
        {"path": "/items/{id}", "methods": ["GET"], "mode": "override", "ttl": 300.0, "stale_if_error": None},
        {"path": "/search", "methods": ["POST"], "headers": [], "downstream": "60", "collections": False},
        {"path": "/account/**", "mode": "off", "entity_tags": [{"json": "id", "tag": "account:"}]},
    ]
    policy_update(actor=world.people.olga, api=world.api, operations=operations, max_size=None, methods=["GET", "POST"])
    entries = Entry.objects.count()
    answer = olga.get("/apis/products/cache/")
    assert olga.post("/apis/products/cache/", form_of(answer)).status_code == 302
    assert CachePolicy.objects.get(api=world.api).operations == operations
    assert Entry.objects.count() == entries


def row(number: int, **fields) -> dict:
    return {f"operations-{number}-{name}": value for name, value in fields.items()}


def rows(*each: dict) -> dict:
    found = {"operations-TOTAL_FORMS": str(len(each)), "operations-INITIAL_FORMS": "0"}
    for number, fields in enumerate(each):
        found |= row(number, **fields)
    return found


ITEMS, SEARCH = {"path": "/items/{id}", "methods": "get", "ttl": "5m"}, {"path": "/search", "ttl": "soon"}


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        ("add", ["/items/{id}", "/search", None]),
        ("up-1", ["/search", "/items/{id}"]),
        ("down-0", ["/search", "/items/{id}"]),
        ("remove-0", ["/search"]),
        ("up-0", ["/items/{id}", "/search"]),
        ("down-9", ["/items/{id}", "/search"]),
        ("sideways-0", ["/items/{id}", "/search"]),
        ("up-²", ["/items/{id}", "/search"]),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["plain", "htmx"])
def test_rows_are_added_moved_and_removed_with_nothing_typed_lost_and_nothing_saved(
    world, browse, change, paths, headers
):
    typed = FIELDS | rows(ITEMS, SEARCH) | {"change": change, "ttl": "7m", "comment": "Why not"}
    answer = browse(world.people.olga).post("/apis/products/cache/operations/", typed, headers=headers)
    assert answer.status_code == 200
    assert [form["path"].value() for form in answer.context["operations"]] == paths
    by_path = {form["path"].value(): form["ttl"].value() for form in answer.context["operations"]}
    assert by_path["/search"] == "soon"
    if not headers:
        page = answer.content.decode()
        assert 'value="7m"' in page
        assert "Why not" in page
    assert not CachePolicy.objects.get(api=world.api).operations


def test_rows_are_saved_in_their_order_and_empty_ones_forgotten(world, browse):
    typed = FIELDS | rows(ITEMS, {}, {"path": "/search", "methods": "POST", "mode": "ttl", "headers": "none"})
    answer = browse(world.people.olga).post("/apis/products/cache/", typed)
    assert answer.status_code == 302
    assert CachePolicy.objects.get(api=world.api).operations == [
        {"path": "/items/{id}", "methods": ["GET"], "ttl": 300.0},
        {"path": "/search", "methods": ["POST"], "mode": "ttl", "headers": []},
    ]


def test_as_many_operations_as_a_policy_may_have_are_taken_and_no_more(settings):
    fields = len(PolicyForm().fields) + len(SampleForm(applications=Application.objects.none()).fields)
    fields += len(WarmUpSettingsForm().fields) + MOST_OPERATIONS * len(OperationForm().fields)
    assert fields + 20 < settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
    rows, at = rearranged([{}] * MOST_OPERATIONS, "add")
    assert (len(rows), at) == (MOST_OPERATIONS, None)
    assert len(rearranged([{}], "add")[0]) == 2


@pytest.mark.parametrize(
    ("fields", "name", "error"),
    [
        ({"path": "/search", "ttl": "soon"}, "ttl", "is not a duration"),
        ({"ttl": "5m"}, "path", "Say for which path"),
        ({"path": "items"}, "path", "starts with a slash"),
        ({"path": "/search", "query_mode": "include"}, "query_names", "at least one"),
        ({"path": "/search", "downstream": "for"}, "downstream_for", "Say for how long"),
        ({"path": "/search", "share_with_credentials": "yes"}, "share_confirmed", "Confirm this"),
        ({"path": "/search", "max_body": "large"}, "max_body", "Expected a size"),
    ],
)
def test_what_is_wrong_with_an_operation_stands_in_its_row(world, browse, fields, name, error):
    answer = browse(world.people.olga).post("/apis/products/cache/", FIELDS | rows(ITEMS, {}, fields))
    assert answer.status_code == 422
    refused = answer.context["operations"].forms[2]
    assert error in " ".join(refused.errors[name])
    assert error in text_of(answer)
    assert not CachePolicy.objects.get(api=world.api).operations


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"entity_tags": "items[ item:"}, "items["),
        ({"jitter": "80"}, "50"),
        ({"warm-rate": "often"}, "100/s"),
        ({"warm-headers": "Host: x"}, "Host"),
        ({"warm-urls": "items"}, "Write a path"),
        ({"downstream": "for", "downstream_for": ""}, "Say for how long"),
    ],
)
def test_a_field_of_the_rest_is_refused_beside_itself(world, browse, fields, error):
    answer = browse(world.people.olga).post("/apis/products/cache/", FIELDS | fields)
    assert answer.status_code == 422
    name, value = next(iter(fields.items()))
    form = answer.context["warming"] if name.startswith("warm-") else answer.context["form"]
    assert not form.non_field_errors()
    assert any(error in each for errors in form.errors.values() for each in errors), form.errors
    assert value in answer.content.decode()


def test_sharing_in_spite_of_credentials_is_confirmed_once(world, browse):
    olga = browse(world.people.olga)
    switched = FIELDS | {"share_with_credentials": "on"}
    answer = olga.post("/apis/products/cache/", switched)
    assert answer.status_code == 422
    assert errors_of(answer) == {"share_confirmed": ["Confirm this, or leave the switch off."]}
    assert olga.post("/apis/products/cache/", switched | {"share_confirmed": "on"}).status_code == 302
    assert CachePolicy.objects.get(api=world.api).share_with_credentials
    assert "share_with_credentials" in str(last_entry().changes)
    again = switched | {"ttl": "2m", "expected_revision": "2"}
    assert olga.post("/apis/products/cache/", again).status_code == 302


def test_the_preview_follows_the_first_operation_that_the_call_falls_under(world, browse):
    typed = FIELDS | SAMPLE | rows(ITEMS, {"path": "/items/**", "mode": "off"})
    olga = browse(world.people.olga)
    page = text_of(olga.post("/apis/products/cache/preview/", typed)).replace("\u00a0", " ")
    assert "Policy 1 of the operations counts: GET /items/{id}." in page
    assert "Fresh for 5 min" in page
    page = text_of(olga.post("/apis/products/cache/preview/", typed | {"path": "/items/7/stock"}))
    assert "would be: BYPASS because caching is off for this API." in page
    page = text_of(olga.post("/apis/products/cache/preview/", typed | {"path": "/"}))
    assert "the API's own counts" in page


def test_the_preview_says_what_is_wrong_with_the_policy_or_the_sample(world, browse):
    olga = browse(world.people.olga)
    wrong = (
        ({"ttl": "soon"}, "is not a duration"),
        (rows({"path": "items"}), "starts with a slash"),
        ({"application": "nobody/there"}, "There is no such application"),
        ({"request_headers": "nonsense"}, "is not a header"),
    )
    for fields, said in wrong:
        assert said in text_of(olga.post("/apis/products/cache/preview/", FIELDS | SAMPLE | fields)), fields


def test_a_body_is_part_of_the_key_of_a_read_only_post(api):
    policy = CachePolicy(mode="override", methods=["GET", "POST"])
    headers = [("Content-Type", "application/json")]
    sample = SAMPLE | {"method": "POST", "request_headers": headers}
    one, other = (
        dict(preview(api, policy, sample | {"request_body": body}).key)
        for body in ('{"a": 1, "b": 2}', '{"b":2,"a":1}')
    )
    assert one == other
    assert one != dict(preview(api, policy, sample | {"request_body": "{}"}).key)


@pytest.mark.parametrize(
    ("fields", "headers", "won"),
    [
        (
            {"mode": "override"},
            "Cache-Control: max-age=5",
            "The policy's TTL of 1 min counts over the origin's max-age.",
        ),
        ({"mode": "ttl"}, "Cache-Control: max-age=5", "The origin's max-age counts over the policy's TTL."),
        ({}, "Cache-Control: max-age=5, s-maxage=9", "The origin's s-maxage counts over its max-age."),
        (
            {},
            "Cache-Control: s-maxage=9, stale-while-revalidate=30",
            "s-maxage forbids them (RFC 9111 §5.2.2.10); the origin's stale-while-revalidate doesn't count.",
        ),
        (
            {"origin_stale_beside_s_maxage": True},
            "Cache-Control: s-maxage=9, stale-while-revalidate=30",
            "The origin's stale-while-revalidate counts beside s-maxage: the policy says so.",
        ),
        (
            {"stale_while_revalidate": 9},
            "Cache-Control: max-age=9, must-revalidate",
            "must-revalidate forbids them; the policy's stale times don't count.",
        ),
        (
            {"stale_while_revalidate": 9},
            "Cache-Control: max-age=9, stale-while-revalidate=1",
            "The origin's stale-while-revalidate counts over the policy's.",
        ),
        (
            {},
            "CDN-Cache-Control: max-age=9\nCache-Control: no-store",
            "CDN-Cache-Control counts instead of Cache-Control (RFC 9213).",
        ),
        (
            {},
            "CDN-Cache-Control: &\nCache-Control: max-age=9",
            "Cache-Control counts: CDN-Cache-Control can't be read.",
        ),
    ],
)
def test_where_several_rules_speak_the_one_that_won_is_named(api, fields, headers, won):
    shown = preview(api, CachePolicy(**fields), SAMPLE | {"response_headers": headers})
    assert won in [winner.sentence.replace("\u00a0", " ") for winner in shown.winners]


def test_where_one_rule_speaks_nobody_won(api):
    assert preview(api, CachePolicy(), SAMPLE | {"response_headers": "Cache-Control: max-age=5"}).winners == []


def test_an_error_s_own_lifetime_is_named(api):
    shown = preview(api, CachePolicy(mode="ttl", negative_ttl=7), SAMPLE | {"status": 404})
    assert "for errors count" in shown.winners[0].sentence


def test_every_link_to_the_help_page_has_its_place_there(world, browse):
    import re
    from pathlib import Path

    root = Path(__file__).parents[2]
    sources = "\n".join(path.read_text() for path in (root / "apps/console/forms").glob("*.py"))
    sources = re.sub(r"order_by\(.*\)", "", sources)  # which ends like a field with a place there
    wanted = set(re.findall(r'^\s+"([a-z-]+)",\n\s+\)$', sources, flags=re.M)) | set(
        re.findall(r'\), "([a-z-]+)"\n?\s*\)', sources)
    )
    wanted |= set(
        re.findall(
            r"'console:help' %}#([\w-]+)", "\n".join(p.read_text() for p in (root / "templates").rglob("*.html"))
        )
    )
    wanted |= {setting.anchor for setting in SETTINGS.values() if setting.anchor}
    page = browse(world.people.olga).get("/help/").content.decode()
    assert wanted - set(re.findall(r'id="([\w-]+)"', page)) == set()
    assert len(wanted) > 25
