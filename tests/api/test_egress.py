"""Egress rules over REST: for administrators, with a receipt."""

import pytest

from apps.tenants.models import Tenant


@pytest.fixture(autouse=True)
def closed(settings):
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]


def test_an_administrator_reads_and_sets_the_rules_of_all_and_of_one_tenant(cast, calls_as):
    ada = calls_as(cast.ada)
    assert ada.get("/api/v1/egress/").json() == {"allow": [], "inherited": ["127.0.0.0/8"]}
    changed = ada.patch("/api/v1/egress/", {"allow": ["10.0.0.0/8", "10.0.0.0/8"]}, format="json")
    assert changed.status_code == 200
    assert changed.json()["allow"] == ["10.0.0.0/8"]
    assert changed.json()["receipt"]["sentence"]
    changed = ada.patch("/api/v1/tenants/acme/egress/", {"allow": ["*.corp.test:443"]}, format="json")
    assert (changed.json()["allow"], changed.json()["inherited"]) == (
        ["*.corp.test:443"],
        ["127.0.0.0/8", "10.0.0.0/8"],
    )
    assert Tenant.objects.get(slug="acme").egress == ["*.corp.test:443"]
    assert ada.get("/api/v1/tenants/acme/egress/").json()["allow"] == ["*.corp.test:443"]
    assert ada.get("/api/v1/tenants/nobody/egress/").status_code == 404


@pytest.mark.parametrize("address", ["/api/v1/egress/", "/api/v1/tenants/acme/egress/"])
def test_nobody_else_reads_or_sets_them(cast, calls_as, address):
    for user in (cast.alice, cast.bob, cast.vera, cast.charlie):
        assert calls_as(user).get(address).status_code == 403
        assert calls_as(user).patch(address, {"allow": ["10.0.0.0/8"]}, format="json").status_code == 403
    assert Tenant.objects.get(slug="acme").egress == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"allow": ["169.254.0.0/16"]}, "allow"),
        ({"allow": ["nonsense/"]}, "allow"),
        ({"allow": "10.0.0.0/8"}, "allow"),
        ({"allow": ["a.test"] * 201}, "allow"),
        ({"allow": [], "deny": []}, "deny"),
        ({}, "allow"),
    ],
)
def test_what_is_no_rule_is_an_error_of_its_field(cast, calls_as, body, field):
    refused = calls_as(cast.ada).patch("/api/v1/egress/", body, format="json")
    assert refused.status_code == 400
    assert list(refused.json()["errors"]) == [field]


def test_an_upstream_without_a_rule_is_an_error_of_that_upstream(cast, calls_as):
    body = {
        "slug": "billing",
        "name": "Billing",
        "tenant": "acme",
        "listen_path": "/billing/",
        "upstreams": [{"url": "http://10.0.0.5/"}],
    }
    refused = calls_as(cast.alice).post("/api/v1/apis/", body, format="json")
    assert refused.status_code == 400
    assert list(refused.json()["errors"]) == ["upstreams.0.url"]
