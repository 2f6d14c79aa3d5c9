"""Secrets at rest: what the database holds, what opens it, and what doesn't."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection

from apps.audit.models import Entry
from apps.catalog.models import API, Revision
from apps.catalog.selectors import document_for, revision_changes_for, revision_document_for
from apps.catalog.services import api_rollback, api_update
from apps.foundation.secrets import Ring, Undecipherable
from tests.support.cast import Cast, make_api

SECRET = "Bearer s3cret-of-the-upstream"
RULES = {"set": {"Authorization": SECRET}, "remove": []}


def stored() -> list[str]:
    """Every text of the encrypted columns as the database holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT request_headers FROM catalog_api UNION ALL SELECT response_headers FROM catalog_api")
        texts = [row[0] for row in cursor.fetchall()]
        cursor.execute("SELECT document FROM catalog_revision ORDER BY id")
        return texts + [row[0] for row in cursor.fetchall()]


@pytest.fixture
def api(cast: Cast) -> API:
    return make_api(cast.acme, request_headers=RULES, response_headers={"set": {"X-Shop": SECRET}, "remove": []})


def test_what_was_encrypted_is_read_and_looks_different_every_time():
    ring = Ring(["one"])
    first, second = ring.encrypt(b"plain", b"row"), ring.encrypt(b"plain", b"row")
    assert first != second
    assert ring.decrypt(first, b"row") == ring.decrypt(second, b"row") == b"plain"


def test_the_first_key_encrypts_and_every_key_decrypts():
    old = Ring(["old"]).encrypt(b"plain", b"row")
    both = Ring([" new ", "old", ""])
    assert both.decrypt(old, b"row") == b"plain"
    new = both.encrypt(b"plain", b"row")
    assert (both.is_current(old), both.is_current(new)) == (False, True)
    assert Ring(["new"]).decrypt(new, b"row") == b"plain"


def test_a_key_that_is_gone_is_named():
    with pytest.raises(Undecipherable, match="FIELD_KEYS doesn't hold any more"):
        Ring(["new"]).decrypt(Ring(["old"]).encrypt(b"plain", b"row"), b"row")


def test_a_value_opens_for_its_own_row_alone():
    ring = Ring(["one"])
    with pytest.raises(Undecipherable, match="another row"):
        ring.decrypt(ring.encrypt(b"plain", b"row 1"), b"row 2")


@pytest.mark.parametrize("text", ["", "{}", '{"set": {}, "remove": []}', "AAAA", "AQ==", "\u00e9"])
def test_what_is_no_encrypted_value_is_said_to_be_none(text):
    with pytest.raises(Undecipherable):
        Ring(["one"]).decrypt(text, b"row")


@pytest.mark.parametrize("keys", [[], [""], [" "]])
def test_an_installation_without_a_key_is_told(keys):
    with pytest.raises(ImproperlyConfigured, match="FIELD_KEYS"):
        Ring(keys)


def test_header_rules_and_revisions_are_ciphertext_in_the_database(api: API):
    texts = stored()
    assert len(texts) == 3
    assert not any(word in text for text in texts for word in ("s3cret", "Authorization", "set", "{"))
    assert API.objects.get(pk=api.pk).request_headers == RULES
    assert Revision.objects.get(api=api).document["request_headers"] == RULES


def test_ciphertext_of_another_row_or_column_does_not_open(api: API, cast: Cast):
    other = make_api(cast.globex, "other", listen_path="/other/")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE catalog_api SET request_headers = (SELECT request_headers FROM catalog_api WHERE slug = 'products')"
        )
        cursor.execute("UPDATE catalog_api SET response_headers = request_headers WHERE slug = 'products'")
    assert API.objects.get(pk=api.pk).request_headers == RULES
    for row, name in ((other, "request_headers"), (api, "response_headers")):
        with pytest.raises(Undecipherable):
            getattr(API.objects.get(pk=row.pk), name)


def test_a_list_that_does_not_show_a_value_does_not_open_it(api: API, settings):
    settings.FIELD_KEYS = ["another"]
    row = API.objects.get(pk=api.pk)
    assert row.name
    with pytest.raises(Undecipherable):
        row.request_headers  # noqa: B018


def test_an_update_that_does_not_know_its_row_is_refused(api: API):
    with pytest.raises(TypeError, match="save the row"):
        API.objects.update(request_headers={})


def test_a_roll_back_reads_an_encrypted_revision(api: API, cast: Cast):
    api = api_update(actor=cast.alice, api=api, request_headers={"set": {}, "remove": []})
    assert api_rollback(actor=cast.alice, api=api, number=1).request_headers == RULES


def test_after_a_rotation_the_first_key_alone_opens_everything(api: API, settings, capsys):
    before, updated_at = stored(), API.objects.get(pk=api.pk).updated_at
    settings.FIELD_KEYS = ["new", *settings.FIELD_KEYS]
    call_command("reencrypt")
    assert "2 rows" in capsys.readouterr().out
    assert not set(before) & set(stored())
    settings.FIELD_KEYS = ["new"]
    row = API.objects.get(pk=api.pk)
    assert (row.request_headers, row.updated_at) == (RULES, updated_at)
    assert Revision.objects.get(api=api).document["request_headers"] == RULES
    again = stored()
    call_command("reencrypt")
    assert stored() == again


def test_a_rotation_without_the_old_key_changes_nothing_and_says_why(api: API, settings):
    before = stored()
    settings.FIELD_KEYS = ["new"]
    with pytest.raises(CommandError, match="FIELD_KEYS doesn't hold"):
        call_command("reencrypt")
    assert stored() == before


def test_values_of_header_rules_are_for_those_who_may_change_the_api(api: API, cast: Cast):
    api = api_update(actor=cast.alice, api=api, request_headers={"set": {"Authorization": SECRET + "2"}, "remove": []})
    first, second = Revision.objects.filter(api=api).order_by("number")
    for reader, may in ((cast.alice, True), (cast.bob, True), (cast.ada, True), (cast.vera, False)):
        shown = [document_for(reader, api), *(revision_document_for(reader, row) for row in (first, second))]
        shown += [revision_changes_for(reader, row) for row in (first, second)]
        assert [SECRET in str(one) for one in shown] == [may] * 5, reader
    assert document_for(cast.vera, api)["request_headers"]["set"] == {"Authorization": "(hidden)"}


def test_the_audit_log_never_holds_a_value_of_a_header_rule(api: API, cast: Cast):
    api_update(actor=cast.alice, api=api, request_headers={"set": {"Authorization": SECRET + "2"}, "remove": []})
    entries = list(Entry.objects.filter(target="products").values_list("changes", flat=True))
    assert entries
    assert SECRET not in str(entries)


def test_pages_and_rest_answers_show_no_values_to_a_viewer(api: API, cast: Cast, client):
    pages = [f"/apis/products/{page}" for page in ("", "traffic/", "settings/", "revisions/", "revisions/1/")]
    rest = [
        "/api/v1/apis/products/",
        "/api/v1/apis/",
        "/api/v1/apis/products/revisions/",
        "/api/v1/apis/products/revisions/1/",
    ]
    seen = {}
    for name, person in (("vera", cast.vera), ("bob", cast.bob)):
        client.force_login(person)
        answers = {address: client.get(address) for address in (*pages, *rest)}
        assert {answer.status_code for answer in answers.values()} == {200}
        seen[name] = {address for address, answer in answers.items() if "s3cret" in answer.content.decode()}
    assert seen["vera"] == set()
    assert seen["bob"] == {pages[1], pages[2], pages[4], *rest}
