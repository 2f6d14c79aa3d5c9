"""``manage.py events``: purge on the messages of origins' systems."""

import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.invalidation.consumer import CannotConsume, Events


class Command(BaseCommand):
    """Runs until stopped. ``up`` starts it where ``INVALIDATION_URL`` is set."""

    help = "Consume invalidation messages from INVALIDATION_URL and purge what they name."

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit status: 0 after a stop, 1 where there is nothing to consume."""
        if not settings.INVALIDATION_URL:
            raise CommandError("INVALIDATION_URL names no broker: see docs/configuration.md.")
        try:
            events = Events(settings.INVALIDATION_URL, settings.INVALIDATION_QUEUE)
        except CannotConsume as error:
            raise CommandError(str(error)) from None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: events.stop())
        events.run(safety_interval=0.5)  # seconds between two looks at whether to stop
