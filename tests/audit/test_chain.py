"""The chain of entries: what it is made of, and that nothing in it can be changed unnoticed."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from importlib import import_module
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import F
from django.test import override_settings

from apps.audit import append_only, chain, verification
from apps.audit.chain import Head
from apps.audit.models import Entry, Epoch
from apps.audit.services import change
from tests.support.audit_log import changeable
from tests.support.cast import Cast, make_api

pytestmark = pytest.mark.django_db


def act(number: int = 1, **fields: object) -> None:
    """So many changes."""
    for each in range(number):
        with change(actor=None, verb="x.do", target_type="x", target=str(each)) as noted:
            for name, after in fields.items():
                noted.field(name, None, after)


def said(*arguments: str) -> str:
    out = StringIO()
    call_command("audit", "verify", *arguments, stdout=out)
    return out.getvalue()


def forge(epoch: int, **values: object) -> None:
    """As who owns the database could."""
    with changeable():
        Entry.objects.filter(epoch=epoch).update(**values)


def test_each_entry_holds_the_hash_of_the_one_before_and_its_own():
    act(3)
    first, second, third = Entry.objects.order_by("epoch")
    assert (first.previous_hash, second.previous_hash, third.previous_hash) == ("", first.hash, second.hash)
    assert len({first.hash, second.hash, third.hash}) == 3
    assert verification.head() == Head(3, third.hash) == verification.verify()


def test_an_auditor_works_out_a_hash_with_a_few_lines():
    act(2, name="Grüße")
    entry = Entry.objects.values().get(epoch=2)
    left_out = {"id", "hash", "mac"}
    content = {name: value for name, value in entry.items() if name not in left_out and value not in ("", {}, [])}
    content["at"] = entry["at"].isoformat(timespec="microseconds")
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == entry["hash"]


def test_the_canonical_form_is_the_same_before_and_after_the_database():
    at = datetime(2026, 1, 31, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    entry = {
        "epoch": 7,
        "at": at,
        "verb": "x.do",
        "changes": {"b": (1.0, 1e22), "a": [0.5, {"é": -0.0}]},
        "affects": [],
    }
    expected = (
        r'{"at":"2026-01-31T12:00:00.000000+00:00","changes":{"a":[0.5,{"\u00e9":0}],"b":[1,10000000000000000000000]},'
        r'"epoch":7,"verb":"x.do"}'
    )
    assert chain.canonical(entry).decode() == expected
    assert chain.canonical(entry | {"at": at.astimezone(UTC), "comment": ""}).decode() == expected


def test_what_services_write_is_as_it_comes_back(cast: Cast):
    make_api(cast.platform, policy={"ttl": 60.0})
    act(1, numbers=[1.0, 1e22, 1e-7, -0.0, 10**20], text="\u20ac \U0001f600", nested={"k": (1, None, True)})
    assert verification.verify() == verification.head()


def test_the_command_prints_the_head_and_takes_one_that_was_kept():
    act(2)
    kept = verification.head()
    assert str(kept) in said()
    act(2)
    assert "4 entries are as they were written" in said("--head", str(kept), "--head", str(verification.head()))


def test_nothing_is_walked_in_an_empty_log():
    assert verification.verify() == Head(0, "")


@pytest.mark.parametrize(
    "values",
    [
        {"actor_email": "somebody@else.test"},
        {"changes": {"name": [None, "other"]}},
        {"at": F("at") + timedelta(microseconds=1)},
        {"hash": "0" * 64},
    ],
)
def test_an_entry_that_was_changed_is_named(values: dict[str, object]):
    act(4)
    forge(2, **values)
    with pytest.raises(CommandError, match=r"Entry 2 is not as it was written") as refused:
        said()
    assert refused.value.returncode == 1


def test_an_entry_that_was_removed_is_named(monkeypatch):
    monkeypatch.setattr(verification, "CHUNK", 2)
    act(5)
    with changeable():
        Entry.objects.filter(epoch=3).delete()
    with pytest.raises(CommandError, match=r"Entry 3 is missing: after entry 2 comes entry 4"):
        said()


def test_an_entry_that_was_replaced_with_its_hash_lacks_the_mac_of_the_installation():
    act(3)
    with override_settings(AUDIT_MAC_KEY=b"guessed"):
        entry = Entry.objects.values().get(epoch=3) | {"comment": "Forged"}
        forge(3, comment="Forged", **chain.links_of(entry)._asdict())
        Epoch.objects.update(head=chain.links_of(entry).hash)
    with pytest.raises(
        CommandError, match=r"Entry 3 was not written by this installation, or under another KEY_PEPPER"
    ):
        said()


def test_a_replaced_entry_breaks_the_chain_at_the_next():
    act(3)
    entry = Entry.objects.values().get(epoch=2) | {"comment": "Forged"}
    forge(2, comment="Forged", **chain.links_of(entry)._asdict())
    with pytest.raises(CommandError, match=r"Entry 3 does not follow entry 2"):
        said()


def test_last_entries_that_were_removed_are_missed():
    act(4)
    with changeable():
        Entry.objects.filter(epoch__gt=2).delete()
    with pytest.raises(CommandError, match=r"The chain ends with entry 2: entry 4 was there, and is missing"):
        said()


def test_a_chain_that_was_written_anew_meets_the_head_that_was_kept():
    """By somebody who has everything: database, secrets, program."""
    act(4)
    kept = verification.head()
    with changeable():
        Entry.objects.filter(epoch__gt=2).delete()
    Epoch.objects.update(n=2, head=Entry.objects.get(epoch=2).hash)
    act(1)
    assert "3 entries" in said()
    with pytest.raises(CommandError, match=r"The chain ends with entry 3: entry 4 was there"):
        said("--head", str(kept))
    act(1)
    with pytest.raises(CommandError, match=r"The last entry is not the one that was kept"):
        said("--head", str(kept))
    act(1)
    with pytest.raises(CommandError, match=rf"Entry 4 is not the one that was kept: {kept}"):
        said("--head", str(kept))


@pytest.mark.parametrize("text", ["", "4", "4:", "x:" + "0" * 64, "4:" + "g" * 64, "4:" + "0" * 63])
def test_what_is_no_head_is_refused(text: str):
    with pytest.raises(CommandError, match="is not a head"):
        said("--head", text)


def test_a_missing_trigger_is_told():
    act(1)
    append_only.drop(connection)
    with pytest.raises(CommandError, match=r"The database lacks audit_entry_\w+"):
        said()
    append_only.ensure(connection)
    assert said()


# The database's own refusals


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET comment = 'x'",
        "UPDATE audit_entry SET epoch = epoch + 1000 WHERE epoch = 1",
        "DELETE FROM audit_entry",
        "DELETE FROM audit_entry WHERE epoch = 1",
    ],
)
def test_the_database_refuses_to_change_or_delete_an_entry(statement: str):
    act(2)
    before = list(Entry.objects.values())
    with pytest.raises(IntegrityError, match="never"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert list(Entry.objects.values()) == before


def test_the_database_refuses_to_replace_an_entry():
    act(2)
    columns = (
        "id, epoch, at, actor_email, via, address, agent, request_id, verb, target_type, target, tenant_slug, comment"
    )
    columns += ", changes, affects, previous_hash, hash, mac"
    copy = columns.replace("comment", "'Forged'")
    insert = {
        "sqlite": f"INSERT OR REPLACE INTO audit_entry ({columns}) SELECT {copy} FROM audit_entry",
        "postgresql": f"INSERT INTO audit_entry ({columns}) SELECT {copy} FROM audit_entry "
        "ON CONFLICT (epoch) DO UPDATE SET comment = 'Forged'",
    }[connection.vendor]
    with pytest.raises(IntegrityError, match="never"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(insert)
    assert not Entry.objects.filter(comment="Forged").exists()


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no TRUNCATE, and no replicas")
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_postgresql_refuses_to_truncate_the_log_in_any_role(role: str):
    act(1)
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL session_replication_role = {role}")
        with pytest.raises(IntegrityError, match="never"), transaction.atomic():
            cursor.execute("TRUNCATE audit_entry")


def test_migrations_make_triggers_that_went_with_a_rebuilt_table():
    append_only.drop(connection)
    append_only.ensure_after_migrations(using="default")
    assert append_only.missing(connection) == []


@pytest.mark.django_db(transaction=True)
def test_an_upgrade_binds_the_entries_that_are_there(monkeypatch):
    migration = import_module("apps.audit.migrations.0005_append_only")
    monkeypatch.setattr(migration, "CHUNK", 2)
    newest = MigrationExecutor(connection).loader.graph.leaf_nodes()
    MigrationExecutor(connection).migrate([("audit", "0003_longer_targets")])
    try:
        old = MigrationExecutor(connection).loader.project_state([("audit", "0003_longer_targets")]).apps
        old.get_model("audit", "Epoch").objects.create(pk=1, n=5)
        for epoch in range(1, 6):
            old.get_model("audit", "Entry").objects.create(
                epoch=epoch, verb="x.do", target_type="x", changes={"ttl": [None, float(epoch)]}
            )
    finally:
        MigrationExecutor(connection).migrate(newest)
    assert verification.verify() == Head(5, Entry.objects.get(epoch=5).hash)
    act(1)
    assert verification.verify().epoch == 6
