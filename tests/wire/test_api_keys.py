"""Keys: as text, and as rows that are made, imported, rotated and revoked."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.access import services
from apps.access.models import Credential
from apps.access.selectors import keys_visible_to
from apps.audit.models import Entry
from apps.catalog.services import api_unpublish
from apps.foundation.errors import Conflict
from apps.wire import api_keys
from tests.support.cast import Cast, make_api, make_application, make_key, make_token

LEGACY = "legacy-key-0123456789"


def last() -> Entry:
    return Entry.objects.order_by("-epoch")[0]


def test_a_key_of_ours_is_recognised_and_a_mistyped_one_is_told_without_asking_anybody():
    secret = api_keys.make_key()
    assert api_keys.looks_like_ours(secret)
    assert api_keys.checksum_ok(secret)
    for position in range(len(api_keys.MARK), len(secret)):
        wrong = secret[:position] + ("A" if secret[position] != "A" else "B") + secret[position + 1 :]
        assert api_keys.looks_like_ours(wrong)
        assert not api_keys.checksum_ok(wrong)


def test_keys_hold_256_bits_and_never_repeat():
    made = {api_keys.make_key() for _ in range(1000)}
    assert len(made) == 1000
    assert 62**43 >= 2**256 > 62**42


@given(st.text(max_size=80))
def test_whatever_a_caller_sends_as_a_key_is_looked_at_without_an_error(text: str):
    assert api_keys.looks_like_ours(text) in {True, False}
    assert len(api_keys.digest(b"pepper", text)) == 64


def test_a_digest_depends_on_the_pepper_and_on_the_key():
    secret = api_keys.make_key()
    assert api_keys.digest(b"one", secret) == api_keys.digest(b"one", secret)
    assert api_keys.digest(b"one", secret) != api_keys.digest(b"two", secret)
    assert api_keys.digest(b"one", secret) != api_keys.digest(b"one", api_keys.make_key())


def test_a_secret_is_in_the_answer_to_its_creation_and_nowhere_else(cast: Cast):
    key, secret = services.key_create(actor=cast.bob, application=make_application(cast.acme), name="ci")
    row = Credential.objects.values().get(pk=key.pk)
    assert row["digest"] == api_keys.digest(settings.KEY_PEPPER, secret)
    assert secret.startswith(row["prefix"])
    assert secret not in str(row)
    entry = last()
    assert (entry.verb, entry.tenant_slug, entry.affects) == ("key.create", "acme", [["key", key.digest]])
    assert secret[16:] not in str(Entry.objects.values().get(pk=entry.pk))


def test_a_key_of_any_form_is_imported_and_shows_little_of_itself(cast: Cast):
    key = services.key_import(actor=cast.bob, application=make_application(cast.acme), name="old", secret=LEGACY)
    assert key.prefix == "lega"
    assert key.digest == api_keys.digest(settings.KEY_PEPPER, LEGACY)
    assert last().verb == "key.import"


@pytest.mark.parametrize(
    "secret",
    ["too-short-15-ch", "x" * 513, "has a space in it!", "line\nbreak-0123456", "ünicode-0123456789"],
)
def test_a_key_that_could_not_travel_in_a_header_or_is_too_short_is_refused(cast: Cast, secret: str):
    with pytest.raises(ValidationError) as refused:
        services.key_import(actor=cast.bob, application=make_application(cast.acme), name="old", secret=secret)
    assert "secret" in refused.value.message_dict
    assert not Credential.objects.exists()


def test_a_key_of_ours_with_a_wrong_checksum_is_not_imported(cast: Cast):
    secret = api_keys.make_key()
    wrong = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    with pytest.raises(ValidationError):
        services.key_import(actor=cast.bob, application=make_application(cast.acme), name="old", secret=wrong)


def test_a_key_belongs_to_one_application(cast: Cast):
    services.key_import(actor=cast.bob, application=make_application(cast.acme), name="old", secret=LEGACY)
    with pytest.raises(ValidationError) as refused:
        services.key_import(actor=cast.charlie, application=make_application(cast.globex), name="stolen", secret=LEGACY)
    assert "secret" in refused.value.message_dict


def test_rotation_keeps_the_old_key_for_the_overlap_and_leaves_others_alone(cast: Cast):
    bot = make_application(cast.acme)
    old, other = make_key(bot).key, make_key(bot, "other").key
    before = timezone.now()
    new, secret = services.key_rotate(actor=cast.bob, key=old, overlap=timedelta(hours=2))
    assert api_keys.digest(settings.KEY_PEPPER, secret) == new.digest
    assert (old.successor, old.state) == (new, "active")
    assert old.expires_at is not None
    assert timedelta(hours=2) <= old.expires_at - before < timedelta(hours=2, seconds=30)
    assert new.expires_at is None
    assert Credential.objects.get(pk=other.pk).expires_at is None
    assert last().affects == [["key", old.digest], ["key", new.digest]]


def test_rotation_gives_a_day_unless_told_otherwise_and_never_lengthens_a_life(cast: Cast):
    bot = make_application(cast.acme)
    key = make_key(bot).key
    services.key_rotate(actor=cast.bob, key=key)
    assert key.expires_at is not None
    assert timedelta(hours=23) < key.expires_at - timezone.now() <= timedelta(hours=24)
    ends = timezone.now() + timedelta(minutes=5)
    short = make_key(bot, "short", expires_at=ends).key
    services.key_rotate(actor=cast.bob, key=short)
    assert short.expires_at == ends


def test_what_is_revoked_expired_or_rotated_is_not_rotated_again(cast: Cast):
    bot = make_application(cast.acme)
    rotated, revoked, expired = (make_key(bot, name).key for name in ("a", "b", "c"))
    services.key_rotate(actor=cast.bob, key=rotated)
    services.key_revoke(actor=cast.bob, key=revoked)
    Credential.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    count = Credential.objects.count()
    for key in (rotated, revoked, expired):
        with pytest.raises(Conflict):
            services.key_rotate(actor=cast.bob, key=key)
    for overlap in (timedelta(seconds=-1), timedelta(days=366)):
        with pytest.raises(ValidationError):
            services.key_rotate(actor=cast.bob, key=make_key(bot, "d").key, overlap=overlap)
    assert Credential.objects.count() == count + 2


def test_revoking_one_key_leaves_the_application_s_others(cast: Cast):
    bot = make_application(cast.acme)
    key, other = make_key(bot).key, make_key(bot, "other").key
    services.key_revoke(actor=cast.bob, key=key, comment="Leaked")
    assert (key.state, key.revoked_at is not None) == ("revoked", True)
    assert Credential.objects.get(pk=other.pk).state == "active"
    assert (last().verb, last().comment) == ("key.revoke", "Leaked")
    assert last().affects == [["key", key.digest], ["stored", f"s:key:{key.pk}"]]
    with pytest.raises(Conflict):
        services.key_revoke(actor=cast.bob, key=key)


def test_viewers_and_strangers_manage_no_keys(cast: Cast):
    bot = make_application(cast.acme)
    key = make_key(bot).key
    for actor in (cast.vera, cast.charlie, cast.olga):
        for attempt in (
            lambda actor: services.key_create(actor=actor, application=bot, name="x"),
            lambda actor: services.key_import(actor=actor, application=bot, name="x", secret=LEGACY),
            lambda actor: services.key_rotate(actor=actor, key=key),
            lambda actor: services.key_revoke(actor=actor, key=key),
            lambda actor: services.trial_key_create(actor=actor, application=bot, api=make_api(cast.platform, "x")),
        ):
            with pytest.raises(PermissionDenied):
                attempt(actor)
            from apps.catalog.models import API

            API.objects.all().delete()
    assert Credential.objects.get() == key


def test_an_end_in_the_past_is_refused(cast: Cast):
    with pytest.raises(ValidationError) as refused:
        services.key_create(
            actor=cast.bob,
            application=make_application(cast.acme),
            name="ci",
            expires_at=timezone.now() - timedelta(seconds=1),
        )
    assert "expires_at" in refused.value.message_dict


def test_a_key_has_a_name(cast: Cast):
    with pytest.raises(ValidationError) as refused:
        services.key_create(actor=cast.bob, application=make_application(cast.acme), name="")
    assert "name" in refused.value.message_dict


def test_a_trial_key_is_good_for_a_minute_and_one_api_and_is_in_no_list(cast: Cast):
    api, bot = make_api(cast.platform), make_application(cast.acme)
    key, _ = services.trial_key_create(actor=cast.bob, application=bot, api=api)
    assert key.api == api
    assert key.expires_at is not None
    assert timedelta(seconds=50) < key.expires_at - timezone.now() <= timedelta(seconds=60)
    assert not keys_visible_to(cast.bob).exists()
    draft = make_api(cast.platform, "hidden", publish=False)
    with pytest.raises(PermissionDenied):
        services.trial_key_create(actor=cast.bob, application=bot, api=draft)


def test_trial_keys_are_forgotten_an_hour_after_their_end(cast: Cast):
    bot = make_application(cast.acme)
    key, _ = services.trial_key_create(actor=cast.bob, application=bot, api=make_api(cast.platform))
    kept = make_key(bot).key
    assert services.trial_keys_clean(now=timezone.now() + timedelta(minutes=30)) == 0
    assert services.trial_keys_clean(now=timezone.now() + timedelta(hours=2)) == 1
    assert list(Credential.objects.all()) == [kept]
    assert (last().verb, last().affects) == ("key.clean", [["key", key.digest]])


def test_a_key_is_limited_to_apis_and_its_successor_too(cast: Cast):
    make_api(cast.platform)
    make_api(cast.platform, "weather")
    bot = make_application(cast.acme)
    key = services.key_create(actor=cast.bob, application=bot, name="ci", apis=["weather", "products", "weather"]).key
    assert Credential.objects.get(pk=key.pk).apis == ["products", "weather"]
    assert last().changes["apis"] == [None, ["products", "weather"]]
    services.key_update(actor=cast.bob, key=key, apis=["weather"])
    assert Credential.objects.get(pk=key.pk).apis == ["weather"]
    entry = last()
    assert (entry.verb, entry.tenant_slug, entry.changes) == (
        "key.update",
        "acme",
        {"apis": [["products", "weather"], ["weather"]]},
    )
    assert entry.affects == [["key", key.digest]]
    assert services.key_rotate(actor=cast.bob, key=key).key.apis == ["weather"]
    services.key_update(actor=cast.bob, key=key, apis=None)
    assert Credential.objects.get(pk=key.pk).apis is None
    newest = last()
    services.key_update(actor=cast.bob, key=key, apis=None)
    assert last() == newest


def test_what_a_key_cannot_be_limited_to(cast: Cast):
    make_api(cast.platform)
    make_api(cast.globex, "hidden", publish=False)
    key = make_key(make_application(cast.acme)).key
    for apis, told in (([], "at least one"), (["hidden"], "hidden"), (["nothing"], "nothing"), (["a"] * 101, "'a'")):
        with pytest.raises(ValidationError, match=told):
            services.key_update(actor=cast.bob, key=key, apis=apis)
    with pytest.raises(ValidationError, match="At most 100"):
        services.key_update(actor=cast.bob, key=key, apis=[f"a{number}" for number in range(101)])
    for actor in (cast.vera, cast.charlie):
        with pytest.raises(PermissionDenied):
            services.key_update(actor=actor, key=key, apis=["products"])
    services.key_revoke(actor=cast.bob, key=key)
    with pytest.raises(Conflict):
        services.key_update(actor=cast.bob, key=key, apis=["products"])
    assert Credential.objects.get(pk=key.pk).apis is None


def test_an_api_that_is_hidden_again_stays_named_until_somebody_takes_it_out(cast: Cast):
    api = make_api(cast.platform)
    make_api(cast.platform, "weather")
    key = services.key_create(
        actor=cast.bob, application=make_application(cast.acme), name="ci", apis=["products", "weather"]
    ).key
    api_unpublish(actor=cast.olga, api=api)
    assert services.key_update(actor=cast.bob, key=key, apis=["products"]).apis == ["products"]


@pytest.mark.parametrize(
    "around", [b"%b", b"Bearer %b", b"a=1; key=%b; b=2", b"https://a.test/?k=%b&x=1", b"amk_amk_%b"]
)
def test_a_secret_is_found_wherever_it_stands(around: bytes):
    for secret in (
        api_keys.make_key(),
        api_keys.make_key()[:-1] + "0",
        "amt_" + "a_-B" * 10 + "xyz",
        "ams_" + "a_-B" * 10 + "xyz",
    ):
        for spelled in (secret.encode(), secret.replace("_", "%5f").encode()):
            value = around % spelled
            assert api_keys.holds_secret(value)
            assert spelled[8:] not in api_keys.without_secrets(value)
    assert not api_keys.holds_secret(around % b"amk_short")
    assert api_keys.without_secrets(around % b"amk_short") == around % b"amk_short"


def test_what_the_platform_gives_out_is_known_by_its_form(cast: Cast):
    """Else a new kind of secret would go on to upstreams and into the log."""
    for secret in (api_keys.make_key(), make_token(cast.vera).secret):
        assert api_keys.holds_secret(secret.encode())
        assert api_keys.without_secrets(b"/of/" + secret.encode()) == b"/of/(secret)"
