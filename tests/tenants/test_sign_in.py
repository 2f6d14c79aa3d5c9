"""The way in: who may sign in, with which address, and how often one may try."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.account.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from asgiref.sync import async_to_sync
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.cache import cache, caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.foundation.resilient_cache import SteadyCache
from apps.tenants import services
from apps.tenants.models import User
from apps.tenants.sessions import SessionStore, digest
from apps.tenants.sign_in import MFAAdapter
from apps.wire.api_keys import holds_secret
from tests.support.cast import Cast
from tests.support.ports import free_port

PASSWORD = "correct horse battery staple"


@pytest.fixture
def vera(cast: Cast, state_redis: object) -> User:
    services.user_set_password(actor=cast.ada, user=cast.vera, password=PASSWORD)
    return cast.vera


def sign_in(address: str, password: str = PASSWORD) -> int:
    """The status of an attempt: 302 leads on, 200 shows the form again, 429 is too often."""
    return Client().post("/accounts/login/", {"login": address, "password": password}).status_code


def test_nobody_makes_themselves_an_account(vera: User):
    answer = Client().post("/accounts/signup/", {"email": "new@evil.test", "password1": PASSWORD})
    assert answer.status_code == 200
    assert not User.objects.filter(email="new@evil.test").exists()


def test_nobody_takes_an_address_that_somebody_may_be_invited_by(vera: User):
    client = Client()
    client.post("/accounts/login/", {"login": vera.email, "password": PASSWORD})
    for action in ("action_add", "action_primary"):
        assert client.post("/accounts/email/", {action: "", "email": "boss@globex.test"}).status_code == 404
    assert User.objects.get(pk=vera.pk).email == vera.email


@pytest.mark.parametrize("page", ["email/", "confirm-email/", "confirm-email/key/"])
def test_pages_that_nobody_needs_are_not_there(vera: User, page: str):
    client = Client()
    assert client.get(f"/accounts/{page}").status_code == 404
    client.force_login(vera)
    assert client.get(f"/accounts/{page}").status_code == 404


def test_an_address_that_was_taken_away_opens_nothing(vera: User, cast: Cast, django_capture_on_commit_callbacks):
    old = vera.email
    assert sign_in(old) == 302  # from here on allauth remembers the address
    services.user_update(actor=cast.ada, user=vera, email="vera@elsewhere.test")
    with django_capture_on_commit_callbacks(execute=True):
        Client().post("/accounts/password/reset/", {"email": old})
    assert mail.outbox
    assert old not in [address for letter in mail.outbox for address in letter.to if "/key/" in letter.body]
    assert sign_in(old) == 200
    assert sign_in("vera@elsewhere.test") == 302


def test_a_session_that_was_there_before_signing_in_is_not_the_one_after(vera: User):
    client = Client()
    client.cookies["sessionid"] = "chosen-by-somebody-else-0000000"
    client.post("/accounts/login/", {"login": vera.email, "password": PASSWORD})
    assert client.cookies["sessionid"].value != "chosen-by-somebody-else-0000000"


@pytest.mark.parametrize("address", ["//evil.test", "https://evil.test/", "/\\evil.test", "javascript:alert(1)"])
def test_signing_in_leads_to_nobody_elses_pages(vera: User, address: str):
    answer = Client().post("/accounts/login/", {"login": vera.email, "password": PASSWORD, "next": address})
    assert (answer.status_code, answer["Location"]) == (302, "/")


@pytest.fixture
def redis_is_away(settings: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The console's cache names a port on which nobody listens."""
    away = SteadyCache(f"redis://127.0.0.1:{free_port()}/0", {"OPTIONS": {"IGNORE_EXCEPTIONS": True}})
    monkeypatch.setattr(caches._connections, "default", away, raising=False)
    monkeypatch.setattr(SteadyCache, "_asked_again_at", 0.0)
    LocMemCache("steady", {}).clear()
    assert caches["default"] is away
    yield
    LocMemCache("steady", {}).clear()


def test_one_signs_in_while_redis_is_away(vera: User, redis_is_away: None):
    assert sign_in(vera.email) == 302


def test_guessing_is_limited_while_redis_is_away_too(vera: User, redis_is_away: None):
    for _ in range(10):
        sign_in(vera.email, "wrong")
    assert User.objects.filter(pk=vera.pk, last_login=None).exists()
    assert sign_in(vera.email) != 302


def test_what_is_kept_in_memory_is_read_from_there_while_redis_is_away(redis_is_away: None):
    assert cache.add("name", 1, 60)
    assert not cache.add("name", 2, 60)
    assert cache.get("name") == 1
    cache.set("name", 3, 60)
    assert cache.delete("name")
    assert cache.get("name", "nothing") == "nothing"


def test_what_the_database_holds_of_a_session_signs_nobody_in(vera: User):
    client = Client()
    client.post("/accounts/login/", {"login": vera.email, "password": PASSWORD})
    key = client.cookies["sessionid"].value
    (row,) = Session.objects.all()
    assert key not in (row.session_key, row.session_data)
    assert client.get("/account/").status_code == 200
    thief = Client()
    thief.cookies["sessionid"] = row.session_key
    assert thief.get("/account/").status_code == 302
    client.post("/accounts/logout/")
    assert not Session.objects.exists()
    client.cookies["sessionid"] = key
    assert client.get("/account/").status_code == 302


def test_a_sessions_cookie_has_a_form_that_gateways_know_and_one_of_another_form_opens_nothing(vera: User):
    client = Client()
    client.post("/accounts/login/", {"login": vera.email, "password": PASSWORD})
    key = client.cookies["sessionid"].value
    assert holds_secret(key.encode())
    assert len(key) == 47
    old = "x" * 32
    Session.objects.update(session_key=digest(old))
    client.cookies["sessionid"] = old
    assert client.get("/account/").status_code == 302


#: what the console sets beside its session, and what somebody else could do with it: nothing
HARMLESS = {
    "csrftoken": "a form's token too: a request from another origin is refused by its Origin field",
    "messages": "sentences for the next page, signed",
    "known": "a browser that somebody signed in with: it has a bucket of guesses of its own",
}


def test_every_cookie_of_the_console_is_withheld_from_upstreams_or_known_to_be_harmless(vera: User):
    client = Client()
    client.get("/accounts/login/")
    client.post("/accounts/login/", {"login": vera.email, "password": PASSWORD})
    client.post("/account/", {"name": "Vera Two"})
    found = {name.partition("-")[0] for name, crumb in client.cookies.items() if not holds_secret(crumb.value.encode())}
    assert "sessionid" in client.cookies
    assert found <= set(HARMLESS)


def test_sessions_work_in_coroutines_too(db: None):
    async def one_life() -> None:
        store = SessionStore()
        await store.aset("name", 1)
        await store.asave()
        key = store.session_key or ""
        assert await SessionStore(key).aget("name") == 1
        assert await store.aexists(key)
        await store.adelete(key)
        assert await SessionStore(key).aget("name") is None

    async_to_sync(one_life)()


def test_secrets_of_second_factors_are_encrypted_and_rotate(vera: User, settings: Any):
    factor = TOTP.activate(vera, "JBSWY3DPEHPK3PXP").instance
    codes = RecoveryCodes.activate(vera)
    first = codes.get_unused_codes()[0]
    stored = [Authenticator.objects.get(pk=each.pk).data for each in (factor, codes.instance)]
    assert "JBSWY3DPEHPK3PXP" not in str(stored)
    settings.FIELD_KEYS = ["new", *settings.FIELD_KEYS]
    call_command("reencrypt")
    settings.FIELD_KEYS = ["new"]
    secret = Authenticator.objects.get(pk=factor.pk)
    assert secret.data != stored[0]
    assert MFAAdapter().decrypt(secret.data["secret"]) == "JBSWY3DPEHPK3PXP"
    assert Authenticator.objects.get(pk=codes.instance.pk).wrap().validate_code(first)


@pytest.mark.parametrize("address", ["vera@acme.test", "nobody@acme.test"])
@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:1", "[::1]:99"])
def test_letters_name_the_console_and_not_the_host_that_a_request_named(
    cast: Cast, settings, django_capture_on_commit_callbacks, address: str, host: str
):
    """The port of a host isn't looked at: a link to another one would hand its key to an API's upstream at the gateway."""
    settings.CONSOLE_URL = "https://console.platform.test"
    with django_capture_on_commit_callbacks(execute=True):
        answer = Client().post("/accounts/password/reset/", {"email": address}, HTTP_HOST=host)
    assert answer.status_code == 302
    (letter,) = mail.outbox
    text = f"{letter.subject}\n{letter.body}"
    assert letter.to == [address]
    assert host.rpartition(":")[0] not in text
    found = {link.rstrip(".") for link in re.findall(r"https?://[^/\s]+", text)}
    assert found == {"https://console.platform.test"}


def test_asking_for_a_new_password_takes_the_same_work_with_and_without_an_account(
    cast: Cast, monkeypatch, django_capture_on_commit_callbacks
):
    """Else its time tells who has one: it took a third longer with one than without."""
    User.objects.filter(pk=cast.bob.pk).update(password="!", last_login=None)
    User.objects.filter(pk=cast.charlie.pk).update(is_active=False)
    made: list[User] = []
    make_token = PasswordResetTokenGenerator.make_token

    def counted(self: PasswordResetTokenGenerator, user: User) -> str:
        made.append(user)
        return make_token(self, user)

    monkeypatch.setattr(PasswordResetTokenGenerator, "make_token", counted)
    work = {}
    for address in (cast.vera.email, cast.bob.email, cast.charlie.email, "nobody@acme.test"):
        made.clear()
        with CaptureQueriesContext(connection) as asked, django_capture_on_commit_callbacks(execute=True):
            assert Client().post("/accounts/password/reset/", {"email": address}).status_code == 302
        queries = [query["sql"].replace(address, "ADDRESS") for query in asked.captured_queries]
        work[address] = (queries, len(made))
    assert len(mail.outbox) == len(work)
    first, *others = work.values()
    assert first[0]
    assert first[1] == 1
    assert others == [first] * 3


def test_a_letter_that_nobody_wrote_is_not_sent(cast: Cast):
    with pytest.raises(ValueError, match="no letter"):
        get_adapter().send_mail("account/email/login_code", "vera@acme.test", {})
    assert mail.outbox == []


@pytest.mark.parametrize("name", ["account_login", "account_reset_password"])
def test_an_e_mail_address_is_called_so_in_every_place(db: None, name: str):
    page = Client().get(reverse(name)).text
    assert "E-mail address" in page
    assert "Email address" not in page
