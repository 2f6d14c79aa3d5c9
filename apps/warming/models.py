"""Warm-ups: what was asked for, and how far it is."""

from django.db import models

from apps.caching.warm_up import rate_text
from apps.foundation.constraints import goes_with, known
from apps.warming.choices import UNFINISHED, WarmUpCause, WarmUpState


class WarmUp(models.Model):
    """URLs of one API that are fetched through the gateway at a set rate, so that the cache has them before callers ask.

    ``done`` counts those that were fetched: ``stored`` anew, ``fresh`` (the cache had them), ``passed`` (answered, and not to be
    stored) and ``failed``. The worker that runs it says so in ``worker`` and ``beat_at``; when that is long ago, another goes on
    from ``done``.
    """

    api_slug = models.SlugField(max_length=64)
    cause = models.CharField(max_length=8, choices=WarmUpCause.choices, default=WarmUpCause.MANUAL)
    mark = models.PositiveBigIntegerField(default=0, help_text="Of its cause: the purge's id, or the change's epoch.")
    urls = models.JSONField(default=list, blank=True, help_text="What was named.")
    top = models.PositiveIntegerField(default=0, help_text="So many of the last day's most called URLs besides.")
    rate = models.FloatField(help_text="Calls a second at most.")
    headers = models.JSONField(default=dict, blank=True, help_text="Request headers to send, by name.")
    state = models.CharField(max_length=10, choices=WarmUpState.choices, default=WarmUpState.QUEUED)
    targets = models.JSONField(
        default=list, blank=True, help_text="[scheme, host, target] of each call; empty again at the end."
    )
    total = models.PositiveIntegerField(null=True, help_text="Calls to make; unknown before it is looked up.")
    done = models.PositiveIntegerField(default=0)
    stored = models.PositiveIntegerField(default=0)
    fresh = models.PositiveIntegerField(default=0)
    passed = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    problems = models.JSONField(default=list, blank=True, help_text="[URL, why it isn't stored] of the first of them.")
    note = models.CharField(max_length=300, blank=True, help_text="Why it ended as it did, where that needs a word.")
    actor_email = models.CharField(max_length=254, blank=True, help_text="Empty when the platform itself began it.")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    worker = models.CharField(max_length=32, blank=True)
    beat_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True, help_text="When the next call may be made; empty: now.")

    class Meta:
        ordering = ["-id"]
        verbose_name = "warm-up"
        indexes = [
            models.Index(fields=["api_slug", "-id"], name="warm_ups_of_an_api"),
            models.Index(fields=["state"], name="warm_ups_by_state"),
        ]
        constraints = [
            known("cause", WarmUpCause),
            known("state", WarmUpState),
            goes_with("ended_at", ~models.Q(state__in=UNFINISHED)),
        ]

    def __str__(self) -> str:
        return f"warm-up {self.pk} of {self.api_slug}"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in UNFINISHED

    @property
    def pace(self) -> str:
        """Its rate, like ``10/s``."""
        return rate_text(self.rate)

    @property
    def percent(self) -> int:
        """How much of it is done, 0 to 100."""
        if not self.total:
            return 100 if self.is_over else 0
        return self.done * 100 // self.total

    @property
    def sentence(self) -> str:
        """How far it is, for people."""
        if self.state == WarmUpState.QUEUED or self.total is None:
            return self.note or str(self.get_state_display())
        counts = [
            f"{count:,} {word}"
            for word, count in (
                ("stored", self.stored),
                ("fresh already", self.fresh),
                ("not to be stored", self.passed),
                ("failed", self.failed),
            )
            if count
        ]
        said = f"{self.done:,} of {self.total:,}" + (f": {', '.join(counts)}" if counts else "")
        return f"{said}. {self.note}" if self.note else said
