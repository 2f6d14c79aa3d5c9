"""What calls are reported for is counted by operation, place and rule, and shown to the members of the API's tenant."""

import json

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from apps.analytics import contract_reports
from apps.analytics.batch_ingestion import ingest_batch
from apps.analytics.models import ContractReport
from apps.analytics.retention import delete_old
from apps.analytics.stream import Batch
from apps.catalog.services import api_update, openapi_import
from apps.gateway.records.spool import frame, new_incarnation
from apps.tenants.actors import PLATFORM
from apps.tenants.choices import TokenScope
from apps.wire.call_records import ResponseFaultRecord, encode
from tests.analytics.records import NODE, record
from tests.support.cast import Cast, make_api, make_token

pytestmark = pytest.mark.django_db

LIFE = new_incarnation(NODE, 0, 1_800_000_000.0)
AT = 1_800_000_000.0
DOCUMENT = {"openapi": "3.1.0", "info": {"title": "Shop", "version": "1"}, "paths": {"/items": {"get": {}}}}


def take(*decisions: str, start: int = 1, flags: tuple[str, ...] = ("invalid_request",), api: str = "products") -> None:
    """Ingest a call for each decision of the stage."""
    frames = b""
    for number, decision in enumerate(decisions, start):
        trace = (("route", api, 0.1), ("validate", decision, 0.2))
        call = record(f"{LIFE}{number:08d}", at=AT + number, api=api, operation="POST /items", flags=flags, trace=trace)
        frames += frame(number, encode(call))
    ingest_batch([Batch(LIFE, NODE, frames)])


def reports() -> list[tuple[str, str, int, str]]:
    rows = ContractReport.objects.order_by("place", "rule")
    return [(row.place, row.rule, row.calls, row.call_id[len(LIFE) :]) for row in rows]


def test_calls_are_counted_by_place_and_rule():
    take("/body/name type", "/body/name type", "/query/limit minimum")
    take("/body/name type", start=4)
    take("/body/name type", start=4)
    assert reports() == [("/body/name", "type", 3, "00000004"), ("/query/limit", "minimum", 1, "00000003")]
    [row, _] = ContractReport.objects.order_by("place")
    assert (row.api, row.operation, (row.last_at - row.first_at).total_seconds()) == ("products", "POST /items", 3)


def test_signs_of_an_attack_are_counted_too_and_calls_without_a_report_are_not():
    take("/body/a injection_sql", flags=("injection_sql",))
    take("/body/a type", start=2, flags=())
    take("ok", "invalid_request", "/no", start=3)
    assert reports() == [("/body/a", "injection_sql", 1, "00000001")]


def test_a_name_with_characters_that_no_database_takes_is_counted():
    take("/body/a\x00b type")
    assert reports()[0][0] == "/body/a\N{REPLACEMENT CHARACTER}b"


def test_responses_are_counted_with_the_calls():
    found = ResponseFaultRecord(AT, f"{LIFE}00000001", "products", "GET /items", "/response/body/a", "type")
    frames = frame(1, encode(found)) + frame(2, encode(found))
    ingest_batch([Batch(LIFE, NODE, frames)])
    ingest_batch([Batch(LIFE, NODE, frames)])
    assert reports() == [("/response/body/a", "type", 2, "00000001")]


def test_the_kinds_that_are_told_apart_are_bounded(monkeypatch):
    monkeypatch.setattr(contract_reports, "MOST_PER_API", 3)
    take(*(f"/body/{number} type" for number in range(6)))
    take("/body/x type", "/body/1 type", start=7)
    assert [(place, calls) for place, _, calls, _ in reports()] == [
        ("/body/0", 1),
        ("/body/1", 2),
        ("/body/2", 1),
        ("…", 4),
    ]
    take("/body/a type", start=20, api="orders")
    assert ContractReport.objects.filter(api="orders").count() == 1


def test_old_reports_go_with_the_call_log(settings):
    take("/body/a type")
    ContractReport.objects.update(last_at="2020-01-01T00:00:00Z")
    assert delete_old()["contract reports"] == 1


def test_members_of_the_tenant_read_them_over_rest_and_nobody_else(cast: Cast):
    make_api(cast.acme)
    take("/body/name type")
    address = reverse("api-contract-reports", args=["products"])

    def asked_by(user):
        client = APIClient(headers={"authorization": f"Bearer {make_token(user, TokenScope.READ).secret}"})
        return client.get(address)

    [row] = asked_by(cast.alice).json()["results"]
    assert (row["operation"], row["place"], row["rule"], row["calls"]) == ("POST /items", "/body/name", "type", 1)
    assert asked_by(cast.charlie).status_code == 404
    assert APIClient().get(address).status_code == 401


def test_the_page_says_what_to_do_until_there_is_something(cast: Cast, client):
    api = make_api(cast.acme)
    client.force_login(cast.alice)
    address = reverse("console:api_contract", args=["products"])

    def shown() -> str:
        return " ".join(client.get(address).content.decode().split())

    assert "No OpenAPI document" in shown()
    openapi_import(actor=PLATFORM, api=api, content=json.dumps(DOCUMENT).encode())
    assert "Nothing is reported" in shown()
    api_update(actor=PLATFORM, api=api, validate_requests="report")
    assert "Nothing to report" in shown()
    api.openapi.contract = []
    api.openapi.save()
    assert "import it again" in shown()
    api.openapi.contract = None
    api.openapi.save()
    assert "too large" in shown()
    openapi_import(actor=PLATFORM, api=api, content=json.dumps(DOCUMENT).encode())
    take("/body/<script> type")
    assert "/body/&lt;script&gt;" in shown()
    client.force_login(cast.charlie)
    assert client.get(address).status_code == 403
