"""Keys with which applications sign: made, imported, told to gateways, and shown to nobody again."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection
from django.utils import timezone

from apps.access import services
from apps.access.models import Credential
from apps.audit.models import Entry
from apps.fleet.compile import affected_by, credentials_of
from tests.support.cast import Cast, make_application

SECRET = "a-secret-that-exists-elsewhere-00001"


def test_a_signing_key_is_made_shown_once_kept_encrypted_and_told_to_the_gateways(cast: Cast):
    ends = timezone.now() + timedelta(days=9)
    made = services.signing_key_create(
        actor=cast.bob, application=make_application(cast.acme), name="ci", expires_at=ends, methods=["GET"]
    )
    assert made.key.identifier.startswith("sk-")
    assert len(made.secret) >= 43
    entry = Entry.objects.latest("epoch")
    assert (entry.verb, entry.affects) == ("signing_key.create", [["key", made.key.digest]])
    assert made.secret not in str(entry.changes)
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM access_credential")
        assert made.secret not in str(cursor.fetchone())
    (records,) = credentials_of(affected_by([("key", made.key.digest)]))
    record = records[made.key.digest]
    assert record is not None
    assert (record.kind, record.secret, record.methods) == ("signing_key", made.secret, ("GET", "HEAD"))
    assert record.expires_at == pytest.approx(ends.timestamp())


def test_a_signing_key_that_exists_elsewhere_is_imported_once(cast: Cast):
    application = make_application(cast.acme)
    imported = services.signing_key_import(
        actor=cast.bob, application=application, name="ci", key_id="partner-7", secret=SECRET
    )
    assert (imported.identifier, Credential.objects.get().secret) == ("partner-7", SECRET)
    for told in ("An application", "revoked"):
        with pytest.raises(ValidationError) as refused:
            services.signing_key_import(
                actor=cast.bob, application=application, name="ci", key_id="partner-7", secret=SECRET
            )
        assert told in refused.value.message_dict["key_id"][0]
        if told == "An application":
            services.key_revoke(actor=cast.bob, key=imported)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("secret", "too-short"),
        ("secret", "x" * 513),
        ("secret", "ä" * 40),
        ("secret", "tab\t" * 10),
        ("key_id", ""),
        ("key_id", "a b"),
        ("key_id", "k" * 129),
        ("key_id", "ä"),
        ("expires_at", timezone.now() - timedelta(days=1)),
        ("methods", ["FETCH"]),
    ],
)
def test_what_makes_no_signing_key_is_refused_next_to_its_field(cast: Cast, field: str, value: object):
    given = {"name": "ci", "key_id": "partner-7", "secret": SECRET, field: value}
    application = make_application(cast.acme)
    with pytest.raises(ValidationError) as refused:
        services.signing_key_import(actor=cast.bob, application=application, **given)
    assert refused.value.message_dict.keys() == {field}


def test_only_those_who_manage_an_applications_keys_make_signing_keys(cast: Cast):
    application = make_application(cast.acme)
    for actor in (cast.vera, cast.charlie):
        with pytest.raises(PermissionDenied):
            services.signing_key_create(actor=actor, application=application, name="ci")
    assert not Credential.objects.exists()
