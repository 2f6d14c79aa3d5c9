"""The database itself refuses to change or delete an audit entry, whoever asks: triggers, on PostgreSQL and on SQLite.

Nothing switches them off: who owns the database can drop them, and what is changed then breaks the chain (``chain.py``).
``manage.py audit verify`` says when they are missing.
"""

from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

TABLE = "audit_entry"

SQLITE = {
    "audit_entry_no_update": """CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry
        BEGIN SELECT RAISE(ABORT, 'An audit entry is never changed.'); END""",
    "audit_entry_no_delete": """CREATE TRIGGER audit_entry_no_delete BEFORE DELETE ON audit_entry
        BEGIN SELECT RAISE(ABORT, 'An audit entry is never deleted.'); END""",
    # INSERT OR REPLACE deletes the row that is in its way, and no trigger hears of that.
    "audit_entry_no_replace": """CREATE TRIGGER audit_entry_no_replace BEFORE INSERT ON audit_entry
        WHEN EXISTS (SELECT 1 FROM audit_entry WHERE id = NEW.id OR epoch = NEW.epoch)
        BEGIN SELECT RAISE(ABORT, 'An audit entry is never replaced.'); END""",
}

FUNCTION = """CREATE OR REPLACE FUNCTION audit_entry_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'An audit entry is never changed and never deleted.' USING ERRCODE = 'integrity_constraint_violation';
    END $$"""
POSTGRESQL = {
    # ALWAYS: even in a session that pretends to be a replica.
    "audit_entry_append_only": f"""CREATE OR REPLACE TRIGGER audit_entry_append_only
        BEFORE UPDATE OR DELETE OR TRUNCATE ON {TABLE}
        FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_is_append_only();
        ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER audit_entry_append_only""",
}


def triggers_of(connection: BaseDatabaseWrapper) -> dict[str, str]:
    """The triggers that a database is to have: the statement that makes it, by name."""
    return SQLITE if connection.vendor == "sqlite" else POSTGRESQL


def missing(connection: BaseDatabaseWrapper) -> list[str]:
    """The triggers that a database lacks, or that somebody has switched off. One query."""
    if connection.vendor == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s"
    else:
        query = "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND tgenabled = 'A'"
    with connection.cursor() as cursor:
        cursor.execute(query, [TABLE])
        there = {name for (name,) in cursor.fetchall()}
    return [name for name in triggers_of(connection) if name not in there]


def ensure(connection: BaseDatabaseWrapper) -> None:
    """Make the triggers that are missing. SQLite's way of altering a table, which is to copy it, loses them."""
    for name in missing(connection):
        with connection.cursor() as cursor:
            if connection.vendor != "sqlite":
                cursor.execute(FUNCTION)
            cursor.execute(triggers_of(connection)[name])


def drop(connection: BaseDatabaseWrapper) -> None:
    """Take the triggers away: for a migration backwards. Nothing else here calls it."""
    on = "" if connection.vendor == "sqlite" else f" ON {TABLE}"
    with connection.cursor() as cursor:
        for name in triggers_of(connection):
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{on}")


def ensure_after_migrations(using: str, **kwargs: Any) -> None:
    """After each ``migrate`` that left the table of entries there."""
    connection = connections[using]
    if TABLE in connection.introspection.table_names():
        ensure(connection)
