"""``manage.py agent``: what each machine with gateways runs once."""

import os
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apimgr.environment import keep_private
from apps.foundation.ready import say_ready
from apps.supervisor import agent


class Command(BaseCommand):
    """Ship call records, sync them to the disk, keep the gateways' disk copy, until SIGTERM or SIGINT."""

    help = "Ship this machine's call records and keep its disk copy of configuration."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--workers",
            type=int,
            default=None,
            help="how many workers are kept running here: receipts say how many of them are still starting",
        )

    def handle(self, *args: Any, workers: int | None, **options: Any) -> None:
        """Run until told to stop."""
        os.nice(5)  # calls come first
        keep_private(settings.DATA_DIR)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        try:
            agent.run(
                spool=settings.SPOOL_DIR,
                budget=settings.SPOOL_BYTES,
                redis_url=settings.REDIS_URL,
                node=settings.NODE_NAME,
                disk_copy=settings.DATA_DIR / "gateway" / "copy",
                mac_key=settings.SNAPSHOT_MAC_KEY,
                trust_lease=settings.TRUST_LEASE,
                workers=workers,
                stop=stop,
                on_ready=say_ready,
            )
        except agent.AnotherAgent as error:
            raise CommandError(str(error)) from error
