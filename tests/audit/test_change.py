"""The one way to change anything: its entry, its number, and who is woken."""

import pytest
from django.db import transaction
from django.db.models import Model

from apps.access.models import Application, Credential
from apps.audit import services
from apps.audit.models import Entry, Epoch
from apps.audit.services import change
from apps.catalog.models import API, HostName
from apps.foundation.hooks import Hook
from apps.foundation.via import via
from apps.tenants.models import Invitation, Tenant, Token, User
from tests.support.cast import Cast


@pytest.fixture
def woken(monkeypatch):
    calls: list[int] = []
    monkeypatch.setattr(services, "committed", Hook())
    services.committed.register(wake := lambda: calls.append(Epoch.objects.get().n))
    services.committed.register(wake)
    return calls


def test_a_change_leaves_one_entry_with_the_next_number(cast: Cast):
    before = Epoch.objects.get().n
    with change(actor=cast.ada, verb="x.do", target_type="x", target="1", tenant="acme", comment="why") as noted:
        noted.field("a", 1, 2)
        noted.field("same", 1, 1)
        noted.affect("api", "products")
        noted.affect("api", "products")
    entry = Entry.objects.get(epoch=before + 1)
    assert Epoch.objects.get().n == before + 1
    assert (entry.actor_email, entry.via, entry.verb, entry.tenant_slug) == (
        "ada@platform.test",
        "system",
        "x.do",
        "acme",
    )
    assert (entry.changes, entry.affects, entry.comment) == ({"a": [1, 2]}, [["api", "products"]], "why")


def test_the_door_is_noted(cast: Cast):
    token = via.set("api")
    try:
        with change(actor=None, verb="x.do", target_type="x"):
            pass
    finally:
        via.reset(token)
    assert Entry.objects.order_by("-epoch")[0].via == "api"


def test_an_error_inside_takes_everything_back(cast: Cast):
    before = Epoch.objects.get().n, Entry.objects.count()

    def rename_and_fail() -> None:
        with change(actor=None, verb="x.do", target_type="x"):
            cast.acme.name = "Changed"
            cast.acme.save()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        rename_and_fail()
    cast.acme.refresh_from_db()
    assert cast.acme.name == "Acme"
    assert (Epoch.objects.get().n, Entry.objects.count()) == before


def test_a_change_that_turns_out_to_be_none_leaves_no_entry(cast: Cast):
    before = Epoch.objects.get().n, Entry.objects.count()
    with change(actor=None, verb="x.do", target_type="x") as noted:
        noted.drop()
    assert (Epoch.objects.get().n, Entry.objects.count()) == before


def test_the_publisher_is_woken_after_the_commit_of_what_concerns_gateways(
    cast: Cast, woken: list[int], django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True), change(actor=None, verb="x.do", target_type="x"):
        pass
    assert woken == []
    with django_capture_on_commit_callbacks(execute=True):
        with change(actor=None, verb="x.do", target_type="x") as noted:
            noted.affect("api", "products")
        assert woken == []
    assert woken == [Epoch.objects.get().n]


def test_many_changes_in_one_transaction_wake_the_publisher_once(
    cast: Cast, woken: list[int], django_capture_on_commit_callbacks
):
    def one(*affected: str, fail: bool = False) -> None:
        with change(actor=None, verb="x.do", target_type="x") as noted:
            for slug in affected:
                noted.affect("api", slug)
            if fail:
                raise RuntimeError

    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        for slug in ("a", "b", "c"):
            one(slug)
        one()
        with pytest.raises(RuntimeError):
            one("d", fail=True)
    assert woken == [Epoch.objects.get().n]


@pytest.mark.django_db
def test_the_first_change_of_an_installation_is_number_one():
    with change(actor=None, verb="x.do", target_type="x"):
        pass
    assert Entry.objects.get().epoch == 1


def test_an_entry_is_never_changed_and_never_deleted(cast: Cast):
    entry = Entry.objects.order_by("-epoch")[0]
    entry.comment = "Somebody else did it"
    with pytest.raises(TypeError):
        entry.save()
    with pytest.raises(TypeError):
        entry.delete()


def test_the_longest_targets_have_room():
    def longest(model: type[Model], field: str) -> int:
        return int(model._meta.get_field(field).max_length or 0)

    slug = longest(Tenant, "slug") + len("/") + longest(Application, "slug")
    targets = {
        "host": longest(HostName, "host"),
        "invitation": longest(Invitation, "email"),
        "token": longest(User, "email") + len(": ") + longest(Token, "name"),
        "key": slug + len(":  (…)") + longest(Credential, "name") + longest(Credential, "prefix"),
        "client ID": slug + len(": ") + longest(Credential, "identifier"),
        "subscription": slug + len(" → ") + longest(API, "slug"),
    }
    assert {kind: length for kind, length in targets.items() if length > longest(Entry, "target")} == {}
