"""Receipts: what the fleet said of a change."""

from django.db import models


class Receipt(models.Model):
    """On how many workers a change was in force when the receipt was made, and how long the slowest took."""

    incarnation = models.PositiveBigIntegerField()
    epoch = models.PositiveBigIntegerField()
    workers = models.PositiveIntegerField()
    in_force = models.PositiveIntegerField()
    slowest_ms = models.FloatField(null=True)
    everywhere_by = models.DateTimeField(
        null=True, help_text="When the last trust lease ends, if some worker did not answer."
    )
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["epoch"])]

    def __str__(self) -> str:
        return f"{self.in_force}/{self.workers} at {self.incarnation}.{self.epoch}"
