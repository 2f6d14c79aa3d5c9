"""Revocation of tokens and subjects: who may, what is kept, and what gateways hear of it."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils import timezone

from apps.access import services
from apps.access.models import Issuer, Revocation
from apps.access.selectors import revocations_of_value, revocations_visible_to
from apps.access.services import issuer_delete, revocations_clean, subject_restore, subject_revoke, token_revoke
from apps.access.services import revocations as module
from apps.access.tasks import expire
from apps.audit.models import Entry
from apps.fleet.compile import affected_by, all_parts, parts_of
from apps.foundation.errors import Conflict
from apps.httpcache import subject_of_caller, tag_of_subject
from apps.tenants.actors import PLATFORM
from apps.wire.revocations import FOR_GOOD, bucket_of, revocation_hash, unpack
from apps.wire.snapshot import Revoked
from tests.support.cast import make_issuer

pytestmark = pytest.mark.django_db

TOKEN = "0b9f1a52-the-id-of-a-token"


@pytest.fixture
def corp() -> Issuer:
    return make_issuer()


def hashed(kind: str, value: str, issuer: str = "corp") -> int:
    return revocation_hash(settings.KEY_PEPPER, kind, issuer, value)


def told() -> dict[int, int]:
    """What gateways are told in all, by hash."""
    found: dict[int, int] = {}
    for parts in all_parts():
        for part in parts.values():
            if isinstance(part, Revoked):
                found |= dict(zip(*unpack(part), strict=True))
    return found


def test_a_token_is_revoked_by_its_id_for_good(corp: Issuer):
    row = token_revoke(actor=PLATFORM, issuer=corp, jti=TOKEN, comment="lost")
    assert (row.kind, row.shown, row.not_before, row.comment) == ("jti", "0b9f…", None, "lost")
    assert timedelta(days=29) < row.expires_at - timezone.now() <= timedelta(days=30)
    assert told() == {hashed("jti", TOKEN): FOR_GOOD}
    entry = Entry.objects.get(verb="revocation.token")
    assert entry.affects == [["revoked", f"{bucket_of(hashed('jti', TOKEN)):02x}"]]
    assert (entry.target, entry.comment) == ("corp: jti 0b9f…", "lost")
    assert TOKEN not in str(Entry.objects.values_list()) + str(Revocation.objects.values_list()), "a masked form alone"


def test_a_subject_is_revoked_up_to_a_time_with_what_was_stored_for_it(corp: Issuer):
    before = int(timezone.now().timestamp())
    row = subject_revoke(actor=PLATFORM, issuer=corp, subject="ann@corp.test")
    assert row.not_before is not None
    assert told()[hashed("subject", "ann@corp.test")] in range(before, before + 60)
    assert timedelta(days=399) < row.expires_at - timezone.now() <= timedelta(days=400)
    stored = ["stored", tag_of_subject(subject_of_caller("corp ann@corp.test"))]
    assert stored in Entry.objects.get(verb="revocation.subject").affects


def test_a_token_that_is_revoked_with_its_subject_ends_what_was_stored_for_it(corp: Issuer):
    token_revoke(actor=PLATFORM, issuer=corp, jti=TOKEN, subject="ann")
    stored = ["stored", tag_of_subject(subject_of_caller("corp ann"))]
    assert stored in Entry.objects.get(verb="revocation.token").affects


def test_a_bucket_is_one_part_and_a_change_rewrites_no_other(corp: Issuer):
    for number in range(40):
        token_revoke(actor=PLATFORM, issuer=corp, jti=f"token-{number}")
    assert len(told()) == 40
    affects = Entry.objects.filter(verb="revocation.token").latest("epoch").affects
    (name,) = parts_of(affected_by(affects))
    assert name == f"revoked:{affects[0][1]}"


def test_revoking_twice_changes_nothing_and_a_later_time_counts(corp: Issuer):
    now = timezone.now()
    first = subject_revoke(actor=PLATFORM, issuer=corp, subject="ann", not_before=now - timedelta(hours=2))
    later = subject_revoke(actor=PLATFORM, issuer=corp, subject="ann", not_before=now - timedelta(hours=1))
    assert later.pk == first.pk
    entries = Entry.objects.count()
    earlier = subject_revoke(actor=PLATFORM, issuer=corp, subject="ann", not_before=now - timedelta(hours=3))
    assert earlier.not_before == later.not_before == now - timedelta(hours=1)
    token_revoke(actor=PLATFORM, issuer=corp, jti=TOKEN)
    kept = token_revoke(actor=PLATFORM, issuer=corp, jti=TOKEN, expires_at=now + timedelta(days=1))
    assert kept.expires_at > now + timedelta(days=29)
    assert Entry.objects.count() == entries + 1
    assert told() == {
        hashed("jti", TOKEN): FOR_GOOD,
        hashed("subject", "ann"): int((now - timedelta(hours=1)).timestamp()),
    }


def test_a_subject_is_restored_and_a_token_never(corp: Issuer):
    subject = subject_revoke(actor=PLATFORM, issuer=corp, subject="ann")
    token = token_revoke(actor=PLATFORM, issuer=corp, jti=TOKEN)
    with pytest.raises(Conflict, match="stays so"):
        subject_restore(actor=PLATFORM, revocation=token)
    subject_restore(actor=PLATFORM, revocation=subject)
    assert told() == {hashed("jti", TOKEN): FOR_GOOD}
    bucket = f"{bucket_of(hashed('subject', 'ann')):02x}"
    assert Entry.objects.get(verb="revocation.restore").affects == [["revoked", bucket]]
    assert parts_of(affected_by([["revoked", bucket]])) == {f"revoked:{bucket}": None}
    with pytest.raises(Conflict, match="gone already"):
        subject_restore(actor=PLATFORM, revocation=subject)


def test_owners_and_developers_revoke_at_their_tenants_issuers_and_administrators_at_the_platforms(cast, corp: Issuer):
    own = make_issuer("own", cast.acme)
    for service, value in ((token_revoke, {"jti": TOKEN}), (subject_revoke, {"subject": "ann"})):
        for actor, issuer in ((cast.alice, corp), (cast.vera, own), (cast.charlie, own), (None, own)):
            with pytest.raises(PermissionDenied):
                service(actor=actor, issuer=issuer, **value)
        service(actor=cast.bob, issuer=own, **value)
        service(actor=cast.ada, issuer=corp, **value)
    row = Revocation.objects.get(issuer=own, kind="subject")
    assert row.revoked_by == cast.bob
    for actor in (cast.vera, cast.charlie):
        with pytest.raises(PermissionDenied):
            subject_restore(actor=actor, revocation=row)
    subject_restore(actor=cast.alice, revocation=row)
    assert {each.issuer for each in revocations_visible_to(cast.alice)} == {own}
    assert not revocations_visible_to(cast.vera)
    assert not revocations_visible_to(None)
    assert {each.issuer for each in revocations_visible_to(cast.ada)} == {own, corp}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"jti": ""}, "jti"),
        ({"jti": "x" * 4097}, "jti"),
        ({"jti": TOKEN, "expires_at": timezone.now() - timedelta(seconds=1)}, "expires_at"),
        ({"jti": TOKEN, "expires_at": timezone.now() + timedelta(days=401)}, "expires_at"),
        ({"subject": ""}, "subject"),
        ({"subject": "ann", "not_before": timezone.now() + timedelta(hours=1)}, "not_before"),
        ({"subject": "ann", "not_before": timezone.now() - timedelta(days=401)}, "not_before"),
    ],
)
def test_what_makes_no_sense_is_refused(corp: Issuer, given: dict[str, Any], field: str):
    service = token_revoke if "jti" in given else subject_revoke
    with pytest.raises(ValidationError) as refused:
        service(actor=PLATFORM, issuer=corp, **given)
    assert list(refused.value.message_dict) == [field]


def test_there_are_only_as_many_as_gateways_hold(cast, corp: Issuer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MOST", 3)
    monkeypatch.setattr(module, "MOST_OF_A_TENANT", 1)
    own = make_issuer("own", cast.acme)
    token_revoke(actor=cast.bob, issuer=own, jti="1")
    with pytest.raises(Conflict, match="as many as it may"):
        token_revoke(actor=cast.bob, issuer=own, jti="2")
    token_revoke(actor=PLATFORM, issuer=corp, jti="1")
    token_revoke(actor=PLATFORM, issuer=corp, jti="2")
    with pytest.raises(Conflict, match="as many as gateways hold"):
        subject_revoke(actor=PLATFORM, issuer=corp, subject="ann")


def test_what_no_token_can_be_good_by_is_left_out_and_forgotten(corp: Issuer):
    now = timezone.now()
    over = token_revoke(actor=PLATFORM, issuer=corp, jti="old", expires_at=now + timedelta(seconds=5))
    token_revoke(actor=PLATFORM, issuer=corp, jti="new")
    Revocation.objects.filter(pk=over.pk).update(expires_at=now - timedelta(minutes=59))
    assert len(told()) == 2, "clocks differ, and issuers have their leeway"
    assert revocations_clean(now=now) == 0
    Revocation.objects.filter(pk=over.pk).update(expires_at=now - timedelta(minutes=61))
    assert told() == {hashed("jti", "new"): FOR_GOOD}
    expire()
    assert Revocation.objects.get().shown == "n…"
    entry = Entry.objects.get(verb="revocation.clean")
    assert (entry.changes, entry.affects) == ({"revocations": [1, 0]}, [["revoked", over.digest[:2]]])


def test_with_an_issuer_go_its_revocations(corp: Issuer):
    row = token_revoke(actor=PLATFORM, issuer=corp, jti=TOKEN)
    issuer_delete(actor=PLATFORM, row=corp)
    assert told() == {}
    assert ["revoked", row.digest[:2]] in Entry.objects.get(verb="issuer.delete").affects


def test_another_issuers_tokens_and_subjects_have_other_hashes(cast, corp: Issuer):
    own = make_issuer("own", cast.acme)
    found = {
        services.token_revoke(actor=PLATFORM, issuer=corp, jti="1").digest,
        services.token_revoke(actor=PLATFORM, issuer=own, jti="1").digest,
        services.subject_revoke(actor=PLATFORM, issuer=corp, subject="1").digest,
        services.subject_revoke(actor=PLATFORM, issuer=own, subject="1").digest,
    }
    assert len(found) == 4
    rows = Revocation.objects.all()
    assert {each.issuer for each in revocations_of_value(rows, "jti", "1")} == {own, corp}
    assert not revocations_of_value(rows, "jti", "2")
