"""Egress rules in the console: seen and set by administrators, and an API's page that says when its upstream is refused."""

import pytest
from django.urls import reverse

from apps.tenants.egress import administrators_rules
from apps.tenants.models import Tenant
from tests.support.calls import make_calls
from tests.support.cast import make_api


@pytest.fixture
def closed(settings):
    settings.EGRESS_ALLOW = []


def test_an_administrator_sets_the_rules_of_all_tenants(world, browse, settings):
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]
    ada = browse(world.people.ada)
    page = ada.get(reverse("console:egress")).content.decode()
    assert "APIs of every tenant may lead to this machine itself" in page
    assert "127.0.0.0/8" in page
    assert "No rules." in page
    made = ada.post(reverse("console:egress_edit"), {"allow": "10.0.0.0/8\n*.corp.test:443\n"}, follow=True)
    assert "The egress rules are saved" in made.content.decode()
    assert administrators_rules() == ["10.0.0.0/8", "*.corp.test:443"]
    assert "*.corp.test:443" in ada.get(reverse("console:egress_edit")).content.decode()


def test_a_rule_that_is_none_is_refused_beside_its_field(world, browse):
    for address in (reverse("console:egress_edit"), reverse("console:tenant_egress", args=["acme"])):
        refused = browse(world.people.ada).post(address, {"allow": "10.0.0.0/8\n169.254.0.0/16"})
        assert refused.status_code == 422
        assert "169.254.0.0/16&#x27; can&#x27;t be allowed" in refused.content.decode()
    assert administrators_rules() == []


def test_an_administrator_sets_the_rules_of_one_tenant(world, browse, closed):
    ada = browse(world.people.ada)
    assert "APIs of every tenant" not in ada.get(reverse("console:egress")).content.decode()
    ada.post(reverse("console:tenant_egress", args=["acme"]), {"allow": "10.0.0.0/8"})
    assert Tenant.objects.get(slug="acme").egress == ["10.0.0.0/8"]
    assert "10.0.0.0/8" in ada.get(reverse("console:tenant", args=["acme"])).content.decode()
    assert "10.0.0.0/8" in ada.get(reverse("console:egress")).content.decode()
    ada.post(reverse("console:tenant_egress", args=["acme"]), {"allow": ""})
    assert Tenant.objects.get(slug="acme").egress == []


def test_pages_say_which_upstreams_are_refused_and_why(world, browse, settings):
    make_api(world.people.acme, "billing", upstream="http://10.0.0.5:8080/")
    settings.EGRESS_ALLOW = []
    page = browse(world.people.alice).get(reverse("console:api", args=["billing"])).content.decode()
    assert "<code>http://10.0.0.5:8080/</code> are refused" in page
    assert "10.0.0.5:8080</code>" in browse(world.people.ada).get(reverse("console:egress")).content.decode()
    settings.EGRESS_ALLOW = ["10.0.0.0/8"]
    assert (
        "are refused" not in browse(world.people.alice).get(reverse("console:api", args=["billing"])).content.decode()
    )


def test_an_api_s_page_says_that_calls_were_refused_where_only_the_gateway_knows(world, browse):
    make_calls(*[{"status": 502, "code": "upstream_refused", "cache": "BYPASS"}] * 7)
    page = browse(world.people.olga).get(reverse("console:api", args=["products"])).content.decode()
    assert "7 calls of the last day were refused" in page


def test_a_refused_upstream_is_said_beside_its_field(world, browse, closed):
    alice = browse(world.people.alice)
    form = {
        "name": "Billing",
        "slug": "billing",
        "tenant": "acme",
        "listen_path": "/billing/",
        "authentication": "api_key",
        "approval": "manual",
        "mode": "origin",
        "ttl": "60s",
        "upstream_url": "http://10.0.0.5/",
    }
    refused = alice.post(reverse("console:api_register"), form)
    assert refused.status_code == 422
    (error,) = refused.context["form"].errors["upstream_url"]
    assert "no egress rule allows it" in error
