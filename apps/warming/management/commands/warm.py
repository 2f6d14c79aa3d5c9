"""``manage.py warm --api SLUG``: fetch an API's responses ahead of demand, with a progress bar."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError

from apps.catalog.models import API
from apps.foundation.database_command import DatabaseCommand
from apps.foundation.errors import Conflict
from apps.foundation.field_names import by_path, sentences
from apps.foundation.via import coming_by
from apps.tenants.actors import PLATFORM
from apps.warming.choices import WarmUpState
from apps.warming.progress import see_through
from apps.warming.services import warm_up_start


class Command(DatabaseCommand):
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

    @coming_by("command")
    def handle(self, *args: Any, api: str, url: list[str], top: int, rate: str, **options: Any) -> None:
        """Exit status: 0 done, 1 refused, failed or cancelled."""
        try:
            row = API.objects.select_related("tenant", "cache_policy").get(slug=api)
            warm_up = warm_up_start(actor=PLATFORM, api=row, urls=url, top=top, rate=rate)
        except API.DoesNotExist:
            self._refuse(f"There is no API {api}.")
        except ValidationError as refusal:
            self._refuse(" ".join(sentences(by_path(refusal))))
        except Conflict as refusal:
            self._refuse(str(refusal))
        see_through(warm_up, self.stdout)
        raise SystemExit(0 if warm_up.state == WarmUpState.DONE else 1)

    def _refuse(self, told: str) -> None:
        self.stderr.write(f"{told} Nothing was changed.")
        raise SystemExit(1)
