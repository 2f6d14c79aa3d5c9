"""``manage.py warm --api SLUG``: fetch an API's answers before callers ask for them, with a progress bar."""

import time
import uuid
from argparse import ArgumentParser
from contextlib import suppress
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, OutputWrapper

from apps.audit.services import via
from apps.catalog.models import API
from apps.errors import Conflict
from apps.tenants.actors import PLATFORM
from apps.warming.choices import WarmUpState
from apps.warming.fetching import Fetcher
from apps.warming.models import WarmUp
from apps.warming.progress import Progress
from apps.warming.running import claim, work
from apps.warming.services import warm_up_cancel, warm_up_start
from apps.words import by_path, sentences

SLICE = 3600.0
LOOK_AGAIN = 0.5
"""Seconds between two looks at a warm-up that another process works on, or that waits for an earlier one."""


class Command(BaseCommand):
    """Named URLs, the most called ones of the last day, or what the API's policy says."""

    help = "Warm an API's cache up and show how far it is. Ctrl-C cancels."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to fetch, and how fast."""
        parser.add_argument("--api", required=True, metavar="SLUG")
        parser.add_argument(
            "--url", action="append", default=[], metavar="U", help="A path below the listen path, or a whole URL."
        )
        parser.add_argument("--top", type=int, default=0, metavar="N", help="So many of the last day's most called.")
        parser.add_argument("--rate", default="", metavar="R", help="Calls at most, like 10/s (the default) or 30/m.")

    def handle(self, *args: Any, api: str, url: list[str], top: int, rate: str, **options: Any) -> None:
        """Exit status: 0 done, 1 refused, failed or cancelled."""
        via.set("command")
        try:
            row = API.objects.select_related("tenant", "cache_policy").get(slug=api)
            warm_up = warm_up_start(actor=PLATFORM, api=row, urls=url, top=top, rate=rate)
        except API.DoesNotExist:
            self._refuse(f"There is no API {api}.")
        except ValidationError as refusal:
            self._refuse(" ".join(sentences(by_path(refusal))))
        except Conflict as refusal:
            self._refuse(str(refusal))
        run(warm_up, self.stdout)
        raise SystemExit(0 if warm_up.state == WarmUpState.DONE else 1)

    def _refuse(self, told: str) -> None:
        self.stderr.write(f"{told} Nothing was changed.")
        raise SystemExit(1)


def run(warm_up: WarmUp, out: OutputWrapper) -> None:
    """Work on a warm-up to its end, or look on where another process does; tell of it on ``out``. Ctrl-C cancels it."""
    progress, worker = Progress(out), uuid.uuid4().hex
    try:
        while not warm_up.is_over:
            mine = claim(worker, only=warm_up)
            if mine:
                with Fetcher() as fetcher:
                    work(mine, fetcher.submit, until=time.monotonic() + SLICE, saved=progress.tell)
            warm_up.refresh_from_db()
            if not warm_up.is_over:
                progress.tell(warm_up)
                time.sleep(LOOK_AGAIN)
    except KeyboardInterrupt:
        with suppress(Conflict):  # it was over at that moment
            warm_up_cancel(actor=PLATFORM, warm_up=warm_up)
    progress.end(warm_up)
