"""``manage.py audit``: whether the audit log is as it was written."""

import argparse
from typing import Any

from django.core.management.base import CommandError, CommandParser

from apps.audit.chain import Head, read_head
from apps.audit.verification import Broken, verify
from apps.foundation.database_command import DatabaseCommand


def _head(text: str) -> Head:
    try:
        return read_head(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class Command(DatabaseCommand):
    """Exit status: 0 the chain holds, 1 it doesn't."""

    help = "Check the audit log."

    def add_arguments(self, parser: CommandParser) -> None:
        """``verify [--head NUMBER:HASH]…``."""
        acts = parser.add_subparsers(dest="act", required=True)
        check = acts.add_parser("verify", help="Walk the chain of entries; name the first that is wrong, or the last.")
        check.add_argument(
            "--head",
            action="append",
            default=[],
            type=_head,
            metavar="NUMBER:HASH",
            help="a head that was kept elsewhere, which must still be there; as often as you like",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the head; raises ``CommandError`` for a chain that doesn't hold."""
        self._verify(options["head"])

    def _verify(self, kept: list[Head]) -> None:
        try:
            last = verify(*kept)
        except Broken as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{last.epoch} entries are as they were written. Keep this head elsewhere: {last}")
