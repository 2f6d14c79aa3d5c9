"""``manage.py revoke KEY_ID``: end a credential, with the receipt."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.access import services
from apps.access.models import Credential
from apps.fleet.receipts import wait_for_receipt
from apps.foundation.errors import Conflict
from apps.foundation.via import coming_by
from apps.tenants.actors import PLATFORM


class Command(BaseCommand):
    """The other credentials of its application go on working."""

    help = "Revoke an API key, or another credential of an application, and print the receipt."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which credential."""
        parser.add_argument(
            "key_id", type=int, metavar="KEY_ID", help="Its id, as the console and the REST API show it."
        )
        parser.add_argument("--comment", default="")

    @coming_by("command")
    def handle(self, *args: Any, key_id: int, comment: str, **options: Any) -> None:
        """Exit status: 0 in force on every worker, 3 on k of n, 1 refused and nothing changed."""
        try:
            key = Credential.objects.select_related("application__tenant").get(pk=key_id)
            services.key_revoke(actor=PLATFORM, key=key, comment=comment)
        except Credential.DoesNotExist:
            self.stderr.write(f"There is no key {key_id}. Nothing was changed.")
            raise SystemExit(1) from None
        except Conflict as error:
            self.stderr.write(f"{error} Nothing was changed.")
            raise SystemExit(1) from None
        receipt = wait_for_receipt()
        self.stdout.write(f"Revoked {key}: {receipt.sentence}")
        raise SystemExit(receipt.exit_status)
