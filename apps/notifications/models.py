"""What a user was notified of, and which e-mails they don't want."""

from django.db import models
from django.urls import reverse

from apps.access.models import AccessRequest, Application
from apps.catalog.models import API
from apps.foundation.constraints import known
from apps.notifications.choices import Group
from apps.tenants.models import Tenant, User


class Notification(models.Model):
    """What one user reads of one change, as a member of ``tenant``: it is shown for as long as they are one.

    The text is as it was at that time; what it leads to may be gone since.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notifications")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=64, help_text="The verb of the change, like subscription.suspend.")
    group = models.CharField(max_length=16, choices=Group.choices)
    title = models.CharField(max_length=600)
    detail = models.TextField(blank=True, help_text="What else is to be known of it.")
    actor = models.CharField(
        max_length=254,
        help_text="Who made the change: a name among members of one tenant, else that of the other side.",
    )
    comment = models.TextField(blank=True, help_text="What who made the change said.")
    application = models.ForeignKey(Application, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    api = models.ForeignKey(API, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    access_request = models.ForeignKey(
        AccessRequest, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    read_at = models.DateTimeField(null=True, blank=True)
    mail_due = models.BooleanField(default=True, help_text="Whether the e-mail about it is still to be sent.")
    mailed_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was taken into a letter: the same time for all of one letter."
    )

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [
            models.Index(fields=["user", "-at"], name="notifications_of_a_user"),
            models.Index(fields=["user", "id"], condition=models.Q(mail_due=True), name="notifications_to_send"),
            models.Index(
                fields=["user", "mailed_at"], condition=models.Q(mailed_at__isnull=False), name="letters_of_a_user"
            ),
        ]
        constraints = [known("group", Group)]

    def __str__(self) -> str:
        return self.title

    @property
    def path(self) -> str:
        """The console's page of what it is about, which every member of ``tenant`` may open; its tenant's, once that is gone."""
        if self.access_request_id:
            return reverse("console:request", args=[self.access_request_id])
        if self.application:
            return reverse("console:application", args=[self.tenant.slug, self.application.slug])
        if self.api:
            return reverse("console:api", args=[self.api.slug])
        return reverse("console:tenant", args=[self.tenant.slug])


class MutedMail(models.Model):
    """A group of notifications of which a user wants no e-mails. The console shows them all the same."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="muted_mails")
    group = models.CharField(max_length=16, choices=Group.choices)

    class Meta:
        ordering = ["group"]
        constraints = [
            models.UniqueConstraint(fields=["user", "group"], name="one_row_for_a_muted_group"),
            known("group", Group),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.group}"


class EndNotice(models.Model):
    """That the people of a key or a subscription were notified ahead of its end: once for each end that it was given."""

    kind = models.CharField(max_length=64, help_text="Like key.ends_soon.")
    number = models.PositiveBigIntegerField(help_text="The id of the key or the subscription.")
    ends_at = models.DateTimeField()

    class Meta:
        ordering = ["ends_at"]
        constraints = [models.UniqueConstraint(fields=["kind", "number", "ends_at"], name="one_notice_of_an_end")]

    def __str__(self) -> str:
        return f"{self.kind} {self.number}: {self.ends_at}"
