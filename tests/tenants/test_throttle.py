"""Guessing is limited, and locks nobody out but those who guess."""

import re
from typing import Any

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.conf import settings
from django.core import mail
from django.core.cache import cache
from django.test import Client, RequestFactory

from apps.tenants import services, throttle
from apps.tenants.models import User
from tests.support.cast import Cast

PASSWORD = "correct horse battery staple"
HOME, STRANGER = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def vera(cast: Cast, state_redis: object) -> User:
    cache.clear()
    services.user_set_password(actor=cast.ada, user=cast.vera, password=PASSWORD)
    return cast.vera


def attempt(user: User, password: str, *, client: Client | None = None, address: str = STRANGER) -> Any:
    return (client or Client()).post(
        "/accounts/login/", {"login": user.email, "password": password}, REMOTE_ADDR=address
    )


def is_in(answer: Any) -> bool:
    return answer.status_code == 302


def flood(user: User, addresses: int = 25, times: int = 6) -> None:
    """Guesses of a stranger with many addresses, beyond every bound."""
    for number in range(addresses):
        for _ in range(times):
            throttle.password_attempt(RequestFactory().post("/", REMOTE_ADDR=f"198.51.100.{number}"), user.email)


def test_a_stranger_is_stopped_after_five_guesses(vera: User):
    for _ in range(5):
        attempt(vera, "wrong")
    refused = attempt(vera, PASSWORD)
    assert not is_in(refused)
    assert "Too many failed attempts" in refused.content.decode()
    assert "Forgot your password?" in refused.content.decode()


def test_a_strangers_guesses_lock_the_owner_out_of_no_browser(vera: User):
    for _ in range(10):
        attempt(vera, "wrong")
    assert is_in(attempt(vera, PASSWORD, address=HOME))


def test_a_known_browser_goes_on_whatever_strangers_do_and_from_wherever_it_is(vera: User):
    owner = Client()
    assert is_in(attempt(vera, PASSWORD, client=owner, address=HOME))
    owner.post("/accounts/logout/")
    flood(vera)
    assert not is_in(attempt(vera, PASSWORD, address=HOME))  # a browser that nobody knows
    assert is_in(attempt(vera, PASSWORD, client=owner, address="198.51.100.3"))  # even behind a guesser's address


def test_a_link_by_mail_lets_the_owner_in_on_a_new_browser(vera: User, django_capture_on_commit_callbacks):
    flood(vera)
    owner = Client()
    assert not is_in(attempt(vera, PASSWORD, client=owner, address=HOME))
    with django_capture_on_commit_callbacks(execute=True):
        owner.post("/accounts/password/reset/", {"email": vera.email}, REMOTE_ADDR=HOME)
    link = re.search(r"https?://\S+?(/accounts/password/reset/key/\S+)", mail.outbox[-1].body)
    assert link
    form = owner.get(link[1], follow=True)
    chosen = {"password1": "another horse battery staple", "password2": "another horse battery staple"}
    answer = owner.post(form.redirect_chain[-1][0], chosen, REMOTE_ADDR=HOME)
    assert answer.status_code == 302
    assert owner.get("/account/").status_code == 200
    owner.post("/accounts/logout/")
    flood(vera)
    assert is_in(attempt(vera, chosen["password1"], client=owner, address=HOME))


def test_a_link_by_mail_is_no_way_around_the_second_factor(vera: User, django_capture_on_commit_callbacks):
    TOTP.activate(vera, "JBSWY3DPEHPK3PXP")
    client = Client()
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/accounts/password/reset/", {"email": vera.email})
    link = re.search(r"https?://\S+?(/accounts/password/reset/key/\S+)", mail.outbox[-1].body)
    assert link
    form = client.get(link[1], follow=True)
    chosen = {"password1": "another horse battery staple", "password2": "another horse battery staple"}
    answer = client.post(form.redirect_chain[-1][0], chosen)
    assert "/2fa/authenticate/" in answer["Location"]
    assert client.get("/account/").status_code == 302
    assert throttle.cookie_name(vera.email) not in client.cookies


def test_a_sign_in_that_was_begun_with_an_older_password_ends_with_it(vera: User, cast: Cast):
    """It waited for its second factor, and went on into the console after a new password had ended all sessions."""
    TOTP.activate(vera, "JBSWY3DPEHPK3PXP")
    first, second = RecoveryCodes.activate(vera).get_unused_codes()[:2]
    client = Client()
    attempt(vera, PASSWORD, client=client)
    services.user_set_password(actor=cast.ada, user=vera, password="another horse battery staple")
    refused = client.post("/accounts/2fa/authenticate/", {"code": first})
    assert "Sign in again: the password was changed" in refused.content.decode()
    assert client.get("/account/").status_code == 302
    attempt(vera, "another horse battery staple", client=client)
    assert is_in(client.post("/accounts/2fa/authenticate/", {"code": second}))
    assert client.get("/account/").status_code == 200


def test_guesses_from_many_addresses_are_stopped_together(vera: User):
    flood(vera)
    assert not is_in(attempt(vera, PASSWORD, address="203.0.113.9"))


def test_one_address_is_stopped_at_many_accounts(vera: User, cast: Cast):
    for number in range(10):
        Client().post("/accounts/login/", {"login": f"a{number}@b.test", "password": "x"}, REMOTE_ADDR=STRANGER)
    assert not is_in(attempt(vera, PASSWORD))
    assert is_in(attempt(vera, PASSWORD, address=HOME))


def test_a_known_browser_is_limited_by_itself(vera: User):
    owner = Client()
    attempt(vera, PASSWORD, client=owner)
    owner.post("/accounts/logout/")
    for _ in range(10):
        attempt(vera, "wrong", client=owner)
    assert not is_in(attempt(vera, PASSWORD, client=owner))
    assert is_in(attempt(vera, PASSWORD, address=HOME))


def test_a_browser_is_known_to_its_own_account_alone(vera: User, cast: Cast):
    services.user_set_password(actor=cast.ada, user=cast.olga, password=PASSWORD)
    thief = Client()
    attempt(vera, PASSWORD, client=thief)
    thief.post("/accounts/logout/")
    own = thief.cookies[throttle.cookie_name(vera.email)].value
    thief.cookies[throttle.cookie_name(cast.olga.email)] = own
    for _ in range(5):
        attempt(cast.olga, "wrong", client=thief)
    assert not is_in(attempt(cast.olga, PASSWORD, client=thief))


@pytest.mark.parametrize("made_up", ["", "x", "nonce:1:signature", "a" * 4000, "\u00fc:1:2"])
def test_a_made_up_cookie_is_none(vera: User, made_up: str):
    client = Client()
    for _ in range(6):
        client.cookies[throttle.cookie_name(vera.email)] = made_up
        attempt(vera, "wrong", client=client)
    assert not is_in(attempt(vera, PASSWORD, client=client))


def test_the_cookie_tells_nothing_and_is_for_signing_in_alone(vera: User):
    client = Client()
    attempt(vera, PASSWORD, client=client)
    cookie = client.cookies[throttle.cookie_name(vera.email)]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/accounts/", True, "Lax")
    assert vera.email not in str(cookie)


def test_signing_in_counts_for_nothing(vera: User):
    for _ in range(12):
        assert is_in(attempt(vera, PASSWORD))


def test_guesses_at_the_second_factor_lock_no_known_browser_out(vera: User):
    TOTP.activate(vera, "JBSWY3DPEHPK3PXP")
    codes = RecoveryCodes.activate(vera).get_unused_codes()

    def second(client: Client, code: str, address: str) -> Any:
        return client.post("/accounts/2fa/authenticate/", {"code": code}, REMOTE_ADDR=address)

    owner = Client()
    attempt(vera, PASSWORD, client=owner, address=HOME)
    assert is_in(second(owner, codes[0], HOME))
    owner.post("/accounts/logout/")

    thief = Client()  # it knows the password
    attempt(vera, PASSWORD, client=thief)
    for _ in range(5):
        second(thief, "000000", STRANGER)
    refused = second(thief, codes[1], "203.0.113.1")
    assert "Too many failed attempts" in refused.content.decode()

    attempt(vera, PASSWORD, client=owner, address=HOME)
    assert is_in(second(owner, codes[2], HOME))


def test_letters_that_strangers_have_sent_are_bounded_for_each_address_and_each_sender(
    cast: Cast, state_redis: object, django_capture_on_commit_callbacks
):
    """With a link or, where there is no account, without: the letters and answers are as many."""
    cache.clear()

    def ask(address: str, sender: str) -> int:
        with django_capture_on_commit_callbacks(execute=True):
            return Client().post("/accounts/password/reset/", {"email": address}, REMOTE_ADDR=sender).status_code

    for address in (cast.vera.email, "nobody@acme.test"):
        mail.outbox.clear()
        answers = [ask(address, f"203.0.113.{number}") for number in range(12)]
        assert answers == [302] * 10 + [429] * 2
        assert [letter.to for letter in mail.outbox] == [[address]] * 10
    mail.outbox.clear()
    for number in range(25):
        ask(f"victim{number}@acme.test", STRANGER)
    assert len(mail.outbox) == 20
    assert "60/h/ip" in settings.ACCOUNT_RATE_LIMITS["reset_password"]
