"""``manage.py roll``: restart the gateway's workers one by one."""

import os
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.supervisor.data_lock import holder


class Command(BaseCommand):
    """Tells the ``up`` that runs with this data directory; its log says how far it is."""

    help = "Restart the gateway's workers one by one, without failing a call."

    def handle(self, *args: Any, **options: Any) -> None:
        """Send the signal. Raises ``CommandError`` when no ``up`` runs."""
        pid = holder(settings.DATA_DIR)
        if pid is None:
            raise CommandError(f"No `manage.py up` runs with the data directory {settings.DATA_DIR}.")
        os.kill(pid, signal.SIGUSR1)
        self.stdout.write(f"Asked process {pid} to roll the gateway's workers.")
