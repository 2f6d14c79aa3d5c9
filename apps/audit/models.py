"""Rows of the audit log, and the one row that numbers changes."""

from typing import Any

from django.db import models
from django.utils import timezone


class Epoch(models.Model):
    """The number of the last change of configuration: one row, id 1.

    ``incarnation`` grows whenever what Redis holds can't be trusted any more (it came back empty, trimmed or older);
    ``n`` grows with every change. Compared as the pair (incarnation, n).
    """

    incarnation = models.PositiveBigIntegerField(default=1)
    n = models.PositiveBigIntegerField(default=0)
    head = models.CharField(max_length=64, blank=True, help_text="Hash of the entry that has this number.")

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="epoch_is_one_row")]

    def __str__(self) -> str:
        return f"{self.incarnation}.{self.n}"


class Entry(models.Model):
    """One decision: who did what to which object, when, and what it changes at the gateways. Never updated, never deleted."""

    epoch = models.PositiveBigIntegerField(unique=True, help_text="Order of commit: the n of Epoch after this change.")
    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor_email = models.CharField(max_length=254, blank=True, help_text="Empty when the platform itself acted.")
    via = models.CharField(
        max_length=16, default="system", help_text="console, api, command, queue, webhook or system."
    )
    address = models.CharField(
        max_length=45, blank=True, help_text="Network address of who asked; empty for a command."
    )
    agent = models.CharField(max_length=200, blank=True, help_text="The User-Agent header, or the command.")
    request_id = models.CharField(max_length=64, blank=True, help_text="X-Request-ID of the request.")
    verb = models.CharField(max_length=64, db_index=True, help_text="Like api.publish or request.approve.")
    target_type = models.CharField(max_length=32)
    target = models.CharField(max_length=400, db_index=True, help_text="Slug or id, as the REST API names it.")
    tenant_slug = models.CharField(max_length=64, blank=True, db_index=True, help_text="Whose members may see it.")
    comment = models.TextField(blank=True)
    changes = models.JSONField(default=dict, help_text="{field: [before, after]}, secrets left out.")
    affects = models.JSONField(
        default=list, help_text="What gateways must read anew: [kind, id] pairs. Empty: nothing."
    )
    previous_hash = models.CharField(max_length=64, blank=True, help_text="Hash of the entry before; empty: the first.")
    hash = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the canonical form, in hexadecimal.")
    mac = models.CharField(max_length=64, blank=True, help_text="HMAC-SHA-256 of the hash, by the installation's key.")

    class Meta:
        ordering = ["-epoch"]
        verbose_name_plural = "entries"

    def __str__(self) -> str:
        return f"{self.epoch} {self.verb} {self.target}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert only."""
        if not self._state.adding:
            raise TypeError("An audit entry is never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Refused: the record is append-only."""
        raise TypeError("An audit entry is never deleted.")
