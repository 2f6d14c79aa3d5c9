"""The page of a tenant's host names: what to publish, what was found, and who may change what."""

from django.urls import reverse
from django.utils import timezone

from apps.catalog.choices import HostState
from apps.catalog.hosts import proof
from apps.catalog.models import HostName
from apps.catalog.services import host_grant
from tests.console.conftest import World


def test_a_claim_shows_what_to_publish_and_what_was_found(world: World, browse):
    bob = browse(world.people.bob)
    answer = bob.post(reverse("console:tenant_host_new", args=["acme"]), {"host": "Pay.Acme.Test"}, follow=True)
    page = answer.content.decode()
    assert "pay.acme.test" in page
    for part in ("_apimgr.pay.acme.test", proof(world.people.acme, "pay.acme.test"), "/.well-known/apimgr-host.txt"):
        assert part in page
    HostName.objects.update(finding="There is no TXT record.", checked_at=timezone.now())
    assert "There is no TXT record." in bob.get(reverse("console:tenant_hosts", args=["acme"])).content.decode()


def test_of_a_wildcard_the_record_alone_is_shown(world: World, browse):
    bob = browse(world.people.bob)
    bob.post(reverse("console:tenant_host_new", args=["acme"]), {"host": "*.Pay.Acme.Test"})
    HostName.objects.exclude(host="*.pay.acme.test").delete()
    page = bob.get(reverse("console:tenant_hosts", args=["acme"])).content.decode()
    for part in ("*.pay.acme.test", "_apimgr.pay.acme.test", proof(world.people.acme, "*.pay.acme.test")):
        assert part in page
    assert "apimgr-host.txt" not in page


def test_a_refusal_stands_beside_the_field(world: World, browse):
    refused = browse(world.people.bob).post(reverse("console:tenant_host_new", args=["acme"]), {"host": "10.0.0.1"})
    assert refused.status_code == 422
    assert "can&#x27;t be proved" in refused.content.decode()


def test_a_claim_is_looked_at_and_taken_back(world: World, browse):
    HostName.objects.update(check_at=None)
    alice = browse(world.people.alice)
    alice.post(reverse("console:host_check", args=["acme", world.host.pk]))
    assert HostName.objects.get().check_at is not None
    alice.post(reverse("console:host_remove", args=["acme", world.host.pk]))
    assert not HostName.objects.exists()
    assert "No host is proved yet" in alice.get(reverse("console:tenant_hosts", args=["acme"])).content.decode()


def test_an_administrator_grants_and_others_look_at_their_own(world: World, browse):
    body = {"host": "shop.acme.test", "comment": "Theirs"}
    browse(world.people.ada).post(reverse("console:tenant_host_grant", args=["acme"]), body)
    assert HostName.objects.get().state == HostState.PROVED
    viewer = browse(world.people.vera).get(reverse("console:tenant_hosts", args=["acme"]))
    assert "An administrator&#x27;s decision" in viewer.content.decode()
    assert "Give up" not in viewer.content.decode()
    assert browse(world.people.charlie).get(reverse("console:tenant_hosts", args=["acme"])).status_code == 404


def test_an_api_on_an_unproved_host_is_refused_with_what_to_do(world: World, browse):
    settings = reverse("console:api_settings", args=["products"])
    olga = browse(world.people.olga)
    page = olga.get(settings)
    form = page.context["form"]
    data = {name: form[name].value() for name in form.fields if form[name].value() not in (None, False)}
    data = {name: form.fields[name].prepare_value(value) for name, value in data.items()}
    refused = olga.post(settings, data | {"hosts": "shop.test"})
    assert refused.status_code == 422
    assert "TXT _apimgr.shop.test" in refused.content.decode()
    host_grant(actor=world.people.ada, tenant=world.people.platform, host="shop.test")
    assert olga.post(settings, data | {"hosts": "shop.test"}).status_code == 302
