"""``manage.py administrator``: the first start of an installation without ``up``."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from apps.foundation.database_command import DatabaseCommand
from apps.supervisor.first_start import AdministratorWishes, administrator_make, administrator_token
from apps.tenants.egress import egress_announce


class Command(DatabaseCommand):
    """Does what the first ``up`` does: from ``APIMGR_ADMIN_*``, or with secrets made here and shown once."""

    help = "Make the first administrator, unless there is one."

    def handle(self, *args: Any, **options: Any) -> None:
        """Make it and say what was made; have gateways know what the environment says of egress. Raises ``CommandError`` when the
        environment's values can't be used."""
        egress_announce()
        try:
            wishes = AdministratorWishes.take()
            made = administrator_make(wishes)
            notice = "" if made else administrator_token(wishes)
        except ValidationError as error:
            raise CommandError(f"The first administrator can't be made: {' '.join(error.messages)}") from error
        if made is None:
            self.stdout.write("There is an administrator already.")
            if notice:
                self.stdout.write(notice)
            return
        self.stdout.write(f"Made the administrator {made.email}.")
        for name, secret in (("password", made.password), ("token", made.token)):
            if secret:
                self.stdout.write(f"  {name}, shown this once: {secret}")
