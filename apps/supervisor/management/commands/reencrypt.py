"""``manage.py reencrypt``: after a new key was put first in FIELD_KEYS."""

from typing import Any

from django.core.management.base import CommandError

from apps.foundation.database_command import DatabaseCommand
from apps.foundation.secrets import Undecipherable, reencrypt
from apps.tenants.sign_in import reencrypt_second_factors


class Command(DatabaseCommand):
    """Encrypts with the first key of FIELD_KEYS what older ones encrypted. Afterwards the older ones may go."""

    help = "Encrypt with the first key of FIELD_KEYS whatever an older one encrypted; the older ones may go then."

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, and say how many rows that were."""
        try:
            count = reencrypt() + reencrypt_second_factors()
        except Undecipherable as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{count} rows encrypted anew. The first key of FIELD_KEYS opens everything.")
