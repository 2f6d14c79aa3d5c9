"""Management commands that need the database: where it is away, or its tables are of another version, they say what to do."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, ProgrammingError, connections
from django.db.migrations.executor import MigrationExecutor


class DatabaseCommand(BaseCommand):
    """A command that reads or writes rows."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run it. Raises ``CommandError`` in place of what the database says of its being away, or of tables that it lacks."""
        try:
            return super().execute(*args, **options)
        except (OperationalError, ProgrammingError) as error:
            if not (sentence := _what_to_do(error)):
                raise
            raise CommandError(sentence) from None


def _what_to_do(error: DatabaseError) -> str:
    """A sentence for who started the command; empty where the database is there, and as this version has it."""
    try:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        outstanding = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return f"The database can't be reached: {error}".strip()
    if not outstanding:
        return ""
    return "The database isn't as this version has it: run `manage.py migrate` first, or `manage.py up`, which does so."
