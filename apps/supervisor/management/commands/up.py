"""``manage.py up``: everything on this machine, until Ctrl-C."""

import asyncio
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from apps.supervisor import up


class Command(BaseCommand):
    """Starts, watches, restarts and stops the processes of an installation."""

    help = "Start everything that an installation on one machine needs, and stop it at Ctrl-C."
    requires_system_checks = []  # the children check; a second time would double the start

    def add_arguments(self, parser: ArgumentParser) -> None:
        """``--no-demo``."""
        parser.add_argument("--no-demo", action="store_true", help="start empty (also DEMO=0)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until told to stop; exits with status 1 when it can't start."""
        demo = not options["no_demo"] and settings.DEMO
        sys.exit(asyncio.run(up.run(demo=demo)))
