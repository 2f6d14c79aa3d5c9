"""Who may not do a thing sees no way to it, but who may, and settings as what they are: something to read."""

import re

import pytest
from django.urls import reverse

from apps.tenants.choices import Role
from apps.tenants.models import User
from tests.console.conftest import World, last_entry, text_of
from tests.support.cast import make_api, make_user

TABS = ("api_settings", "api_traffic", "api_cache")
"""The tabs of an API whose settings are forms."""
CONTROL = r'<(?:select|textarea|input(?! type="hidden"))'


@pytest.fixture
def ines(world: World) -> User:
    """A viewer of the tenant that owns the API."""
    return make_user("ines@platform.test", world.people.platform, Role.VIEWER)


def test_a_viewer_is_shown_no_way_to_ask_for_access_and_told_who_asks(world, browse):
    vera = browse(world.people.vera)
    entry, ask, try_it = (reverse(f"console:{name}", args=["products"]) for name in ("catalogue_entry", "ask", "try"))
    page = vera.get(entry).content.decode()
    assert ask not in page
    assert try_it not in page
    assert "Bot may call this API under the plan Standard" in text_of(vera.get(entry))
    assert "Owners and developers of a tenant ask for access." in page
    assert "Others ask for access" in text_of(vera.get(ask))
    assert "First an application" not in text_of(vera.get(ask))
    assert ask not in vera.get(try_it).content.decode()
    assert ">Ask for access<" not in vera.get(reverse("console:application", args=["acme", "bot"])).content.decode()

    bob = browse(world.people.bob)
    assert {ask, try_it} <= set(re.findall(r'href="([^"]+)"', bob.get(entry).content.decode()))


def test_a_viewer_may_try_an_api_that_takes_calls_without_a_key(world, browse):
    make_api(world.people.platform, "open", authentication=["none"])
    entry, try_it = (reverse(f"console:{name}", args=["open"]) for name in ("catalogue_entry", "try"))
    vera = browse(world.people.vera)
    assert try_it in vera.get(entry).content.decode()
    assert "Others try calls" not in text_of(vera.get(try_it))


@pytest.mark.parametrize("tab", TABS)
def test_settings_are_for_a_viewer_to_read(world, browse, ines, tab):
    address = reverse(f"console:{tab}", args=["products"])
    page = browse(ines).get(address).content.decode()
    assert "These settings are for you to read. Only owners of Platform may do this. Ask Olga." in page
    form = page.partition("data-keep")[2].partition("</form>")[0]
    before, _, inside = form.partition('<fieldset class="stack" disabled>')
    behind = inside.rpartition("</fieldset>")[2]
    assert re.findall(CONTROL, inside)
    assert not re.findall(CONTROL, before)
    assert not re.findall(CONTROL, behind.partition("data-passing")[0])
    assert "Save</button>" not in inside
    assert browse(ines).post(address, {}).status_code == 403

    editable = browse(world.people.olga).get(address).content.decode()
    assert "for you to read" not in editable
    assert '<fieldset class="stack" disabled>' not in editable


def test_a_viewer_s_preview_is_of_the_policy_as_it_is(world, browse, ines):
    """The fields of a form that can't be changed are not sent."""
    sample = browse(ines).get(reverse("console:api_cache", args=["products"])).context["sample"]
    sent = {name: sample[name].value() or "" for name in sample.fields}
    answer = browse(ines).post(reverse("console:api_cache_preview", args=["products"]), sent)
    assert answer.context["refused"] == []
    assert answer.context["preview"] is not None


def test_a_receipt_stands_in_the_page_and_a_plain_confirmation_is_a_toast(world, browse):
    bob = browse(world.people.bob)
    page = bob.post(reverse("console:key_revoke", args=[world.key.key.pk]), follow=True).content.decode()
    content, _, toasts = page.partition('class="toasts"')
    assert "The key ci is revoked: in force" in content
    assert "The key ci is revoked" not in toasts
    edited = {"name": "Robot", "description": ""}
    page = bob.post(reverse("console:application_edit", args=["acme", "bot"]), edited, follow=True).content.decode()
    content, _, toasts = page.partition('class="toasts"')
    assert "The application is saved." in toasts
    assert "The application is saved." not in content


def test_the_entry_of_a_change_shows_its_receipt(world, browse):
    olga = browse(world.people.olga)
    address = reverse("console:audit_entry", args=[last_entry().epoch])
    assert "in force" not in text_of(olga.get(address))
    olga.post(reverse("console:api_step", args=["products", "deprecate"]))
    assert "in force as soon as a gateway runs" in text_of(
        olga.get(reverse("console:audit_entry", args=[last_entry().epoch]))
    )


def test_who_replaces_a_key_reads_until_when_the_old_one_works(world, browse):
    rotate = reverse("console:key_rotate", args=[world.key.key.pk])
    answer = browse(world.people.bob).post(rotate, {"overlap": "24h"})
    world.key.key.refresh_from_db()
    ends = world.key.key.expires_at
    assert f"works until {ends:%Y-%m-%d %H:%M:%S} UTC , and no longer." in text_of(answer)
    successor = world.key.key.successor
    answer = browse(world.people.bob).post(reverse("console:key_rotate", args=[successor.pk]), {"overlap": "0s"})
    assert "… works no longer." in text_of(answer)
