"""``manage.py audit``: whether the audit log is as it was written, and what is in it."""

import argparse
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from apps.audit.chain import Head, read_head
from apps.audit.export import lines
from apps.audit.models import Entry
from apps.audit.verification import Broken, verify
from apps.foundation.database_command import DatabaseCommand
from apps.rest.times import read_time


def _head(text: str) -> Head:
    try:
        return read_head(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _time(text: str) -> datetime:
    try:
        return read_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class Command(DatabaseCommand):
    """Exit status: 0 the chain holds, 1 it doesn't."""

    help = "Check the audit log, or write it out."

    def add_arguments(self, parser: CommandParser) -> None:
        """``verify [--head NUMBER:HASH]…`` and ``export [--since TIME] [--until TIME] [--format jsonl]``."""
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
        export = acts.add_parser("export", help="Print entries as JSON lines, from the oldest on.")
        export.add_argument("--since", type=_time, help="entries from this time on, like 2026-01-31T12:00:00Z")
        export.add_argument("--until", type=_time, help="entries before this time")
        export.add_argument("--format", choices=["jsonl"], default="jsonl")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the head, or entries; raises ``CommandError`` for a chain that doesn't hold."""
        if options["act"] == "verify":
            self._verify(options["head"])
        else:
            self._export(options["since"], options["until"])

    def _export(self, since: datetime | None, until: datetime | None) -> None:
        span = {"at__gte": since, "at__lt": until}
        entries = Entry.objects.filter(**{name: time for name, time in span.items() if time is not None})
        for line in lines(entries.order_by("epoch")):
            self.stdout.write(line)

    def _verify(self, kept: list[Head]) -> None:
        try:
            last = verify(*kept)
        except Broken as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{last.epoch} entries are as they were written. Keep this head elsewhere: {last}")
