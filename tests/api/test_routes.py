"""Every route of the REST API: who gets in, and what the schema says of it."""

import contextlib
import json
import re
from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver
from openapi_spec_validator import validate
from rest_framework.test import APIClient

from apps.access import selectors
from apps.tenants.models import User
from tests.support.calls import make_calls
from tests.support.cast import (
    PASSWORD,
    make_api,
    make_application,
    make_key,
    make_plan,
    make_request,
    make_subscription,
    make_tenant,
    make_user,
)

CONTRACT = (
    "tenants users apis upstreams plans applications keys access-requests subscriptions cache-policies purges calls "
    "gateways audit purge-webhooks cdns hosts analytics/summary analytics/timeseries"
).split()
METHODS = ("get", "post", "put", "patch", "delete")
OPEN = {"/api/schema/", "/api/docs/"}  # what the API is like is no secret
#: their callers have no account: see test_invalidation and test_security_events
SIGNED = {"/api/v1/purge-webhooks/1/messages/", "/api/v1/issuers/1/security-events/"}


def routes(resolver=None, prefix: str = "/") -> Iterator[str]:
    """The address of every route below /api/, with something in place of its parameters."""
    for pattern in (resolver or get_resolver()).url_patterns:
        text = prefix + str(pattern.pattern).lstrip("^").rstrip("$")
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, text)
        elif isinstance(pattern, URLPattern) and text.startswith("/api/"):
            address = re.sub(r"\(\?P<application>.*?\)\+?(?=/)", "acme/bot", text)
            yield re.sub(r"\(\?P<\w+>[^()]*\)|<[^>]+>", "1", address).replace("\\Z", "")


EVERY = sorted(set(routes()) - OPEN - SIGNED)


def test_every_noun_of_the_contract_has_a_route():
    assert {f"/api/v1/{noun}/" for noun in CONTRACT} <= set(EVERY)
    assert len(EVERY) > 40


@pytest.mark.django_db
@pytest.mark.parametrize("address", EVERY)
def test_nobody_gets_in_without_a_token(address):
    client = APIClient()
    for method in METHODS:
        refused = getattr(client, method)(address)
        assert refused.status_code == 401, method
        assert refused["WWW-Authenticate"].startswith("Bearer")
        assert refused["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("address", EVERY)
def test_a_stranger_sees_nothing_of_what_others_have(cast, calls_as, address, everything):
    """Charlie, of another tenant, may read what everybody may: the catalogue, the plans, himself."""
    charlie = calls_as(cast.charlie)
    answer = charlie.get(address)
    assert answer.status_code in (200, 403, 404, 405)
    text = answer.content.decode()
    for secret in ("acme/bot", "alice@acme.test", "bob@acme.test", "To build the shop", "127.0.0.1:9", '"acme"'):
        assert secret not in text, address
    for method in ("post", "patch", "delete"):
        refused = getattr(charlie, method)(address, {}, format="json")
        assert refused.status_code in (400, 403, 404, 405) or address.startswith(OWN), (method, refused.status_code)


#: What he changes of himself, or makes for his own tenant, is his to change.
OWN = ("/api/v1/applications/", "/api/v1/notifications/read/")


@pytest.fixture
def everything(cast):
    """One of each, none of it Charlie's."""
    api = make_api(cast.platform)
    application = make_application(cast.acme)
    make_subscription(application, api)
    make_key(application)
    make_request(cast.bob, make_application(cast.acme, "second"), api)
    make_calls({})


def test_a_session_of_the_console_opens_the_api_and_changes_need_its_csrf_token(cast):
    client = APIClient(enforce_csrf_checks=True)
    assert client.login(username=cast.alice.email, password=PASSWORD) or client.force_login(cast.alice) is None
    assert client.get("/api/v1/users/me/").json()["email"] == cast.alice.email
    refused = client.patch("/api/v1/tenants/acme/", {"name": "Other"}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")


def test_the_schema_is_valid_and_names_every_route(client):
    answer = client.get("/api/schema/", headers={"accept": "application/json"})
    assert answer.status_code == 200
    schema = json.loads(answer.content)
    validate(schema)
    described = {re.sub(r"\{\w+\}", "1", path) for path in schema["paths"]}
    assert described == {address.replace("acme/bot", "1") for address in {*EVERY, *SIGNED}}
    assert schema["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}


def test_lists_are_described_as_they_are(client):
    schema = json.loads(client.get("/api/schema/", headers={"accept": "application/json"}).content)
    for noun in ("tenants", "calls", "gateways", "apis"):
        operation = schema["paths"][f"/api/v1/{noun}/"]["get"]
        name = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
        assert set(schema["components"]["schemas"][name]["properties"]) == {"next", "previous", "results"}
        assert "page_size" in {parameter["name"] for parameter in operation["parameters"]}


@pytest.mark.django_db
def test_the_documentation_page_needs_no_inline_script_and_no_other_site(client):
    answer = client.get("/api/docs/")
    assert answer.status_code == 200
    page = answer.content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page)
    assert "//" not in re.sub(r"<!doctype[^>]*>", "", page).replace("http://testserver", "")
    policy = answer["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    assert "unsafe-eval" not in policy
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        with contextlib.closing(client.get(address)) as file:
            assert file.status_code == 200, address


@pytest.mark.django_db
def test_a_body_that_is_no_json_is_refused(cast, calls_as):
    ada = calls_as(cast.ada)
    assert ada.post("/api/v1/tenants/", b"{not json", content_type="application/json").status_code == 400
    assert ada.post("/api/v1/tenants/", b"a=b", content_type="application/x-www-form-urlencoded").status_code == 415
    deep = ada.post("/api/v1/tenants/", b"[" * 100_000 + b"]" * 100_000, content_type="application/json")
    assert (deep.status_code, deep.json()["detail"]) == (400, "The body's values are nested too deeply.")
    for number in ("1e999", "-1e999", "NaN", "Infinity", "9" * 5000):
        told = ada.post("/api/v1/tenants/", f'{{"slug": "x", "name": {number}}}', content_type="application/json")
        assert told.status_code == 400, number
    huge = ada.post("/api/v1/tenants/", b" " * (2 * 2**20 + 1), content_type="application/json")
    assert (huge.status_code, huge.json()["code"]) == (413, "too_large")


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["users/{}/", "users/{}/tokens/", "users/1/tokens/{}/", "keys/{}/", "upstreams/{}/"])
def test_a_number_that_no_row_can_have_is_not_found(cast, calls_as, path):
    assert calls_as(cast.ada).get(f"/api/v1/{path.format('9' * 30)}").status_code == 404


def test_no_answer_carries_the_hash_of_a_secret(cast, calls_as, everything):
    ada = calls_as(cast.ada)
    digests = [*User.objects.values_list("password", flat=True)]
    for address in EVERY:
        answer = ada.get(address)
        text = answer.content.decode()
        assert answer.status_code in (200, 404, 405)
        assert not any(digest in text for digest in digests)
        assert "digest" not in text


def test_an_address_that_no_route_has_is_a_problem_below_the_api_and_a_page_elsewhere(client, db):
    below = client.get("/api/v1/nothing/")
    assert (below.status_code, below["Content-Type"], below.json()["code"]) == (
        404,
        "application/problem+json",
        "not_found",
    )
    elsewhere = client.get("/nothing/at/all/")
    assert (elsewhere.status_code, elsewhere["Content-Type"]) == (404, "text/html; charset=utf-8")


def test_while_the_database_is_away_that_is_said(cast, calls_as, monkeypatch):
    def away(user):
        raise OperationalError("could not connect to db.internal")

    monkeypatch.setattr(selectors, "plans_visible_to", away)
    answer = calls_as(cast.ada).get("/api/v1/plans/")
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "unavailable", "5")
    assert "internal" not in answer.content.decode()


def test_a_fault_of_ours_is_a_problem_that_tells_nothing(cast, calls_as, monkeypatch):
    def broken(user):
        raise RuntimeError("postgres://secret@db")

    monkeypatch.setattr(selectors, "plans_visible_to", broken)
    ada = calls_as(cast.ada)
    ada.raise_request_exception = False
    answer = ada.get("/api/v1/plans/")
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert answer.json()["code"] == "internal_error"
    assert "secret" not in answer.content.decode()


@pytest.mark.parametrize(
    "address", ["users/", "tenants/", "tenants/acme/memberships/", "upstreams/", "cache-policies/", "audit/", "plans/"]
)
def test_a_list_takes_as_many_queries_for_many_rows_as_for_few(cast, calls_as, address):
    make_plan("first")
    make_api(cast.acme)
    ada = calls_as(cast.ada)
    ada.get(f"/api/v1/{address}")
    with CaptureQueriesContext(connection) as few:
        before = len(ada.get(f"/api/v1/{address}").json()["results"])
    for number in range(5):
        make_user(f"more-{number}@acme.test", cast.acme)
        make_api(make_tenant(f"more-{number}"), f"more-{number}")
        make_plan(f"more-{number}")
    with CaptureQueriesContext(connection) as many:
        after = len(ada.get(f"/api/v1/{address}").json()["results"])
    assert after >= before + 5
    assert len(many) == len(few) <= 4


@pytest.mark.django_db
@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN"])
def test_a_number_that_is_not_finite_is_refused_by_every_route_that_reads_json(cast, calls_as, number):
    ada, reads = calls_as(cast.ada), 0
    for address in EVERY:
        for method in ("post", "put", "patch"):
            body = f'{{"a": {number}, "policy": {{"ttl": {number}}}}}'
            told = getattr(ada, method)(address, body, content_type="application/json")
            assert told.status_code < 500, (address, method)
            reads += told.status_code == 400 and "is not a finite number" in told.json()["detail"]
    assert reads >= 15
