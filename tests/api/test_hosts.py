"""Host names over the REST API."""

import pytest

from apps.catalog import services
from apps.catalog.hosts import proof
from apps.catalog.models import HostName

pytestmark = pytest.mark.django_db
HOSTS = "/api/v1/hosts/"


def test_a_claim_says_what_proves_it(cast, calls_as):
    made = calls_as(cast.bob).post(HOSTS, {"tenant": "acme", "host": "Shop.Acme.Test"})
    assert made.status_code == 201, made.content
    said = made.json()
    proved_by = proof(cast.acme, "shop.acme.test")
    assert (said["host"], said["tenant"], said["state"], said["method"]) == ("shop.acme.test", "acme", "pending", "")
    assert said["record"] == {"type": "TXT", "name": "_apimgr.shop.acme.test", "value": proved_by}
    assert said["file"] == {"path": "/.well-known/apimgr-host.txt", "line": proved_by}
    (listed,) = calls_as(cast.vera).get(f"{HOSTS}?state=pending&tenant=acme").json()["results"]
    assert listed == {word: value for word, value in said.items() if word != "receipt"}
    assert calls_as(cast.charlie).get(HOSTS).json()["results"] == []


def test_a_refusal_stands_next_to_its_field(cast, calls_as):
    bob = calls_as(cast.bob)
    for body, field in (
        ({"tenant": "acme", "host": "http://a.test"}, "host"),
        ({"tenant": "globex", "host": "a.test"}, "tenant"),
        ({"tenant": "acme", "host": "127.0.0.1"}, "host"),
        ({"tenant": "acme"}, "host"),
    ):
        refused = bob.post(HOSTS, body)
        assert refused.status_code == 400
        assert field in refused.json()["errors"], refused.json()


def test_a_check_is_asked_for_and_a_claim_taken_back(cast, calls_as):
    name = services.host_claim(actor=cast.alice, tenant=cast.acme, host="shop.acme.test")
    HostName.objects.update(check_at=None)
    assert calls_as(cast.bob).post(f"{HOSTS}{name.pk}/check/").status_code == 200
    assert HostName.objects.get().check_at is not None
    assert calls_as(cast.vera).post(f"{HOSTS}{name.pk}/check/").status_code == 403
    assert calls_as(cast.vera).delete(f"{HOSTS}{name.pk}/").status_code == 403
    assert calls_as(cast.charlie).delete(f"{HOSTS}{name.pk}/").status_code == 404
    assert calls_as(cast.bob).delete(f"{HOSTS}{name.pk}/").status_code == 204
    assert not HostName.objects.exists()


def test_administrators_grant_a_name_and_nobody_else_does(cast, calls_as):
    body = {"tenant": "acme", "host": "shop.acme.test", "comment": "Theirs since ever"}
    assert calls_as(cast.alice).post(f"{HOSTS}grant/", body).status_code == 403
    said = calls_as(cast.ada).post(f"{HOSTS}grant/", body)
    assert (said.status_code, said.json()["state"], said.json()["method"]) == (200, "proved", "administrator")
    assert "receipt" in said.json()


def test_an_api_on_a_host_that_is_not_proved_is_not_published(cast, calls_as):
    olga = calls_as(cast.olga)
    body = {"slug": "shop", "tenant": "platform", "listen_path": "/shop/", "hosts": ["shop.test"]}
    body |= {"name": "Shop", "upstreams": [{"url": "http://127.0.0.1:9/"}], "published": False}
    assert olga.post("/api/v1/apis/", body).status_code == 201
    refused = olga.post("/api/v1/apis/shop/publish/")
    assert refused.status_code == 400
    assert "TXT _apimgr.shop.test" in refused.json()["errors"]["hosts"][0]


def test_a_wildcard_is_proved_by_its_record_and_named_by_an_api(cast, calls_as):
    made = calls_as(cast.bob).post(HOSTS, {"tenant": "acme", "host": "*.Acme.Test"}).json()
    proved_by = proof(cast.acme, "*.acme.test")
    assert (made["host"], made["file"]) == ("*.acme.test", None)
    assert made["record"] == {"type": "TXT", "name": "_apimgr.acme.test", "value": proved_by}
    ada = calls_as(cast.ada)
    body = {"slug": "wild", "name": "Wild", "tenant": "acme", "listen_path": "/wild/"}
    for hosts, status in ((["*.test"], 400), (["*.acme.test"], 201)):
        answer = ada.post("/api/v1/apis/", body | {"hosts": hosts, "upstreams": [{"url": "http://127.0.0.1:9/"}]})
        assert answer.status_code == status, answer.content
    assert ada.get("/api/v1/apis/wild/").json()["hosts"] == ["*.acme.test"]
