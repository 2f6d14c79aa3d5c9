"""The call log, figures by minute, hour and day, and what is known of records that came and of those that didn't."""

import uuid
from collections.abc import Sequence
from hashlib import blake2b

from django.db import models

from apps.analytics.choices import Level, LossCause, Period
from apps.analytics.figures import Figures, decode
from apps.foundation.constraints import Check, known


class CallRecord(models.Model):
    """One call, as a gateway recorded it (``apps.wire.call_records``): durations in milliseconds, sizes in bytes."""

    call_id = models.CharField(max_length=32, unique=True)
    request_id = models.CharField(max_length=128, blank=True)
    at = models.DateTimeField()
    api = models.CharField(max_length=64, blank=True)
    revision = models.PositiveIntegerField(default=0)
    operation = models.CharField(max_length=311, blank=True)
    tenant = models.CharField(max_length=64, blank=True, help_text="The caller's.")
    application = models.CharField(max_length=129, blank=True, help_text="Like acme/bot.")
    key_id = models.PositiveBigIntegerField(default=0)
    plan = models.CharField(max_length=64, blank=True)
    method = models.CharField(max_length=32)
    host = models.CharField(max_length=255, blank=True)
    path = models.CharField(max_length=2048)
    status = models.PositiveSmallIntegerField()
    code = models.CharField(max_length=64, blank=True)
    cache = models.CharField(max_length=16)
    reason = models.CharField(max_length=64, blank=True)
    duration = models.FloatField()
    upstream_duration = models.FloatField(default=0)
    upstream_status = models.PositiveSmallIntegerField(default=0)
    upstream = models.CharField(max_length=255, blank=True)
    request_bytes = models.PositiveBigIntegerField(default=0)
    response_bytes = models.PositiveBigIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    flags = models.JSONField(default=list)
    trace = models.JSONField(default=list, help_text="[stage, decision, milliseconds from the start] of each decision.")
    cache_key = models.CharField(
        max_length=32, blank=True, default="", help_text="A quarter of the key's digest; empty: none."
    )
    cause = models.CharField(
        max_length=32, blank=True, default="", help_text="Why the last upstream call that failed did; empty: none did."
    )

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [
            models.Index(fields=["-at", "-id"], name="calls_by_time"),
            models.Index(fields=["api", "-at"], name="calls_of_an_api"),
            models.Index(fields=["tenant", "-at"], name="calls_of_a_tenant"),
            models.Index(fields=["application", "-at"], name="calls_of_an_application"),
            models.Index(fields=["request_id"], name="calls_by_request_id"),
            models.Index(fields=["api", "-at"], condition=~models.Q(cause=""), name="failures_of_an_api"),
        ]

    def __str__(self) -> str:
        return f"{self.call_id} {self.method} {self.path} {self.status}"


def roll_up_id(period: int, bucket: float, level: str, names: Sequence[str], *, synthetic: bool = False) -> uuid.UUID:
    """The key of a row of figures, made of what it is about: a call alone says which rows it belongs to.

    ``bucket`` in Unix seconds; ``names`` are api, tenant, application and operation, those that the level doesn't fill empty.
    """
    text = "\0".join((str(period), str(int(bucket)), level, *names, *(["synthetic"] if synthetic else [])))
    return uuid.UUID(bytes=blake2b(text.encode(), digest_size=16).digest())


class ContractReport(models.Model):
    """Something in which calls of an API were not as its OpenAPI document has them: how often since it was first seen, and the
    newest call in which it was.
    """

    api = models.CharField(max_length=64)
    operation = models.CharField(max_length=311, blank=True)
    place = models.CharField(max_length=300, help_text="Where it was: a JSON pointer, with * for each item of a list.")
    rule = models.CharField(max_length=64, help_text="What it broke, like required or pattern.")
    calls = models.PositiveBigIntegerField(default=0)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    call_id = models.CharField(max_length=32, help_text="The newest of these calls.")

    class Meta:
        ordering = ["-last_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["api", "operation", "place", "rule"], name="one_report_of_a_kind")
        ]

    def __str__(self) -> str:
        return f"{self.api} {self.operation} {self.place} {self.rule}"


class RollUp(models.Model):
    """The figures of one bucket of time at one level."""

    id = models.UUIDField(primary_key=True)
    period = models.PositiveIntegerField(choices=Period.choices)
    bucket = models.DateTimeField(help_text="Its start.")
    level = models.CharField(max_length=12, choices=Level.choices)
    api = models.CharField(max_length=64, blank=True)
    tenant = models.CharField(max_length=64, blank=True)
    application = models.CharField(max_length=129, blank=True)
    operation = models.CharField(max_length=311, blank=True)
    calls = models.PositiveBigIntegerField()
    packed = models.BinaryField(help_text="Figures in msgpack.")
    synthetic = models.BooleanField(
        default=False, db_default=False, help_text="Of made-up calls, which never share a row with real ones."
    )

    class Meta:
        ordering = ["bucket"]
        indexes = [
            models.Index(fields=["level", "period", "bucket"], name="figures_by_time"),
            models.Index(fields=["level", "period", "api", "bucket"], name="figures_of_an_api"),
            models.Index(fields=["level", "period", "tenant", "bucket"], name="figures_of_a_tenant"),
            models.Index(fields=["bucket"], name="synthetic_figures", condition=models.Q(synthetic=True)),
        ]
        constraints = [known("period", Period), known("level", Level)]

    def __str__(self) -> str:
        return f"{self.bucket:%Y-%m-%d %H:%M} {self.level} {self.application or self.tenant or self.api}"

    @property
    def figures(self) -> Figures:
        """What was counted."""
        return decode(self.packed)


class SyntheticEvent(models.Model):
    """Something that happened in a made-up history: a mark on charts beside those of the audit log."""

    at = models.DateTimeField()
    api = models.CharField(max_length=64)
    label = models.CharField(max_length=120)

    class Meta:
        ordering = ["at"]

    def __str__(self) -> str:
        return f"{self.label} {self.api}"


class Ingestion(models.Model):
    """One row, id 1, locked by the process that ingests: merging figures is reading, adding and writing."""

    at = models.DateTimeField(null=True, help_text="Of the last batch.")

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="ingestion_is_one_row")]

    def __str__(self) -> str:
        return f"last at {self.at}"


class Incarnation(models.Model):
    """One life of one gateway worker, which numbers its records from 1."""

    id = models.CharField(max_length=18, primary_key=True)
    node = models.CharField(max_length=255)
    worker = models.PositiveIntegerField()
    last_at = models.DateTimeField(help_text="When something of it last came.")

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["last_at"])]

    def __str__(self) -> str:
        return f"{self.node}/{self.worker} {self.id}"


class Interval(models.Model):
    """Settled numbers of an incarnation: records that were counted, or known to be lost. Taken twice, counted once."""

    incarnation = models.ForeignKey(Incarnation, on_delete=models.CASCADE, related_name="intervals")
    first = models.PositiveBigIntegerField()
    last = models.PositiveBigIntegerField()
    first_at = models.DateTimeField(db_index=True, help_text="Of the call with the first number.")
    missing_before = models.PositiveBigIntegerField(
        default=0, help_text="The gap before it: numbers that haven't come."
    )

    class Meta:
        ordering = ["incarnation", "first"]
        constraints = [
            models.UniqueConstraint(fields=["incarnation", "first"], name="interval_starts_once"),
            Check(condition=models.Q(first__lte=models.F("last")), name="interval_ends_after_its_start"),
        ]

    def __str__(self) -> str:
        return f"{self.incarnation_id} {self.first}-{self.last}"


class Loss(models.Model):
    """Records that will never come, and why."""

    incarnation = models.CharField(max_length=18)
    first = models.PositiveBigIntegerField()
    last = models.PositiveBigIntegerField()
    count = models.PositiveBigIntegerField()
    cause = models.CharField(max_length=12, choices=LossCause.choices)
    at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-at"]
        verbose_name_plural = "losses"
        constraints = [known("cause", LossCause)]

    def __str__(self) -> str:
        return f"{self.count} {self.cause}"


class SetAside(models.Model):
    """A record that could not become a row. It is counted as lost, kept for an administrator who wants to know why, and blocks
    nothing.
    """

    incarnation = models.CharField(max_length=18, blank=True)
    number = models.PositiveBigIntegerField(default=0)
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    error = models.CharField(max_length=500)
    record = models.BinaryField()

    class Meta:
        ordering = ["-at"]
        verbose_name_plural = "set aside"

    def __str__(self) -> str:
        return f"{self.incarnation}/{self.number}: {self.error}"
