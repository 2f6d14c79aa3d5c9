"""Everybody who signs in can switch a second factor on, however their account was made; an administrator takes off a lost one."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse

from apps.audit.models import Entry
from apps.foundation.errors import Conflict
from apps.tenants import invitations, services
from apps.tenants.actors import PLATFORM
from apps.tenants.models import User
from tests.support.cast import PASSWORD, Cast, confirm, make_token

NEW = "nina@else.test"


def link_of_the_letter() -> str:
    found = re.search(r"https?://[^/\s]+(/\S+)", mail.outbox[-1].body)
    assert found
    return found[1]


def accept(link: str) -> None:
    assert Client().post(link, {"name": "Nina", "password": PASSWORD}).status_code == 302


def choose_a_password(link: str) -> None:
    form = Client()
    page = form.get(link, follow=True)
    assert form.post(page.request["PATH_INFO"], {"password1": PASSWORD, "password2": PASSWORD}).status_code == 302


def invited_by_an_owner(cast: Cast, committed: Any) -> None:
    with committed(execute=True):
        invitations.member_invite(actor=cast.alice, tenant=cast.acme, email=NEW, role="developer")
    accept(link_of_the_letter())


def accepted_by_a_link_that_an_administrator_handed_over(cast: Cast, committed: Any) -> None:
    asked = invitations.invitation_create(actor=cast.alice, tenant=cast.acme, email=NEW, role="developer")
    accept(invitations.invitation_link(actor=cast.ada, invitation=asked).removeprefix("http://127.0.0.1:8000"))


def added_by_an_administrator(cast: Cast, committed: Any) -> None:
    with committed(execute=True):
        invitations.member_invite(actor=cast.ada, tenant=cast.acme, email=NEW, role="developer")
    choose_a_password(link_of_the_letter())


def made_with_a_password(cast: Cast, committed: Any) -> None:
    """As the first start, the declarative file and the demonstration do."""
    services.user_create(actor=PLATFORM, email=NEW, password=PASSWORD)


def given_another_address(cast: Cast, committed: Any) -> None:
    user = services.user_create(actor=PLATFORM, email="before@else.test", password=PASSWORD)
    Client().post("/accounts/login/", {"login": "before@else.test", "password": PASSWORD})
    services.user_update(actor=cast.ada, user=user, email=NEW)


@pytest.mark.parametrize(
    "made",
    [
        invited_by_an_owner,
        accepted_by_a_link_that_an_administrator_handed_over,
        added_by_an_administrator,
        made_with_a_password,
        given_another_address,
    ],
)
def test_who_signs_in_switches_a_second_factor_on_and_is_asked_for_it(
    cast: Cast, state_redis: object, django_capture_on_commit_callbacks: Any, made: Callable[[Cast, Any], None]
):
    made(cast, django_capture_on_commit_callbacks)
    browser, words = Client(), {"login": NEW, "password": PASSWORD}
    assert browser.post("/accounts/login/", words)["Location"] == "/"
    confirm(browser)
    activate = reverse("mfa_activate_totp")
    page = browser.get(activate)
    assert page.status_code == 200, page["Location"]
    secret = page.context["form"].secret
    code = auth.format_hotp_value(auth.hotp_value(secret, next(iter(auth.yield_hotp_counters_from_time()))))
    assert browser.post(activate, {"code": code}).status_code == 302
    assert Authenticator.objects.filter(user__email=NEW, type=Authenticator.Type.TOTP).exists()
    assert Client().post("/accounts/login/", words)["Location"].startswith(reverse("mfa_authenticate"))


@pytest.fixture
def secured(cast: Cast) -> User:
    """Bob, who has a second factor and has lost it."""
    auth.TOTP.activate(cast.bob, auth.generate_totp_secret())
    RecoveryCodes.activate(cast.bob)
    return cast.bob


def test_an_administrator_takes_a_lost_second_factor_off_and_its_user_is_told(
    cast: Cast, secured: User, state_redis: object, django_capture_on_commit_callbacks: Any
):
    browser, words = Client(), {"login": secured.email, "password": PASSWORD}
    page = reverse("console:user_second_factor", args=[secured.pk])
    browser.post("/accounts/login/", {"login": cast.ada.email, "password": PASSWORD})
    confirm(browser)
    assert page in browser.get(reverse("console:user", args=[secured.pk])).text
    with django_capture_on_commit_callbacks(execute=True):
        assert browser.post(page).status_code == 302
    assert not Authenticator.objects.filter(user=secured).exists()
    entry = Entry.objects.latest("epoch")
    assert (entry.verb, entry.target, entry.actor_email) == ("user.second_factor", secured.email, cast.ada.email)
    assert mail.outbox[-1].to == [secured.email]
    assert cast.ada.email in mail.outbox[-1].body
    assert Client().post("/accounts/login/", words)["Location"] == "/"
    assert page not in browser.get(reverse("console:user", args=[secured.pk])).text


def test_a_second_factor_is_taken_off_by_another_administrator_alone_and_by_hand(cast: Cast, secured: User):
    for actor in (cast.alice, secured):
        with pytest.raises(PermissionDenied):
            services.user_remove_second_factor(actor=actor, user=secured)
    with pytest.raises(Conflict, match="no second factor"):
        services.user_remove_second_factor(actor=cast.ada, user=cast.vera)
    cast.ada.token = make_token(cast.ada).token
    with pytest.raises(PermissionDenied, match="No token may"):
        services.user_remove_second_factor(actor=cast.ada, user=secured)
    assert Authenticator.objects.filter(user=secured).count() == 2


def shown(browser: Client, name: str) -> str:
    page = browser.get(reverse(name))
    assert page.status_code == 200, page["Location"]
    return str(page.text)


def headings(page: str) -> list[str]:
    return [" ".join(found.split()) for found in re.findall(r"<h[1-6][^>]*>(.*?)</h[1-6]>", page, re.S)]


def test_each_page_of_a_second_factor_has_its_own_heading_and_one_primary_button(cast: Cast, state_redis: object):
    browser = Client()
    browser.post("/accounts/login/", {"login": cast.bob.email, "password": PASSWORD})
    confirm(browser)
    pages = {name: shown(browser, name) for name in ("mfa_index", "mfa_activate_totp")}
    auth.TOTP.activate(cast.bob, auth.generate_totp_secret())
    pages["mfa_generate_recovery_codes"] = shown(browser, "mfa_generate_recovery_codes")
    RecoveryCodes.activate(cast.bob)
    pages |= {name: shown(browser, name) for name in ("mfa_deactivate_totp", "mfa_view_recovery_codes")}
    for name, page in pages.items():
        [heading] = re.findall(r"<h1>(.*?)</h1>", page)
        assert heading != "Your account", name
        own = headings(page[page.index("<h1>") :])
        assert own == [found.capitalize() for found in own], name
        assert len(re.findall(r'class="btn btn-(primary|danger)"', page)) == 1, name
    for name in ("mfa_index", "mfa_generate_recovery_codes", "mfa_view_recovery_codes"):
        assert "signs you in once" in pages[name], name


def test_who_signs_in_with_a_second_factor_reads_what_it_may_be(secured: User, state_redis: object):
    browser = Client()
    page = browser.post("/accounts/login/", {"login": secured.email, "password": PASSWORD}, follow=True).text
    assert headings(page) == ["Your second factor"]
    assert "one of your recovery codes" in page
    assert page.count("btn-primary") == 1
    code = RecoveryCodes(Authenticator.objects.get(user=secured, type="recovery_codes")).get_unused_codes()[0]
    assert browser.post(reverse("mfa_authenticate"), {"code": code})["Location"] == "/"
