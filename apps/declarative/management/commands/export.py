"""``manage.py export``: the platform as a declarative file."""

import json
from argparse import ArgumentParser
from typing import Any

from apps.declarative.exporting import as_yaml, export
from apps.foundation.database_command import DatabaseCommand


class Command(DatabaseCommand):
    """Secrets are left out; applied again, the file keeps the keys that exist."""

    help = "Write the platform as a declarative file to standard output."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The form."""
        parser.add_argument("--format", choices=["yaml", "json"], default="yaml")

    def handle(self, *args: Any, format: str, **options: Any) -> None:
        """Print the file."""
        data = export()
        self.stdout.write(
            json.dumps(data, indent=2, ensure_ascii=False) if format == "json" else as_yaml(data), ending=""
        )
