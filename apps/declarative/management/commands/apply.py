"""``manage.py apply FILE``: make the platform what a declarative file says."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from apps.declarative.applying import apply
from apps.declarative.reader import FileError, read_file
from apps.fleet.receipts import wait_for_receipt
from apps.foundation.database_command import DatabaseCommand
from apps.foundation.via import coming_by


class Command(DatabaseCommand):
    """Plan lines start with ``+ ``, ``~ `` or ``- ``; no other line does."""

    help = (
        "Make the platform what a declarative file (YAML or JSON) says. A bad file changes nothing and names the line."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The file and two switches."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="Say what would change, and change nothing.")
        parser.add_argument("--prune", action="store_true", help="Also remove what the file's lists don't name.")

    @coming_by("command")
    def handle(self, *args: Any, file: Path, dry_run: bool, prune: bool, **options: Any) -> None:
        """Exit status: 0 in force on every worker, 3 on k of n, 1 refused and nothing changed."""
        try:
            lines = apply(read_file(file), prune=prune, dry_run=dry_run)
        except FileError as error:
            for problem in error.problems:
                self.stderr.write(problem)
            self.stderr.write("Nothing was changed.")
            raise SystemExit(1) from None
        for line in lines:
            self.stdout.write(line)
        if dry_run:
            self.stdout.write("Dry run: nothing was changed.")
            return
        if not lines:
            self.stdout.write("Nothing to change.")
        receipt = wait_for_receipt()
        self.stdout.write(receipt.sentence)
        raise SystemExit(receipt.exit_status)
