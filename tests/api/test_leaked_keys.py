"""Keys that a scanner found: which of them live, who is told, and what is done."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.access.models import Credential
from apps.access.services import key_create, key_import, key_revoke
from apps.audit.models import Entry
from apps.notifications.models import Notification
from apps.tenants.choices import TokenScope
from apps.wire.api_keys import make_key
from tests.api.test_scopes import calls_with
from tests.support.audit_log import age
from tests.support.cast import make_application

ADDRESS = "/api/v1/leaked-keys/"
URL = "https://code.test/acme/blob/main/.env"


def ask(client, *tokens: str, **more):
    return client.post(ADDRESS, {"found": [{"token": token, "url": URL} for token in tokens], **more})


def test_each_text_is_judged_in_its_order_and_no_key_is_named_to_who_may_not_see_it(cast, state_redis):
    bot = make_application(cast.acme)
    live = key_create(actor=cast.bob, application=bot, name="live")
    imported = key_import(actor=cast.bob, application=bot, name="old", secret="a-key-from-elsewhere")
    revoked = key_create(actor=cast.bob, application=bot, name="revoked")
    key_revoke(actor=cast.bob, key=revoked.key)
    ended = key_create(actor=cast.bob, application=bot, name="ended")
    Credential.objects.filter(pk=ended.key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    mistyped = live.secret[:-1] + ("a" if live.secret[-1] != "a" else "b")
    texts = [
        live.secret,
        mistyped,
        make_key(),
        "a-key-from-elsewhere",
        revoked.secret,
        ended.secret,
        "short",
        live.secret,
    ]
    unknown = {"live": False, "key": None, "application": "", "revoked": False}

    told = ask(calls_with(cast.bob, TokenScope.SCAN), *texts)
    assert told.status_code == 200, told.content
    shown = {"application": "acme/bot", "revoked": False}
    lives = {"live": True, "key": live.key.pk, **shown}
    assert told.json() == [
        lives,
        unknown,
        unknown,
        {"live": True, "key": imported.pk, **shown},
        {"live": False, "key": revoked.key.pk, **shown},
        {"live": False, "key": ended.key.pk, **shown},
        unknown,
        lives,
    ]
    by_another = ask(calls_with(cast.charlie, TokenScope.SCAN), *texts).json()
    assert [each["live"] for each in by_another] == [True, False, False, True, False, False, False, True]
    assert {(each["key"], each["application"]) for each in by_another} == {(None, "")}


def test_people_of_a_key_that_lives_are_told_where_it_was_found_once_a_day(cast, state_redis):
    live = key_create(actor=cast.bob, application=make_application(cast.acme), name="live")
    for _ in range(2):
        ask(calls_with(cast.charlie, TokenScope.SCAN), live.secret, live.secret)
    notified = Notification.objects.filter(kind="key.leak")
    assert {each.user for each in notified} == {cast.alice, cast.bob}
    assert notified.count() == 2
    entry = Entry.objects.get(verb="key.leak")
    assert URL in entry.comment
    assert live.secret not in str(Entry.objects.values_list("target", "comment", "changes"))
    age(Entry.objects.filter(pk=entry.pk), timedelta(days=2))
    ask(calls_with(cast.charlie, TokenScope.SCAN), live.secret)
    assert Notification.objects.filter(kind="key.leak").count() == 4


def test_who_may_revokes_a_key_by_its_text_and_who_may_not_notifies(cast, state_redis):
    live = key_create(actor=cast.bob, application=make_application(cast.acme), name="live")
    for stranger in (cast.charlie, cast.vera, cast.ada):  # by this scope an administrator is a mere user
        (told,) = ask(calls_with(stranger, TokenScope.SCAN), live.secret, revoke=True).json()
        assert (told["live"], told["revoked"]) == (True, False)
    (told,) = ask(calls_with(cast.alice, TokenScope.SCAN), live.secret, revoke=True).json()
    assert told == {"live": False, "key": live.key.pk, "application": "acme/bot", "revoked": True}
    entry = Entry.objects.get(verb="key.revoke")
    assert (entry.actor_email, URL in entry.comment) == (cast.alice.email, True)
    (told,) = ask(calls_with(cast.ada, TokenScope.ADMIN), live.secret, revoke=True).json()
    assert (told["live"], told["revoked"]) == (False, False)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"found": []},
        {"found": "amk_"},
        {"found": [{"url": URL}]},
        {"found": [{"token": "x" * 5000}]},
        {"found": [{"token": "x" * 20}] * 101},
        {"found": [{"token": "x" * 20, "more": 1}]},
    ],
)
def test_what_is_no_question_is_refused(cast, body):
    refused = calls_with(cast.bob, TokenScope.SCAN).post(ADDRESS, body)
    assert refused.status_code == 400
    assert "xxxx" not in refused.content.decode()
