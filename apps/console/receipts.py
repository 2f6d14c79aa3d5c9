"""Purges and their receipts."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from apps.caching.models import Purge
from apps.caching.services import receipt_note
from apps.console.answers import done
from apps.fleet.receipts import wait_for_receipt


def purge_with_receipt(request: HttpRequest, purge: Purge, to: str) -> HttpResponse:
    """Wait for the gateways (5 s at most), note what they said beside the purge, and tell the reader."""
    receipt = wait_for_receipt(purge_clock=purge.clock)
    receipt_note(purge=purge, workers=receipt.workers, in_force=receipt.in_force, slowest_ms=receipt.slowest_ms)
    what = f"{purge.get_kind_display()} {purge.value}".strip()
    level = messages.SUCCESS if receipt.complete else messages.WARNING
    return done(request, to, f"Purged of {purge.api_slug}: {what}: {receipt.sentence}.", level)
