"""Signing in leaves entries: who, from where, how; and a guesser leaves few."""

from typing import Any

import pytest
from allauth.account import signals as account
from allauth.mfa import signals as mfa
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth
from django.dispatch import Signal
from django.test import Client

from apps.audit.models import Entry
from apps.tenants import sign_in_log
from tests.support.cast import PASSWORD, Cast, confirm

pytestmark = pytest.mark.usefixtures("state_redis")


def sign_in(client: Client, email: str, password: str = PASSWORD, **extra: Any) -> Any:
    return client.post("/accounts/login/", {"login": email, "password": password}, **extra)


def code_of(secret: str) -> str:
    """The code of now."""
    return auth.format_hotp_value(auth.hotp_value(secret, next(auth.yield_hotp_counters_from_time())))


def written() -> list[Entry]:
    """Entries of signing in, from the oldest on."""
    return list(Entry.objects.filter(verb__startswith="user.s").exclude(verb="user.set_password").order_by("epoch"))


# What allauth tells of, and who writes it.
ELSEWHERE = {
    "password_changed": "the service user_set_password, by the adapter",
    "password_set": "the service user_set_password, by the adapter",
    "password_reset": "the service user_set_password, by the adapter",
    "authentication_step_completed": "a step isn't a sign-in",
    "authenticator_used": "the entry of the sign-in names it",
    "user_signed_up": "strangers make no accounts",
    "email_confirmed": "addresses are changed by administrators, through a service",
    "email_confirmation_sent": "as before",
    "email_changed": "as before",
    "email_added": "as before",
    "email_removed": "as before",
    "_add_email": "as before",
    "email_verification_code_rejected": "no codes are sent",
    "login_code_rejected": "no codes are sent",
    "password_reset_code_rejected": "no codes are sent",
}


def test_each_signal_of_signing_in_is_written_or_has_a_reason():
    told = {name: each for module in (account, mfa) for name, each in vars(module).items() if isinstance(each, Signal)}
    heard = {name for name, signal in told.items() if any("sign_in_log" in str(each[0]) for each in signal.receivers)}
    assert heard | ELSEWHERE.keys() == told.keys()
    assert not heard & ELSEWHERE.keys()


def test_a_sign_in_and_a_sign_out_are_written_with_their_origin(cast: Cast):
    client = Client(headers={"user-agent": "Lynx\t2.9" + "x" * 300, "x-request-id": "from-the-proxy"})
    response = sign_in(client, cast.bob.email, REMOTE_ADDR="192.0.2.7")
    assert response["X-Request-ID"] == "from-the-proxy"
    client.post("/accounts/logout/", REMOTE_ADDR="192.0.2.7")
    begun, ended = written()
    for entry, verb in ((begun, "user.sign_in"), (ended, "user.sign_out")):
        assert (entry.verb, entry.actor_email, entry.target, entry.tenant_slug) == (
            verb,
            cast.bob.email,
            cast.bob.email,
            "",
        )
        assert (entry.via, entry.address, entry.request_id) == ("console", "192.0.2.7", "from-the-proxy")
        assert entry.agent.startswith("Lynx 2.9xxx")
        assert len(entry.agent) == 200
    assert begun.changes == {"methods": [[], ["password"]]}
    assert ended.changes == {}


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "<script>"])
def test_a_request_without_a_well_formed_id_gets_one(cast: Cast, given: str):
    response = sign_in(Client(headers={"x-request-id": given}), cast.bob.email)
    assert len(response["X-Request-ID"]) == 32
    assert written()[0].request_id == response["X-Request-ID"]


def test_failures_are_written_without_the_password_and_the_same_for_nobody(cast: Cast):
    for email in (cast.bob.email, "nobody@else.test"):
        sign_in(Client(), email, "wrong password")
    known, unknown = written()
    for entry, target in ((known, cast.bob.email), (unknown, "nobody@else.test")):
        assert (entry.verb, entry.actor_email, entry.target) == ("user.sign_in_failed", "", target)
        assert (entry.comment, entry.changes, entry.address) == ("Wrong password", {}, "127.0.0.1")
    assert "wrong password" not in str(list(Entry.objects.values()))


def test_a_guesser_leaves_one_entry_and_a_count_that_the_next_entry_tells(cast: Cast):
    guesser = Client()
    for number in range(8):
        sign_in(guesser, cast.bob.email, f"guess {number}")
    assert [entry.verb for entry in written()] == ["user.sign_in_failed"]
    sign_in(Client(), cast.bob.email, REMOTE_ADDR="192.0.2.7")
    entry = written()[-1]
    assert (entry.verb, entry.changes["failures_without_entry"]) == ("user.sign_in", [0, 7])
    sign_in(Client(), cast.bob.email, REMOTE_ADDR="192.0.2.7")
    assert "failures_without_entry" not in written()[-1].changes


def test_guesses_at_many_accounts_leave_thirty_entries_in_a_minute(cast: Cast, monkeypatch, rf):
    for number in range(40):
        sign_in_log.failed(rf.post("/", REMOTE_ADDR=f"192.0.{number}.1"), f"n{number}@else.test", "Wrong password")
    assert len(written()) == 30


def test_a_second_factor_is_written_on_made_anew_and_off(cast: Cast, django_capture_on_commit_callbacks):
    client = Client()
    sign_in(client, cast.bob.email)
    confirm(client)
    page = client.get("/accounts/2fa/totp/activate/")
    secret = page.context["form"].secret
    code = code_of(secret)
    with django_capture_on_commit_callbacks(execute=True):
        assert client.post("/accounts/2fa/totp/activate/", {"code": code}).status_code == 302
        assert client.post("/accounts/2fa/recovery-codes/generate/").status_code == 302
    client.post("/accounts/2fa/totp/deactivate/")
    assert not Authenticator.objects.exists()
    seen = [entry.changes for entry in written() if entry.verb == "user.second_factor"]
    assert seen == [
        {"totp": [None, "on"]},
        {"recovery_codes": [None, "on"]},
        {"recovery_codes": ["on", "made anew"]},
        {"totp": ["on", None]},
        {"recovery_codes": ["on", None]},
    ]
    assert secret not in str(list(Entry.objects.values()))


def test_a_wrong_code_is_a_failure_and_the_sign_in_names_the_second_factor(cast: Cast):
    secret = auth.generate_totp_secret()
    auth.TOTP.activate(cast.bob, secret)
    client = Client()
    sign_in(client, cast.bob.email)
    assert written() == []
    client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert [(entry.verb, entry.comment) for entry in written()] == [
        ("user.sign_in_failed", "Wrong code of the second factor")
    ]
    code = code_of(secret)
    client.post("/accounts/2fa/authenticate/", {"code": code})
    assert written()[-1].changes["methods"] == [[], ["password", "totp"]]
