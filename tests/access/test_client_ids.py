"""Client IDs: as whom tokens name an application, and who may claim one."""

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError

from apps.access.choices import CredentialKind, KeyState
from apps.access.models import Credential
from apps.access.services import client_id_add, introspection_delete, key_revoke, key_rotate, key_update
from apps.audit.models import Entry
from apps.fleet.compile import all_credentials, compile_introspection, compile_issuer
from apps.foundation.errors import Conflict
from apps.tenants.actors import PLATFORM
from apps.tenants.services import tenant_suspend
from apps.wire.api_keys import identifier_digest
from tests.support.cast import make_api, make_application, make_introspection, make_issuer, make_subscription

pytestmark = pytest.mark.django_db


def found_by(namespace: str, client_id: str) -> str:
    return identifier_digest(settings.KEY_PEPPER, "client_id", namespace, client_id.encode())


def test_gateways_find_the_application_by_its_client_id(cast):
    bot = make_application(cast.acme)
    make_subscription(bot, make_api(cast.platform))
    row = client_id_add(actor=PLATFORM, application=bot, client_id="bot-client")
    assert (row.kind, row.identifier, str(row)) == (CredentialKind.CLIENT_ID, "bot-client", "bot-client")
    records = {digest: record for each in all_credentials() for digest, record in each.items()}
    record = records[found_by("", "bot-client")]
    assert record is not None
    assert (record.application, record.kind, list(record.grants)) == ("acme/bot", "client_id", ["products"])
    entry = Entry.objects.first()
    assert (entry.verb, entry.target, entry.affects) == (
        "client_id.add",
        "acme/bot: bot-client",
        [["key", row.digest]],
    )


def test_members_add_those_of_their_tenants_issuers_and_administrators_those_of_the_platforms(cast):
    own, others = make_issuer("own", cast.acme), make_issuer("others", cast.globex)
    platforms, bot = make_issuer("corp"), make_application(cast.acme)
    row = client_id_add(actor=cast.bob, application=bot, client_id="bot", issuer=own)
    assert (row.issuer, row.digest) == (own, found_by("own", "bot"))
    for actor, issuer in (
        (cast.bob, None),
        (cast.alice, platforms),
        (cast.alice, others),
        (cast.vera, own),
        (cast.charlie, own),
    ):
        with pytest.raises(PermissionDenied):
            client_id_add(actor=actor, application=bot, client_id="more", issuer=issuer)
    assert client_id_add(actor=cast.ada, application=bot, client_id="bot", issuer=platforms).issuer is None
    assert client_id_add(actor=cast.ada, application=bot, client_id="bot", issuer=others).issuer == others


def test_those_of_a_tenants_introspection_server_are_apart_from_its_issuers(cast):
    issuer, server, bot = (
        make_issuer("own", cast.acme),
        make_introspection("own", cast.acme),
        make_application(cast.acme),
    )
    row = client_id_add(actor=cast.bob, application=bot, client_id="bot", introspection=server)
    assert row.digest == found_by(compile_introspection(server).namespace, "bot")
    other = client_id_add(actor=cast.bob, application=bot, client_id="bot", issuer=issuer)
    assert other.digest == found_by(compile_issuer(issuer).namespace, "bot") != row.digest
    with pytest.raises(ValidationError, match="name one"):
        client_id_add(actor=cast.bob, application=bot, client_id="x", issuer=issuer, introspection=server)
    with pytest.raises(PermissionDenied):
        client_id_add(actor=cast.bob, application=bot, client_id="x", introspection=make_introspection("all"))
    introspection_delete(actor=cast.bob, server=server)
    assert Entry.objects.first().affects == [
        ["key", row.digest],
        ["stored", f"s:key:{row.pk}"],
        ["introspection", "own"],
    ]
    assert list(Credential.objects.all()) == [other]


def test_a_client_id_names_one_application_and_whose_it_is_is_for_those_who_see_it(cast):
    issuer, bot, other = make_issuer("own", cast.acme), make_application(cast.acme), make_application(cast.globex)
    client_id_add(actor=PLATFORM, application=other, client_id="bot", issuer=issuer)
    with pytest.raises(Conflict, match="is another application's already"):
        client_id_add(actor=cast.bob, application=bot, client_id="bot", issuer=issuer)
    with pytest.raises(Conflict, match="is globex/bot's already"):
        client_id_add(actor=cast.ada, application=bot, client_id="bot", issuer=issuer)


def test_a_revoked_one_may_be_claimed_anew_and_stays_in_the_list(cast):
    first, second = make_application(cast.acme, "first"), make_application(cast.acme, "second")
    revoked = client_id_add(actor=PLATFORM, application=first, client_id="bot")
    key_revoke(actor=cast.alice, key=revoked)
    entry = Entry.objects.first()
    assert entry.target == "acme/first: bot"
    assert entry.affects == [["key", revoked.digest], ["stored", f"s:key:{revoked.pk}"]]
    claimed = client_id_add(actor=PLATFORM, application=second, client_id="bot")
    assert claimed.pk != revoked.pk, "what is stored for the old one's callers is never the new one's"
    revoked.refresh_from_db()
    assert (revoked.state, revoked.identifier) == (KeyState.REVOKED, "bot")
    records = {digest: record for each in all_credentials() for digest, record in each.items()}
    assert [record.application for record in records.values() if record and record.state == "active"] == ["acme/second"]
    assert records[found_by("", "bot")].application == "acme/second"
    key_revoke(actor=PLATFORM, key=claimed)
    client_id_add(actor=PLATFORM, application=first, client_id="bot")
    assert Credential.objects.count() == 3


@pytest.mark.parametrize("client_id", ["", " bot", "bot ", "b\tt", "bot\n", "bót", "x" * 256])
def test_what_is_no_client_id_is_refused(cast, client_id):
    with pytest.raises(ValidationError, match="visible ASCII"):
        client_id_add(actor=PLATFORM, application=make_application(cast.acme), client_id=client_id)


def test_a_client_id_has_no_secret_to_rotate_but_apis_that_it_is_good_for(cast):
    make_api(cast.platform)
    row = client_id_add(actor=PLATFORM, application=make_application(cast.acme), client_id="bot")
    with pytest.raises(Conflict, match="bot is no API key"):
        key_rotate(actor=cast.alice, key=row)
    assert key_update(actor=cast.alice, key=row, apis=["products"]).apis == ["products"]


def test_client_ids_of_a_suspended_tenant_open_nothing(cast):
    client_id_add(actor=PLATFORM, application=make_application(cast.acme), client_id="bot")
    tenant_suspend(actor=PLATFORM, tenant=cast.acme)
    records = {digest: record for each in all_credentials() for digest, record in each.items()}
    assert records[found_by("", "bot")].state == "tenant_suspended"
