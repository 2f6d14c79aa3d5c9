"""Purges and their receipts."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse

from apps.caching.models import Purge
from apps.catalog.models import API
from apps.console.form_responses import done
from apps.console.page_access import SignedInRequest
from apps.console.tables import warm_up_url
from apps.fleet.receipts import wait_for_receipt
from apps.foundation.errors import Conflict
from apps.purging.services import receipt_note
from apps.warming.choices import WarmUpCause
from apps.warming.services import warm_up_start


def purge_with_receipt(
    request: SignedInRequest, api: API, made: Purge, to: str, *, warm_up: bool = False
) -> HttpResponse:
    """Wait for the gateways (5 s at most), note what they said beside the purge, and tell the reader.

    ``warm_up`` begins one afterwards, and leads to its page.
    """
    receipt = wait_for_receipt(purge_clock=made.clock)
    receipt_note(purge=made, workers=receipt.workers, in_force=receipt.in_force, slowest_ms=receipt.slowest_ms)
    what = f"{made.get_kind_display()} {made.value}".strip()
    level = messages.SUCCESS if receipt.complete else messages.WARNING
    said = f"Purged of {made.api_slug}: {what}: {receipt.sentence}."
    if warm_up:
        try:
            to = warm_up_url(warm_up_start(actor=request.user, api=api, cause=WarmUpCause.PURGE, mark=made.pk))
        except (Conflict, ValidationError) as refused:
            level, reason = messages.WARNING, " ".join(getattr(refused, "messages", [str(refused)]))
            said += f" No warm-up was begun: {reason}"
    return done(request, to, said, level, stays=True)
