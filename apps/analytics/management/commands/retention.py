"""``manage.py retention``: delete what is older than it is kept, now."""

from typing import Any

from apps.analytics.retention import delete_old
from apps.foundation.database_command import DatabaseCommand


class Command(DatabaseCommand):
    """Delete calls and figures older than the settings say. Celery does the same each hour."""

    help = "Delete calls and figures that are older than they are kept."

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what went."""
        for kind, count in delete_old().items():
            self.stdout.write(f"{kind}: {count} deleted")
