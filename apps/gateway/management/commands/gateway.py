"""Run one gateway worker."""

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apimgr.environment import keep_private
from apps.gateway.server.worker import listening_socket, run


class Command(BaseCommand):
    help = "Run one gateway worker: on the socket that GATEWAY_FD or --fd names, else on GATEWAY_PORT."
    requires_system_checks: list[str] = []  # the control plane's checks are not a gateway's business

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--worker", type=int, default=0, help="this worker's number on this machine")
        parser.add_argument("--fd", type=int, default=None, help="an inherited listening socket")

    def handle(self, *args: Any, worker: int, fd: int | None, **options: Any) -> None:
        inherited = os.environ.get("GATEWAY_FD", "")
        if fd is None and inherited:
            fd = int(inherited)
        keep_private(settings.DATA_DIR)
        try:
            listener = listening_socket(fd)
        except OSError as error:
            raise CommandError(f"The gateway can't listen on port {settings.GATEWAY_PORT}: {error.strerror}.") from None
        run(worker, listener)
