"""``manage.py purge --api SLUG``: end cached responses, with the receipt."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError

from apps.caching.choices import PurgeKind
from apps.caching.models import Purge
from apps.catalog.models import API
from apps.fleet.receipts import wait_for_receipt
from apps.foundation.database_command import DatabaseCommand
from apps.foundation.errors import Conflict, Unavailable
from apps.foundation.via import coming_by
from apps.purging import services
from apps.tenants.actors import PLATFORM
from apps.warming.choices import WarmUpCause
from apps.warming.progress import see_through
from apps.warming.services import warm_up_check, warm_up_start


class Command(DatabaseCommand):
    """The whole API, one path with its variants, a path prefix, a tag, what an operation answered, or what is a
    tenant's or an application's own.
    """

    help = "Purge an API's cached responses and print the receipt."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to purge; paths are below the API's listen path."""
        parser.add_argument("--api", required=True, metavar="SLUG")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--path")
        what.add_argument("--prefix")
        what.add_argument("--tag")
        what.add_argument("--operation", help="Like 'GET /items/{id}'.")
        what.add_argument("--tenant", help="What is this tenant's own, like acme.")
        what.add_argument("--application", help="What is this application's own, like acme/bot.")
        parser.add_argument("--soft", action="store_true", help="Make entries stale instead of dead.")
        parser.add_argument("--warm", action="store_true", help="Then warm it up, as the API's policy says.")

    @coming_by("command")
    def handle(self, *args: Any, api: str, soft: bool, warm: bool, **options: Any) -> None:
        """Exit status: 0 in force on every worker, 3 on k of n, 1 refused and nothing changed. A warm-up's end says itself."""
        kind = next((kind for kind in PurgeKind.values if options.get(kind) is not None), "api")
        try:
            row = API.objects.select_related("tenant", "cache_policy").get(slug=api)
            if warm:
                warm_up_check(api=row)
            purge = services.purge(
                actor=PLATFORM, api=row, kind=PurgeKind(kind), value=options.get(kind) or "", soft=soft
            )
        except API.DoesNotExist:
            self.stderr.write(f"There is no API {api}. Nothing was changed.")
            raise SystemExit(1) from None
        except Unavailable as error:
            self.stderr.write(f"{error} Nothing was changed.")
            raise SystemExit(1) from None
        except ValidationError as error:
            self.stderr.write(f"{' '.join(error.messages)} Nothing was changed.")
            raise SystemExit(1) from None
        receipt = wait_for_receipt(purge_clock=purge.clock)
        services.receipt_note(
            purge=purge, workers=receipt.workers, in_force=receipt.in_force, slowest_ms=receipt.slowest_ms
        )
        self.stdout.write(f"Purged {purge}: {receipt.sentence}")
        if warm:
            self._warm(row, purge)
        raise SystemExit(receipt.exit_status)

    def _warm(self, api: API, purge: Purge) -> None:
        """Fetch responses anew, with a progress bar."""
        try:
            see_through(warm_up_start(actor=PLATFORM, api=api, cause=WarmUpCause.PURGE, mark=purge.pk), self.stdout)
        except Conflict as refusal:
            self.stderr.write(f"It is not warmed up: {refusal}")
