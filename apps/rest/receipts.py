"""Receipts in answers: what the gateways said of a change, before its author hears that it is made."""

from typing import Any

from rest_framework import serializers

from apps.rest.fields import Measured
from apps.rest.hooks import receipt_wanted


class ReceiptSerializer(serializers.Serializer):
    """On how many gateway workers a change is in force, and what is known of the others."""

    workers = serializers.IntegerField(help_text="Gateway workers that counted.")
    in_force = serializers.IntegerField(help_text="Of those, how many answer by the change already.")
    slowest_ms = Measured(allow_null=True, help_text="Until the slowest of them did.")
    everywhere_by = serializers.DateTimeField(
        allow_null=True, help_text="When the change is in force on all of them at the latest, if it isn't yet."
    )
    copies_behind = serializers.IntegerField(
        help_text="Disk copies that aren't that far yet: a worker that started from one may be as old as it is."
    )
    starting = serializers.IntegerField(help_text="Workers that are starting. They will serve nothing older than this.")
    sentence = serializers.CharField()


class WithReceipt(serializers.Serializer):
    """An object whose changes the gateways hear of. ``receipt`` is in the response to a change alone."""

    receipt = ReceiptSerializer(read_only=True, required=False)


def wait_for_receipt(purge_clock: int | None = None) -> object:
    """The receipt of the last change, in the attributes that ``ReceiptSerializer`` shows. Waits for the gateways, 5 s at most."""
    [receipt] = receipt_wanted(purge_clock)
    return receipt


def with_receipt(changed: Any, *, purge_clock: int | None = None) -> Any:
    """``changed`` with the receipt of its last change on it. Waits for the gateways, 5 s at most."""
    changed.receipt = wait_for_receipt(purge_clock)
    return changed
