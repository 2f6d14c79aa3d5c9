"""Users, tenants, memberships, and tokens for the REST API."""

from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac

from apps.foundation import slugs
from apps.foundation.constraints import known
from apps.tenants.choices import Role, TenantState, TokenScope


class UserManager(BaseUserManager["User"]):
    """Users are found by e-mail address, in any case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A saved user. Services check first; this is for them, for tests and for Django's own commands."""
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A platform administrator."""
        return self.create_user(email, password, is_administrator=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        """The user with this e-mail address, in any case."""
        return self.get(email__iexact=username)


class User(AbstractBaseUser):
    """A person, who signs in by e-mail address. What they may do follows from memberships and ``is_administrator``."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(default=True)
    is_administrator = models.BooleanField(
        default=False, help_text="Runs the platform: sees and may change everything."
    )
    date_joined = models.DateTimeField(auto_now_add=True)
    sessions_ended = models.PositiveIntegerField(
        default=0,
        help_text="How often all sessions were ended other than by a new password. Part of each session's hash.",
    )

    objects: ClassVar[UserManager] = UserManager()

    token: "Token | None" = None
    """The token by which this user acts in the present request; ``None`` in the console. Policies heed its limits."""

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ["email"]
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_in_any_case")]

    def __str__(self) -> str:
        return self.name or self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save. A new password ends the user's tokens, however it is set: a service, a link by mail, ``manage.py changepassword``.

        Django clears ``_password`` where it only brings an unchanged password's hash up to date.
        """
        has_new_password = self._password is not None and not self._state.adding  # type: ignore[attr-defined]
        with transaction.atomic():
            super().save(*args, **kwargs)
            if has_new_password:
                self.tokens.live().update(ended_at=timezone.now())

    def _get_session_auth_hash(self, secret: Any = None) -> str:
        """What a session must hold to be valid. Sessions from before the count was kept hold Django's own."""
        if not self.sessions_ended:
            return super()._get_session_auth_hash(secret=secret)  # type: ignore[misc]
        value = f"{self.sessions_ended} {self.password}"
        return salted_hmac("apimgr session", value, secret=secret, algorithm="sha256").hexdigest()

    @property
    def administrates(self) -> bool:
        """Whether they act as a platform administrator: with the right, and not by a token that leaves it out."""
        token = self.token
        return self.is_administrator and (
            token is None or (token.scope == TokenScope.ADMIN and token.tenant_id is None)
        )

    @property
    def held_memberships(self) -> "models.QuerySet[Membership]":
        """Their memberships, as far as the token by which they act reaches."""
        held = Membership.objects.filter(user=self)
        return held.filter(tenant=self.token.tenant_id) if self.token and self.token.tenant_id else held

    @property
    def is_staff(self) -> bool:
        """What libraries ask for; here it means platform administrator."""
        return self.is_administrator


class Tenant(models.Model):
    """A team: owns APIs, applications and what they are allowed to call."""

    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=120)
    state = models.CharField(max_length=12, choices=TenantState.choices, default=TenantState.ACTIVE)
    egress = models.JSONField(
        default=list, blank=True, help_text="Where its calls may lead beyond public addresses: see egress.rules."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    members = models.ManyToManyField(User, through="Membership", related_name="tenants")

    class Meta:
        ordering = ["slug"]
        constraints = [known("state", TenantState)]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a new one whose slug addresses need."""
        slugs.refuse_reserved(self)


class InstallationEgress(models.Model):
    """Where calls of all tenants may lead beyond public addresses: one row, id 1. ``announced`` is what the environment said of it
    when gateways were notified last."""

    allow = models.JSONField(default=list, blank=True)
    announced = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="installation_egress_is_one_row")]

    def __str__(self) -> str:
        return "egress"


class Membership(models.Model):
    """A user's role in a tenant."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["tenant__slug", "user__email"]
        constraints = [
            models.UniqueConstraint(fields=["user", "tenant"], name="one_role_in_a_tenant"),
            known("role", Role),
        ]

    def __str__(self) -> str:
        return f"{self.user} {self.role} of {self.tenant}"


class Invitation(models.Model):
    """A user who may become a member, by the link that was sent to their address. The row goes when they do, or decline.

    What is known of them is the address that the inviter typed: whether it has an account here is not disclosed.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=12, choices=Role.choices)
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of what the newest link holds.")
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(help_text="When the newest link was made.")
    link_shown = models.BooleanField(
        default=False,
        help_text="Whether the newest link was shown to an administrator instead of mailed: then it verifies no address.",
    )
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ["email"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "email"], name="one_invitation_to_a_tenant"),
            known("role", Role),
        ]

    def __str__(self) -> str:
        return f"{self.email} as {self.role} of {self.tenant}"

    @property
    def is_over(self) -> bool:
        """Whether its link works no more."""
        return self.expires_at <= timezone.now()


class TokenQuerySet(models.QuerySet["Token"]):
    """Tokens."""

    def live(self) -> Self:
        """Those that work now."""
        return self.filter(ended_at=None, expires_at__gt=timezone.now())


class Token(models.Model):
    """A user's token for the REST API: acts as that user, within its scope. Only its SHA-256 is kept (it holds 256 random bits).

    The row of an ended one stays, so that the same value never works again.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=64)
    prefix = models.CharField(max_length=16, help_text="The first characters, to recognise it by.")
    digest = models.CharField(max_length=64, unique=True)
    scope = models.CharField(max_length=12, choices=TokenScope.choices)
    tenant = models.ForeignKey(
        Tenant,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="The only tenant that it reaches; empty: all of its user's.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(help_text="A year from its creation at the latest.")
    ended_at = models.DateTimeField(null=True, blank=True, help_text="Revoked, or ended with the user's old password.")
    noticed_at = models.DateTimeField(null=True, blank=True, help_text="When its user was told that it ends soon.")
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = TokenQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [known("scope", TokenScope)]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def is_over(self) -> bool:
        """Whether it works no more."""
        return self.ended_at is not None or self.expires_at <= timezone.now()
