"""Tokens end: who is told, what a later start does with the operator's, and what an upgrade makes of those without an end."""

from datetime import timedelta

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from apps.supervisor.first_start import AdministratorWishes, administrator_make, administrator_token
from apps.tenants import checks, services
from apps.tenants.actors import PLATFORM
from apps.tenants.models import Token, User
from apps.tenants.selectors import token_find, tokens_ending_soon
from apps.tenants.tasks import notify
from tests.support.cast import Cast, make_token

WISHES = AdministratorWishes(email="op@acme.test", password="a long enough phrase", token="the-operators-own-value")


def aged(token: Token, made_days_ago: int, ends_in_days: float) -> Token:
    now = timezone.now()
    Token.objects.filter(pk=token.pk).update(
        created_at=now - timedelta(days=made_days_ago), expires_at=now + timedelta(days=ends_in_days)
    )
    return token


# The operator's token


def test_the_first_token_is_an_administrators_and_ends_in_a_year(db: None):
    administrator_make(WISHES)
    token = Token.objects.get()
    assert (token.scope, token.tenant) == ("admin", None)
    assert timedelta(days=364) < token.expires_at - timezone.now() <= timedelta(days=365)


def test_a_later_start_with_the_same_value_changes_nothing(db: None):
    administrator_make(WISHES)
    assert administrator_token(WISHES) == ""
    assert Token.objects.count() == 1
    assert administrator_token(AdministratorWishes()) == ""


def test_it_is_said_at_a_start_before_the_token_ends(db: None):
    administrator_make(WISHES)
    aged(Token.objects.get(), 345, 20)
    assert "set a new value before" in administrator_token(WISHES)


@pytest.mark.parametrize("way", ["it ran out", "revoked", "a new password", "deactivated"])
def test_a_restart_with_the_same_value_never_brings_an_ended_token_back(db: None, way: str):
    administrator_make(WISHES)
    token = Token.objects.get()
    if way == "it ran out":
        aged(token, 366, -1)
    elif way == "revoked":
        services.token_revoke(actor=token.user, token=token)
    elif way == "a new password":
        services.user_set_password(actor=token.user, user=token.user, password="quite another long phrase")
    else:
        services.user_deactivate(actor=PLATFORM, user=token.user)
        services.user_activate(actor=PLATFORM, user=token.user)
    assert "set a new value and start again" in administrator_token(WISHES)
    assert token_find(WISHES.token) is None
    assert Token.objects.count() == 1


def test_a_new_value_makes_a_new_token_beside_the_old_one(db: None):
    administrator_make(WISHES)
    said = administrator_token(AdministratorWishes(email=WISHES.email, token="another-value"))
    assert said.startswith("The new token in APIMGR_ADMIN_TOKEN acts as op@acme.test until ")
    for value in ("another-value", WISHES.token):
        found = token_find(value)
        assert found is not None
        assert found.scope == "admin"


def test_a_value_for_nobody_is_not_used_and_that_is_said(cast: Cast):
    for email in ("nobody@acme.test", cast.alice.email):
        said = administrator_token(AdministratorWishes(email=email, token="another-value"))
        assert said == f"APIMGR_ADMIN_TOKEN is not used: {email} (APIMGR_ADMIN_EMAIL) is no platform administrator."
    assert not Token.objects.exists()


def test_the_command_says_it_too(cast: Cast, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("APIMGR_ADMIN_EMAIL", cast.ada.email)
    monkeypatch.setenv("APIMGR_ADMIN_TOKEN", "another-value")
    call_command("administrator")
    assert "The new token in APIMGR_ADMIN_TOKEN acts as ada@platform.test" in capsys.readouterr().out


# Who is told


def test_only_long_lived_tokens_that_work_are_told_of(cast: Cast):
    soon = aged(make_token(cast.bob, name="soon").token, 300, 29)
    aged(make_token(cast.bob, name="later").token, 300, 31)
    aged(make_token(cast.bob, name="made for a month").token, 10, 20)
    aged(make_token(cast.bob, name="over").token, 366, -1)
    revoked = aged(make_token(cast.bob, name="revoked").token, 300, 5)
    services.token_revoke(actor=cast.bob, token=revoked)
    assert list(tokens_ending_soon()) == [soon]
    assert list(tokens_ending_soon(cast.alice)) == []


def test_the_owner_gets_one_letter(cast: Cast, django_capture_on_commit_callbacks):
    aged(make_token(cast.bob, name="nightly").token, 300, 20)
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            notify()
    [letter] = mail.outbox
    assert letter.to == [cast.bob.email]
    assert letter.subject.startswith("Your token “nightly” ends on ")
    assert "/account/" in letter.body


def test_the_check_before_serving_lists_tokens_that_end_soon(cast: Cast, monkeypatch: pytest.MonkeyPatch):
    assert checks.tokens_go_on(None) == []
    secret = make_token(cast.ada, name="ops")
    aged(secret.token, 300, 20)
    [warning] = checks.tokens_go_on(None)
    assert warning.id == "tenants.W001"
    assert "'ops'" in warning.msg
    assert cast.ada.email in warning.msg
    assert secret.secret not in str(warning)

    def away() -> None:
        raise DatabaseError("no such table")

    monkeypatch.setattr(checks, "tokens_ending_soon", away)
    assert [found.id for found in checks.tokens_go_on(None)] == ["tenants.W002"]


# The upgrade


@pytest.mark.django_db(transaction=True)
def test_tokens_from_before_keep_their_rights_and_end_within_a_year():
    executor = MigrationExecutor(connection)
    newest = executor.loader.graph.leaf_nodes()  # of all apps: those that depend on it go back too
    executor.migrate([("tenants", "0001_initial")])
    try:
        old = executor.loader.project_state([("tenants", "0001_initial")]).apps
        users = old.get_model("tenants", "User").objects
        now = timezone.now()
        for name, right in (("ada", True), ("bob", False)):
            user = users.create(email=f"{name}@acme.test", is_administrator=right)
            for number, end in enumerate((None, now + timedelta(days=7), now + timedelta(days=4_000))):
                user.tokens.create(name=str(number), prefix="amt_", digest=f"{name}{number}", expires_at=end)
        executor = MigrationExecutor(connection)
        executor.migrate(newest)
        assert set(Token.objects.values_list("user__email", "scope")) == {
            ("ada@acme.test", "admin"),
            ("bob@acme.test", "write"),
        }
        for token in Token.objects.all():
            days = 7 if token.name == "1" else 365
            assert abs(token.expires_at - now - timedelta(days=days)) < timedelta(minutes=5)
    finally:
        MigrationExecutor(connection).migrate(newest)
        User.objects.all().delete()
