"""``manage.py revoke``: end a credential, a token, what a subject or an application has, or all of a tenant, with the receipt."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from apps.access import services
from apps.access.models import Application, Credential, Issuer
from apps.fleet.receipts import wait_for_receipt
from apps.foundation.database_command import DatabaseCommand
from apps.foundation.errors import Conflict
from apps.foundation.via import coming_by
from apps.tenants.actors import PLATFORM
from apps.tenants.models import Tenant
from apps.tenants.services import tenant_suspend


class Missing(Exception):
    """What was named isn't there."""


class Command(DatabaseCommand):
    """One thing at a time: what was ended is said, and on how many workers that is in force."""

    help = "Revoke a credential, a token, a subject's tokens or an application's credentials, or suspend a tenant."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to end."""
        parser.add_argument(
            "key_id",
            type=int,
            nargs="?",
            metavar="KEY_ID",
            help="A credential's id, as the console and the REST API show it.",
        )
        parser.add_argument("--jti", help="The ID of a token.")
        parser.add_argument(
            "--subject", help="Whose tokens that were issued until now are over; with --jti, whose it is."
        )
        parser.add_argument(
            "--issuer", help="The slug of their issuer. Needed for a subject; of a token, without it: all."
        )
        parser.add_argument("--application", metavar="TENANT/SLUG", help="All of its credentials.")
        parser.add_argument("--tenant", metavar="SLUG", help="It is suspended: all of its credentials are refused.")
        parser.add_argument("--comment", default="")

    @coming_by("command")
    def handle(self, *args: Any, **options: Any) -> None:
        """Exit status: 0 in force on every worker, 3 on k of n, 1 refused and nothing changed."""
        try:
            done = self._revoke(options)
        except (Missing, Conflict) as error:
            self.stderr.write(f"{error} Nothing was changed.")
            raise SystemExit(1) from None
        except ValidationError as error:
            self.stderr.write(f"{' '.join(error.messages)} Nothing was changed.")
            raise SystemExit(1) from None
        receipt = wait_for_receipt()
        self.stdout.write(f"{done}: {receipt.sentence}")
        raise SystemExit(receipt.exit_status)

    def _revoke(self, options: dict[str, Any]) -> str:
        """What was done."""
        token = options["jti"] if options["jti"] is not None else options["subject"]
        named = [name for name in ("key_id", "application", "tenant") if options[name] is not None]
        if len(named) + (token is not None) != 1:
            raise CommandError("Name one of KEY_ID, --jti, --subject, --application and --tenant.")
        comment = options["comment"]
        if token is not None:
            return _revoke_tokens(options, comment)
        if options["key_id"] is not None:
            key = _found(Credential.objects.select_related("application__tenant"), "key", pk=options["key_id"])
            return f"Revoked {services.key_revoke(actor=PLATFORM, key=key, comment=comment)}"
        if options["application"] is not None:
            tenant, _, slug = options["application"].partition("/")
            rows = Application.objects.select_related("tenant")
            application = _found(rows, "application", options["application"], tenant__slug=tenant, slug=slug)
            ended = services.keys_revoke(actor=PLATFORM, application=application, comment=comment)
            return f"Revoked {len(ended)} credentials of {options['application']}"
        tenant = _found(Tenant.objects.all(), "tenant", slug=options["tenant"])
        return f"Suspended {tenant_suspend(actor=PLATFORM, tenant=tenant, comment=comment).slug}"


def _revoke_tokens(options: dict[str, Any], comment: str) -> str:
    jti, subject, slug = options["jti"], options["subject"], options["issuer"]
    if slug is None and jti is None:
        raise CommandError("Name the --issuer of the subject.")
    rows = Issuer.objects.select_related("tenant")
    issuers = list(rows) if slug is None else [_found(rows, "issuer", slug=slug)]
    if not issuers:
        raise Missing("There is no issuer.")
    for issuer in issuers:
        if jti is not None:
            services.token_revoke(actor=PLATFORM, issuer=issuer, jti=jti, subject=subject or "", comment=comment)
        else:
            services.subject_revoke(actor=PLATFORM, issuer=issuer, subject=subject, comment=comment)
    what = "the token" if jti is not None else "all tokens until now of the subject"
    return f"Revoked {what} at {', '.join(map(str, issuers))}"


def _found(rows: Any, noun: str, called: object = None, **terms: Any) -> Any:
    found = rows.filter(**terms).first()
    if found is None:
        raise Missing(f"There is no {noun} {called if called is not None else next(iter(terms.values()))}.")
    return found
