"""The entries that are there get their place in the chain, a thousand at a time; from then on the database refuses changes."""

from typing import Any

from django.db import migrations

from apps.audit import append_only, chain

CHUNK = 1_000


def bind(apps: Any, schema_editor: Any) -> None:
    database = schema_editor.connection.alias
    entries = apps.get_model("audit", "Entry").objects.using(database)
    epoch, last = 0, ""
    while rows := list(entries.filter(epoch__gt=epoch).order_by("epoch")[:CHUNK]):
        for row in rows:
            row.previous_hash = last
            row.hash, row.mac = chain.links_of(vars(row))
            epoch, last = row.epoch, row.hash
        entries.bulk_update(rows, ["previous_hash", "hash", "mac"], batch_size=100)
    apps.get_model("audit", "Epoch").objects.using(database).filter(pk=1).update(head=last)


def refuse_changes(apps: Any, schema_editor: Any) -> None:
    append_only.ensure(schema_editor.connection)


def allow_changes(apps: Any, schema_editor: Any) -> None:
    append_only.drop(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0004_chain"),
        ("catalog", "0004_host_names"),  # which writes an entry that has no hash
    ]

    operations = [
        migrations.RunPython(bind, migrations.RunPython.noop),
        migrations.RunPython(refuse_changes, allow_changes),
    ]
