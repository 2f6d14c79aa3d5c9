"""Webhooks, messages and CDNs, as administrators see them."""

from django.db import models

from apps.caching.models import Purge
from apps.foundation.constraints import known
from apps.foundation.secrets import EncryptedJSONField
from apps.invalidation.choices import ForwardingState, MessageSource


class PurgeWebhook(models.Model):
    """The secret with which an API's origin signs its messages. While it is being changed the one before holds too."""

    api = models.OneToOneField("catalog.API", on_delete=models.CASCADE, related_name="purge_webhook")
    secret = EncryptedJSONField(row=["api_id"])
    previous = EncryptedJSONField(row=["api_id"], null=True, blank=True)
    previous_until = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"webhook of {self.api_id}"


class Message(models.Model):
    """A message that was taken: one with the same id is not taken again."""

    api_slug = models.SlugField(max_length=64)
    message_id = models.CharField(max_length=128)
    source = models.CharField(max_length=8, choices=MessageSource.choices)
    at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["api_slug", "message_id"], name="each_message_once"),
            known("source", MessageSource),
        ]

    def __str__(self) -> str:
        return f"{self.message_id} of {self.api_slug}"


class RefusedMessage(models.Model):
    """A message, or an item of one, that says nothing we can do. Kept for people: the newest thousand."""

    source = models.CharField(max_length=8, choices=MessageSource.choices)
    detail = models.CharField(max_length=500, help_text="Why it was refused.")
    body = models.TextField(help_text="As it came, up to 4,000 characters.")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [known("source", MessageSource)]

    def __str__(self) -> str:
        return self.detail


class CDN(models.Model):
    """A cache in front of an API's gateways, and the HTTP calls that purge it. Headers often hold its credentials."""

    api = models.OneToOneField("catalog.API", on_delete=models.CASCADE, related_name="cdn")
    base_url = models.CharField(
        max_length=500, blank=True, help_text="Where callers reach the API: what {url} begins with."
    )
    headers = EncryptedJSONField(row=["api_id"], default=dict, blank=True)
    calls = models.JSONField(default=dict, help_text="By kind of purge: method, url and body of the call.")

    def __str__(self) -> str:
        return f"CDN of {self.api_id}"


class Forwarding(models.Model):
    """What became of a purge at the CDN. Also the list of what is still to be done."""

    purge = models.OneToOneField(Purge, on_delete=models.CASCADE, related_name="forwarding")
    state = models.CharField(max_length=8, choices=ForwardingState.choices, default=ForwardingState.WAITING)
    detail = models.CharField(max_length=200, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["next_at"], condition=models.Q(state="waiting"), name="forwardings_that_wait"),
        ]
        constraints = [known("state", ForwardingState)]

    def __str__(self) -> str:
        return f"{self.get_state_display()}: {self.detail}"
