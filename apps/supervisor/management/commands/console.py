"""``manage.py console``: the console with the REST API, as one uvicorn process."""

import os
import socket
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand

from apimgr.environment import keep_private

DRAIN = 1  # seconds for responses that are under way when it is asked to stop

HEAD_BYTES = 64 * 1024
"""Bytes of a request's head; the other implementation of HTTP that uvicorn may find has no bound."""


class Command(BaseCommand):
    """Serves on the socket that the supervisor hands over, else on ``LISTEN_HOST``:``CONSOLE_PORT``."""

    help = "Serve the console and the REST API."

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until SIGTERM or Ctrl-C."""
        keep_private(settings.DATA_DIR)
        config = uvicorn.Config(
            "apimgr.asgi:application",
            host=settings.LISTEN_HOST,
            port=settings.CONSOLE_PORT,
            http="h11",
            h11_max_incomplete_event_size=HEAD_BYTES,
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="error",  # its warnings are about what clients sent
            server_header=False,
            # uvicorn believes X-Forwarded-For from loopback unless told otherwise.
            proxy_headers=bool(settings.TRUSTED_PROXIES),
            forwarded_allow_ips=settings.TRUSTED_PROXIES,
            timeout_graceful_shutdown=DRAIN,
        )
        descriptor = os.environ.get("CONSOLE_FD", "")
        sockets = [socket.socket(fileno=int(descriptor))] if descriptor else None
        uvicorn.Server(config).run(sockets=sockets)
