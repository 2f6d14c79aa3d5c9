"""The pages of analytics: dashboards, the call log, one call explained."""

import json
import re
import time
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.catalog.models import API
from apps.console.analytics.call_log import PER_PAGE
from apps.console.analytics.dashboards import DASHBOARDS
from apps.purging.services import policy_update
from apps.tenants.actors import PLATFORM
from tests.support.calls import HIT, make_calls
from tests.support.cast import make_api, make_application, make_request, make_subscription

GLOBEX = {"tenant": "globex", "application": "globex/app"}
PAGES = ["/analytics/", *(f"/analytics/{name}/" for name in DASHBOARDS), "/calls/"]


@pytest.fixture
def reader(client, cast, state_redis):
    """``reader(user)``: a browser in which ``user`` is signed in."""

    def signed_in(user):
        client.force_login(user)
        return client

    return signed_in


def data_of(page: str, key: str):
    found = re.search(rf'<script id="chart-{key}" type="application/json">(.*?)</script>', page, re.S)
    assert found, key
    return json.loads(found[1])


def text_of(answer) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


@pytest.mark.parametrize("address", PAGES)
def test_pages_want_somebody_signed_in(client, db, address):
    assert client.get(address)["Location"].startswith(reverse("account_login"))


def test_a_dashboard_that_does_not_exist_is_not_found(cast, reader):
    assert reader(cast.ada).get("/analytics/weather/").status_code == 404


@pytest.mark.parametrize("address", PAGES)
def test_pages_have_no_inline_script_or_style(cast, reader, address):
    make_calls({}, HIT, {"status": 502, "cache": "BYPASS", "code": "upstream_unreachable"})
    page = reader(cast.ada).get(address).content.decode()
    assert not re.search(r"<script(?![^>]*(\bsrc=|type=\"application/json\"))|<style|\sstyle=|\son[a-z]+=", page)


def test_the_dashboard_of_an_api_shows_its_hit_ratio(cast, reader):
    make_calls({}, HIT, {"api": "orders"})
    answer = reader(cast.ada).get("/analytics/cache/?api=products")
    assert "50 %" in text_of(answer).replace("\u00a0", " ")
    data = data_of(answer.content.decode(), "cache")
    sums = {line["name"]: sum(value or 0 for value in line["values"]) for line in data["series"]}
    assert (sums["HIT"], sums["MISS"]) == (1, 1)
    assert [value for value in data["series"][2]["values"] if value is not None] == [0.5]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_chart_has_its_question_its_completeness_and_the_same_numbers_in_a_table(cast, reader, name):
    make_calls({}, HIT, {"status": 502, "cache": "BYPASS", "code": "upstream_unreachable"})
    page = reader(cast.ada).get(f"/analytics/{name}/").content.decode()
    keys = re.findall(r'data-chart="chart-([a-z-]+)"', page)
    assert keys
    for key in keys:
        card = page[page.index(f'id="card-{key}"') :].split("</section>")[0]
        assert data_of(page, key)["question"] in unescape(card)
        assert "3 records, all that were written" in card
        rows = re.findall(r'<th scope="row".*?</tr>', card, re.S)
        assert rows
        assert all("<td" in row for row in rows)


def test_each_row_of_the_numbers_leads_to_its_calls(cast, reader):
    make_calls({"at": 1_767_268_805.0, "path": "/there"})
    ada = reader(cast.ada)
    page = ada.get("/analytics/cache/?since=2026-01-01T12:00:00Z&until=2026-01-01T13:00:00Z&api=products")
    [address] = set(re.findall(r'<th scope="row"[^>]*><a href="([^"]+)"', page.content.decode()))
    assert "/there" in ada.get(unescape(address)).content.decode()


def test_missing_records_are_said_and_hatched(cast, reader):
    make_calls({}, {}, lost=3)
    page = reader(cast.ada).get("/analytics/cache/").content.decode()
    assert "2 of 5 records" in page
    assert "records missing" in page
    assert len(data_of(page, "cache")["gaps"]) == 1


def test_one_sees_the_figures_of_ones_own_calls(cast, reader):
    make_calls({}, HIT, {"path": "/products/secret", **GLOBEX})
    page = reader(cast.charlie).get("/analytics/tenants/").content.decode()
    assert "globex/app" in page
    assert "acme" not in page
    assert [line["name"] for line in data_of(page, "tenants")["series"]] == ["globex"]


def test_publications_and_purges_are_marks(cast, reader):
    make_api(cast.platform)
    policy_update(actor=PLATFORM, api=make_api(cast.platform, "orders"), ttl=5.0)
    make_calls({})
    page = reader(cast.olga).get("/analytics/?api=products").content.decode()
    assert [mark["label"] for mark in data_of(page, "calls")["marks"]] == ["Published products"]
    everything = reader(cast.olga).get("/analytics/").content.decode()
    assert {mark["label"] for mark in data_of(everything, "calls")["marks"]} == {
        "Published products",
        "Published orders",
        "Changed orders",
    }


def test_marks_of_other_tenants_are_nobody_else_s(cast, reader):
    make_api(cast.platform)
    make_calls(GLOBEX)
    assert data_of(reader(cast.charlie).get("/analytics/").content.decode(), "calls")["marks"] == []


def test_the_span_and_the_filters_are_in_every_link(cast, reader):
    make_calls({})
    page = reader(cast.ada).get("/analytics/?span=7d&api=products").content.decode()
    for link in ("/analytics/cache/?span=7d&amp;api=products", "/analytics/?span=1h&amp;api=products"):
        assert f'href="{link}"' in page
    assert 'data-calls="/calls/?api=products"' in page
    assert re.search(r'aria-current="true">7 d<', page)


def test_a_span_that_means_nothing_is_said(cast, reader):
    make_calls({})
    assert "There is no span" in text_of(reader(cast.ada).get("/analytics/?span=1y"))
    assert "is no time" in text_of(reader(cast.ada).get("/calls/?since=soon"))


def test_what_is_written_in_a_filter_is_text(cast, reader):
    make_calls({})
    page = reader(cast.ada).get("/analytics/?api=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").content.decode()
    assert "<script>alert" not in page


def test_before_the_first_call_the_page_says_how_to_make_it(cast, reader):
    make_api(cast.platform)
    for address in ("/analytics/", "/calls/"):
        page = text_of(reader(cast.alice).get(address))
        assert "No call yet" in page
        assert "curl -i -H 'X-API-Key: YOUR_KEY' http://127.0.0.1:8080/products/" in page


def test_before_the_first_api_the_page_leads_to_the_apis(cast, reader):
    page = reader(cast.ada).get("/analytics/").content.decode()
    assert "no published API" in page
    assert f'href="{reverse("console:apis")}"' in page


def choices_of(answer, word: str) -> list[tuple[str, str]]:
    """(value, text) of what a filter offers, as a browser without scripts has it."""
    page = answer.content.decode()
    [inside] = re.findall(
        rf'<(?:select[^>]*name|datalist id)="(?:known-)?{word}"[^>]*>(.*?)</(?:select|datalist)>', page, re.S
    )
    return [(value, unescape(text)) for value, text in re.findall(r'<option value="([^"]+)"[^>]*>([^<]*)<', inside)]


def test_filters_offer_what_one_may_see_by_name_with_its_calls(cast, reader):
    make_api(cast.platform)
    make_api(cast.platform, "orders", name="All orders")
    make_application(cast.acme)
    make_calls(GLOBEX, GLOBEX, {"api": "orders", **GLOBEX, **HIT}, {})
    charlie = reader(cast.charlie)
    answer = charlie.get("/calls/")
    assert choices_of(answer, "api") == [("orders", "All orders (orders) · 1 call"), ("products", "Products · 2 calls")]
    assert choices_of(answer, "application") == [("globex/app", "globex/app · 3 calls")]
    assert dict(choices_of(answer, "cache"))["HIT"] == "HIT · 1 call"
    narrowed = charlie.get("/analytics/?api=orders")
    assert dict(choices_of(narrowed, "api"))["products"] == "Products · 2 calls"
    assert dict(choices_of(narrowed, "tenant"))["globex"] == "Globex · 1 call"
    assert choices_of(narrowed, "operation")[0] == ("GET /items/{id}", "GET /items/{id} · 1 call")


def test_where_there_are_more_names_than_are_offered_others_can_be_typed(cast, reader, monkeypatch):
    monkeypatch.setattr("apps.console.analytics.filter_choices.MOST", 2)
    make_calls({"api": "one"}, {"api": "two"}, {"api": "two"}, {"api": "three"}, {"api": "three"}, {"api": "three"})
    answer = reader(cast.ada).get("/analytics/?api=one")
    assert [value for value, _ in choices_of(answer, "api")] == ["three", "two"]
    assert 'name="api" value="one" list="known-api"' in answer.content.decode()
    assert "is called “one”" not in text_of(answer)


@pytest.mark.parametrize("address", ["/analytics/", "/analytics/cache/", "/calls/"])
@pytest.mark.parametrize(
    ("word", "value", "said"),
    [
        ("api", "prodcuts", "No API that you may see is called “prodcuts”"),
        ("tenant", "acmee", "No tenant that you may see is called “acmee”"),
        ("application", "acme/bto", "No application that you may see is called “acme/bto”"),
        ("operation", "GET /itemz", "No operation that you may see is called “GET /itemz”"),
    ],
)
def test_a_name_that_nobody_knows_is_said_with_near_ones(cast, reader, address, word, value, said):
    make_api(cast.platform)
    make_calls({})
    answer = reader(cast.ada).get(address, {word: value, "span": "1h"})
    assert f"{said}, and none of that name was called in the last 1 h." in text_of(answer)
    near = {"api": "products", "tenant": "acme", "application": "acme/bot", "operation": "GET /items/{id}"}[word]
    [link] = re.findall(r"Near: <a href=\"([^\"]+)\">", answer.content.decode())
    found = reader(cast.ada).get(unescape(link))
    assert (value in text_of(found), near in text_of(found)) == (False, True)


def test_a_cache_result_that_is_none_is_said(cast, reader):
    make_calls({})
    assert "No cache result that you may see is called “WARM”" in text_of(reader(cast.ada).get("/calls/?cache=WARM"))


def test_a_name_that_one_may_not_see_is_as_one_that_nobody_has(cast, reader):
    make_application(cast.acme)
    make_calls(GLOBEX, {})
    answers = [text_of(reader(cast.charlie).get("/calls/", {"application": name})) for name in ("acme/bot", "acme/bog")]
    assert answers[0].replace("acme/bot", "") == answers[1].replace("acme/bog", "")


def test_a_known_name_without_calls_is_not_taken_for_unknown(cast, reader):
    make_api(cast.platform, "orders")
    make_calls({})
    answer = reader(cast.ada).get("/analytics/?api=orders")
    assert "is called" not in text_of(answer).split("Show")[-1]
    assert dict(choices_of(answer, "api"))["orders"].endswith("· 0 calls")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_takes_as_many_queries_for_many_calls_as_for_one(cast, reader, name):
    make_calls({})
    ada = reader(cast.ada)
    ada.get(f"/analytics/{name}/")
    with CaptureQueriesContext(connection) as few:
        ada.get(f"/analytics/{name}/")
    make_calls(*({"path": f"/products/{number}", "status": 200} for number in range(60)))
    with CaptureQueriesContext(connection) as many:
        ada.get(f"/analytics/{name}/")
    assert len(many) == len(few) <= 45


# The call log


def test_the_log_shows_each_call_newest_first(cast, reader):
    now = time.time()
    make_calls({"at": now - 60, "path": "/products/old"}, {"at": now - 5, "path": "/products/new", **HIT})
    page = text_of(reader(cast.alice).get("/calls/"))
    assert page.index("/products/new") < page.index("/products/old")
    assert "HIT" in page
    assert "acme/bot" in page


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("cache=HIT", {"/hit"}),
        ("status=404", {"/gone"}),
        ("status=4xx", {"/gone"}),
        ("path=/g", {"/gone"}),
        ("request_id=mine", {"/miss"}),
        ("api=products&application=acme/bot", {"/hit", "/gone", "/miss"}),
        ("tenant=globex", set()),
    ],
)
def test_the_log_is_filtered(cast, reader, filters, found):
    make_calls({"path": "/hit", **HIT}, {"path": "/gone", "status": 404}, {"path": "/miss", "request_id": "mine"})
    page = reader(cast.ada).get(f"/calls/?{filters}").content.decode()
    assert set(re.findall(r'call-path">([^<]+)<', page)) == found


def test_a_call_id_in_the_field_of_request_ids_finds_the_call(cast, reader):
    wanted, _ = make_calls({"path": "/wanted"}, {"path": "/other"})
    page = reader(cast.ada).get(f"/calls/?request_id={wanted}").content.decode()
    assert re.findall(r'call-path">([^<]+)<', page) == ["/wanted"]


def test_a_status_that_is_none_is_said(cast, reader):
    make_calls({})
    assert "Write a status like 404" in text_of(reader(cast.ada).get("/calls/?status=teapot"))


def test_a_filter_that_finds_nothing_can_be_cleared(cast, reader):
    make_calls({})
    page = reader(cast.ada).get("/calls/?cache=STALE").content.decode()
    assert "No such call" in page
    assert 'href="/calls/?span=24h"' in page


def test_pages_of_the_log_stay_put_while_it_grows(cast, reader):
    now = time.time()
    ids = make_calls(*({"at": now - 500 + second} for second in range(PER_PAGE + 10)))
    ada = reader(cast.ada)
    first = ada.get("/calls/").content.decode()
    assert re.findall(r'href="/calls/(\w+)/"', first) == ids[:9:-1]
    make_calls({"at": now}, {"at": now})
    [older] = re.findall(r'rel="next" href="([^"]+)"', first)
    older = unescape(older)
    second = ada.get(older).content.decode()
    assert re.findall(r'href="/calls/(\w+)/"', second) == ids[9::-1]
    assert "hx-trigger" not in second.split('id="list"')[1].split(">")[0]


def test_the_newest_calls_come_by_themselves(cast, reader):
    make_calls({})
    page = reader(cast.ada).get("/calls/?cache=MISS").content.decode()
    opening = page.split('id="list"')[1].split(">")[0]
    assert 'hx-trigger="every 5s"' in opening
    assert 'hx-get="/calls/?span=24h&amp;cache=MISS"' in opening


def test_a_call_that_one_may_not_see_is_no_place_to_go_on_from(cast, reader):
    mine, theirs = make_calls({}, GLOBEX)
    page = reader(cast.vera).get(f"/calls/?before={theirs}").content.decode()
    assert re.findall(r'href="/calls/(\w+)/"', page) == [mine]


# One call


def test_a_call_is_explained(cast, reader):
    [call] = make_calls({"code": "", "flags": ("collapsed",)})
    page = text_of(reader(cast.alice).get(f"/calls/{call}/"))
    for said in (call, "Nothing is stored under this key.", "authenticate", "acme/bot", "GET /items/{id}", "collapsed"):
        assert said in page
    assert "1 attempt, answered 200" in page


def test_a_refused_call_says_why(cast, reader):
    [call] = make_calls(
        {"status": 429, "cache": "BYPASS", "code": "rate_limited", "reason": "rate_limited", "attempts": 0}
    )
    page = text_of(reader(cast.alice).get(f"/calls/{call}/"))
    assert "The plan's rate limit is reached." in page
    assert "was not called" in page


def test_a_stranger_does_not_find_the_call(cast, reader):
    [call] = make_calls({})
    assert reader(cast.charlie).get(f"/calls/{call}/").status_code == 404
    assert reader(cast.ada).get("/calls/nothing/").status_code == 404


def test_the_owner_of_an_api_sees_the_calls_to_it(cast, reader):
    make_api(cast.platform)
    [call] = make_calls({})
    assert reader(cast.olga).get(f"/calls/{call}/").status_code == 200


def test_the_overview_calls_apis_by_name_and_tells_those_of_one_name_apart(cast, reader):
    make_api(cast.acme)
    make_api(cast.acme, "acme-orders", name="Orders")
    make_api(cast.globex, "orders")
    make_calls(
        *({"api": slug, "status": 502, "at": time.time()} for slug in ("acme-orders", "orders", "products", "gone"))
    )
    page = reader(cast.ada).get("/").content.decode()
    for title in ("Slowest APIs", "Most failing APIs"):
        card = page[page.index(title) :].split("</section>")[0]
        shown = set(re.findall(r'<a class="table-name[^>]*>(.*?)</a>', card))
        assert shown == {"Orders (acme-orders)", "Orders (orders)", "Products", "gone"}


def test_apis_are_offered_by_name_in_any_case(cast, reader):
    for slug, name in (("zebra", "Zebra"), ("ant", "ant"), ("bee", "Bee")):
        make_api(cast.acme, slug, name=name)
    for page in ("purge", "warm_up_new"):
        offered = reader(cast.ada).get(reverse(f"console:{page}")).context["form"].fields["api"].queryset
        assert [api.name for api in offered] == ["ant", "Bee", "Zebra"]
    api, application = API.objects.get(slug="bee"), make_application(cast.globex)
    make_request(cast.charlie, application, api)
    make_subscription(application, api)
    make_calls({"api": "bee"}, {"api": "zebra"}, {"api": "zebra"})
    for address in ("/requests/", "/subscriptions/", "/analytics/"):
        offered = [value for value, _ in choices_of(reader(cast.ada).get(address), "api")]
        assert offered == ["ant", "bee", "zebra"], address
