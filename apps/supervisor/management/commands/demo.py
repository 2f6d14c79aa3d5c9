"""``manage.py demo``: makes the demo in an empty installation, sends its traffic, or makes up its past."""

import asyncio
import contextlib
import os
import time
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone

from apps.analytics import synthetic
from apps.demo import history, traffic
from apps.demo.credentials import Credentials, kept
from apps.foundation.database_command import DatabaseCommand
from apps.foundation.field_names import duration
from apps.supervisor.demo import demo_prepare


class Command(DatabaseCommand):
    """Without an option it makes tenants, APIs and keys; the next ``up`` serves their origin."""

    help = "Make the demo's tenants, APIs and keys (in an empty installation), send its traffic, or make up its past."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do, and how much of it."""
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument("--traffic", action="store_true", help="call the gateway for a few minutes")
        kind.add_argument(
            "--steady",
            action="store_true",
            help=f"call the gateway {traffic.STEADY_RATE:g} time a second, until it is stopped",
        )
        kind.add_argument(
            "--history",
            metavar="TIME",
            help="make up that much of a past, like 30d, up to the first real call; every figure of it is marked as synthetic",
        )
        kind.add_argument("--remove-history", action="store_true", help="delete what --history made")
        parser.add_argument("--rate", type=float, default=traffic.RATE, help="calls a second (default %(default)g)")
        parser.add_argument("--minutes", type=float, default=traffic.MINUTES, help="for how long (default %(default)g)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it. Raises ``CommandError`` when there is no demo, or no room for one."""
        if options["traffic"]:
            self._send(options["rate"], options["minutes"])
            return
        if options["steady"]:
            self._send(traffic.STEADY_RATE)
            return
        if options["remove_history"]:
            self.stdout.write(f"The made-up history is gone: {synthetic.remove():,} calls.")
            return
        if options["history"]:
            self._make_history(options["history"])
            return
        if kept(settings.DATA_DIR) is not None:
            raise CommandError("The demo is here already.")
        demo = demo_prepare()
        if demo is None:
            raise CommandError("This installation has tenants of its own: the demo is made in an empty one only.")
        demo.listener.close()
        self.stdout.write("The demo is made; its origin runs with the next `manage.py up`, which shows the sign-ins.")

    def _make_history(self, text: str) -> None:
        self._credentials()
        try:
            length = timedelta(seconds=duration(text))
        except ValueError as error:
            raise CommandError(f"--history: {error}") from None
        if not history.SHORTEST <= length <= history.LONGEST:
            raise CommandError(f"--history is between {history.SHORTEST.days}d and {history.LONGEST.days}d.")
        began = time.monotonic()
        try:
            made = history.make(length, now=timezone.now(), on_progress=self._show_progress)
        except ValueError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"Made up {made.calls:,} calls, {made.logged:,} of them in the call log, in {time.monotonic() - began:.0f} s. "
            "Every page that counts them says so; `manage.py demo --remove-history` deletes them."
        )

    def _show_progress(self, share: float) -> None:
        if self.stdout.isatty():
            self.stdout.write(f"\r{share:4.0%}", ending="\n" if share == 1 else "")
            self.stdout.flush()

    def _credentials(self) -> Credentials:
        credentials = kept(settings.DATA_DIR)
        if credentials is None:
            raise CommandError("There is no demo in this installation: `manage.py demo` makes it.")
        return credentials

    def _send(self, rate: float, minutes: float | None = None) -> None:
        credentials = self._credentials()
        if not 0 < rate <= 1000 or (minutes is not None and not 0 < minutes <= 1440):
            raise CommandError("--rate is up to 1000 calls a second, --minutes up to 1440.")
        os.nice(10)  # never in the way of what it is there to show
        with contextlib.suppress(KeyboardInterrupt):
            answered = asyncio.run(traffic.send(settings.GATEWAY_URL, credentials, rate=rate, minutes=minutes))
            self.stdout.write(f"The demo's traffic is over: {answered:,} calls answered.")
