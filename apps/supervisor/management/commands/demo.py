"""``manage.py demo``: makes the demo in an empty installation, or sends its traffic."""

import asyncio
import contextlib
import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.demo import traffic
from apps.demo.credentials import kept
from apps.supervisor.demo import demo_prepare


class Command(BaseCommand):
    """Without an option it makes tenants, APIs and keys; the next ``up`` serves their origin."""

    help = "Make the demo's tenants, APIs and keys (in an empty installation), or send its traffic."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do, and how much of it."""
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument("--traffic", action="store_true", help="call the gateway for a few minutes")
        kind.add_argument(
            "--steady",
            action="store_true",
            help=f"call the gateway {traffic.STEADY_RATE:g} time a second, until it is stopped",
        )
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
        if kept(settings.DATA_DIR) is not None:
            raise CommandError("The demo is here already.")
        demo = demo_prepare()
        if demo is None:
            raise CommandError("This installation has tenants of its own: the demo is made in an empty one only.")
        demo.listener.close()
        self.stdout.write("The demo is made; its origin runs with the next `manage.py up`, which shows the sign-ins.")

    def _send(self, rate: float, minutes: float | None = None) -> None:
        credentials = kept(settings.DATA_DIR)
        if credentials is None:
            raise CommandError("There is no demo in this installation: `manage.py demo` makes it.")
        if not 0 < rate <= 1000 or (minutes is not None and not 0 < minutes <= 1440):
            raise CommandError("--rate is up to 1000 calls a second, --minutes up to 1440.")
        os.nice(10)  # never in the way of what it is there to show
        with contextlib.suppress(KeyboardInterrupt):
            answered = asyncio.run(traffic.send(settings.GATEWAY_URL, credentials, rate=rate, minutes=minutes))
            self.stdout.write(f"The demo's traffic is over: {answered:,} calls answered.")
