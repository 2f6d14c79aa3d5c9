"""Applications and their credentials, issuers of tokens, plans, access requests, subscriptions."""

from django.conf import settings
from django.db import models

from apps.access.choices import (
    LIVE,
    OPEN,
    ClientAuthentication,
    CredentialKind,
    KeyState,
    QuotaPeriod,
    RequestState,
    RequestVerb,
    RevocationKind,
    SubscriptionState,
)
from apps.catalog.models import API
from apps.foundation import slugs
from apps.foundation.constraints import Check, goes_with, known, not_negative
from apps.foundation.secrets import EncryptedJSONField
from apps.tenants.models import Tenant


class Plan(models.Model):
    """How much a subscription may call: a token bucket, and a quota per calendar period. ``None``: without that limit."""

    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    rate_calls = models.PositiveIntegerField(null=True, blank=True, help_text="Calls per rate_period.")
    rate_period = models.FloatField(default=1.0, help_text="Seconds.")
    burst = models.PositiveIntegerField(null=True, blank=True, help_text="Calls at once; empty: as many as rate_calls.")
    quota = models.PositiveBigIntegerField(null=True, blank=True, help_text="Calls per quota_period.")
    quota_period = models.CharField(max_length=8, choices=QuotaPeriod.choices, default=QuotaPeriod.MONTH)
    charge_failures = models.BooleanField(
        default=True, help_text="A call that the upstream failed counts against the quota."
    )
    trust_lease = models.FloatField(
        null=True,
        blank=True,
        help_text="Seconds that known keys work while Redis is away; empty: the installation's; 0: not at all.",
    )
    tenants = models.JSONField(
        default=list, blank=True, help_text="Slugs of the only tenants that may ask for it; empty: all."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            known("quota_period", QuotaPeriod),
            not_negative("trust_lease"),
            Check(condition=models.Q(rate_period__gt=0), name="plan_rate_period_is_positive"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a new one whose slug addresses need."""
        slugs.refuse_reserved(self)

    @property
    def is_unlimited(self) -> bool:
        """Whether it limits nothing: neither how fast its subscriptions call nor how often."""
        return self.rate_calls is None and self.quota is None


class Application(models.Model):
    """A program of a tenant, which calls APIs with its keys."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="applications")
    slug = models.SlugField(max_length=64)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["tenant__slug", "slug"]
        constraints = [models.UniqueConstraint(fields=["tenant", "slug"], name="application_slug_in_a_tenant")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a new one whose slug addresses need."""
        slugs.refuse_reserved(self)


class Issuer(models.Model):
    """Who issues tokens (JWT) that APIs accept. One without a tenant is the platform's: any API may name it; a tenant's issuer
    is for that tenant's own APIs.
    """

    slug = models.SlugField(max_length=64, unique=True)
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="issuers")
    issuer = models.CharField(max_length=512, help_text="What its tokens say in iss.")
    discovery = models.BooleanField(
        default=False, help_text="Its keys are found by its OpenID Connect or OAuth metadata (RFC 8414)."
    )
    jwks_url = models.CharField(max_length=2048, blank=True, help_text="Where its keys are (RFC 7517).")
    jwks = models.JSONField(null=True, blank=True, help_text="Its public keys themselves, as a JWK set.")
    secret = EncryptedJSONField(
        null=True, blank=True, row=("slug",), help_text="The secret shared with it, for HS algorithms alone."
    )
    algorithms = models.JSONField(default=list, help_text="The only algorithms that its signatures may have.")
    audience = models.JSONField(default=list, blank=True, help_text="Of these aud must name one; empty: any audience.")
    client_claim = models.CharField(
        max_length=128,
        default="azp",
        help_text="The claim that names the client, which an application has as a client ID.",
    )
    leeway = models.FloatField(default=30.0, help_text="Seconds by which clocks may differ.")
    dpop = models.BooleanField(
        default=False,
        help_text="Its tokens are bound to a key of the client, which proves it with each call (RFC 9449).",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]
        constraints = [not_negative("leeway")]

    def __str__(self) -> str:
        return self.slug

    def clean(self) -> None:
        """Refuse a new one whose slug addresses need."""
        slugs.refuse_reserved(self)


class Revocation(models.Model):
    """A token of an issuer that opens nothing any more, or a subject whose tokens don't that were issued until then."""

    kind = models.CharField(max_length=8, choices=RevocationKind.choices)
    issuer = models.ForeignKey(Issuer, on_delete=models.CASCADE, related_name="revocations")
    digest = models.CharField(
        max_length=16,
        unique=True,
        help_text="Keyed hash of kind, issuer and value, hex: what gateways find it by.",
    )
    shown = models.CharField(max_length=16, help_text="The first characters of the value, to recognise it by.")
    not_before = models.DateTimeField(
        null=True, blank=True, help_text="Of a subject: tokens that were issued then or earlier are over."
    )
    expires_at = models.DateTimeField(help_text="After this none of the tokens that it is about can be good.")
    comment = models.TextField(blank=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [models.Index(fields=["expires_at"], name="revocation_expires_at")]
        constraints = [known("kind", RevocationKind), goes_with("not_before", models.Q(kind=RevocationKind.SUBJECT))]

    def __str__(self) -> str:
        return f"{self.kind} {self.shown}"


class Introspection(models.Model):
    """A server that says what an opaque token is worth (RFC 7662). One without a tenant is the platform's, as with issuers."""

    slug = models.SlugField(max_length=64, unique=True)
    tenant = models.ForeignKey(Tenant, null=True, blank=True, on_delete=models.PROTECT, related_name="introspections")
    url = models.CharField(max_length=2048)
    client_id = models.CharField(max_length=255, blank=True, help_text="As whom the gateway asks.")
    client_authentication = models.CharField(
        max_length=16, choices=ClientAuthentication.choices, default=ClientAuthentication.BASIC
    )
    secret = EncryptedJSONField(
        null=True,
        blank=True,
        row=("slug",),
        help_text="The client secret, or the private key (PEM) of private_key_jwt.",
    )
    client_claim = models.CharField(
        max_length=128, default="client_id", help_text="What of the response names the client."
    )
    cache = models.FloatField(
        default=30.0, help_text="Seconds that a token which is active is remembered, never past its exp."
    )
    negative_cache = models.FloatField(default=5.0, help_text="Seconds that one which isn't active is remembered.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]
        constraints = [
            known("client_authentication", ClientAuthentication),
            not_negative("cache", "negative_cache"),
        ]

    def __str__(self) -> str:
        return self.slug

    def clean(self) -> None:
        """Refuse a new one whose slug addresses need."""
        slugs.refuse_reserved(self)


class Credential(models.Model):
    """What an application is known by: an API key, of which only the HMAC is kept and whose secret is shown once, at its creation;
    a client ID in tokens; a certificate; a key that signs requests.
    """

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="keys")
    kind = models.CharField(max_length=16, choices=CredentialKind.choices, default=CredentialKind.API_KEY)
    name = models.CharField(max_length=64)
    prefix = models.CharField(max_length=16, blank=True, help_text="The first characters, to recognise a key by.")
    identifier = models.CharField(
        max_length=255,
        blank=True,
        help_text="What is no secret: a client ID, a certificate's fingerprint, a signing key's ID.",
    )
    issuer = models.ForeignKey(
        Issuer,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="client_ids",
        help_text="Of a client ID: the tenant's issuer that knows it; null: the platform's issuers.",
    )
    introspection = models.ForeignKey(
        Introspection,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="client_ids",
        help_text="Of a client ID: the tenant's introspection server that knows it, in place of an issuer.",
    )
    digest = models.CharField(
        max_length=64,
        unique=True,
        help_text="HMAC-SHA-256 with the installation's pepper of what gateways find it by, hex.",
    )
    secret = EncryptedJSONField(
        null=True, blank=True, row=("digest",), help_text="Of a signing key, which gateways need whole."
    )
    state = models.CharField(max_length=8, choices=KeyState.choices, default=KeyState.ACTIVE)
    api = models.ForeignKey(
        API, null=True, blank=True, on_delete=models.CASCADE, related_name="+", help_text="Good for this API alone."
    )
    apis = models.JSONField(null=True, blank=True, help_text="Slugs of the only APIs that it is for; null: any.")
    methods = models.JSONField(null=True, blank=True, help_text="The only methods that it is for; null: any.")
    operations = models.JSONField(
        null=True,
        blank=True,
        help_text="The only calls that it is for, as {methods, path} below a listen path; null: any.",
    )
    addresses = models.JSONField(
        null=True, blank=True, help_text="Networks of the only clients that may use it; null: any."
    )
    successor = models.OneToOneField(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="predecessor",
        help_text="The key that replaces it.",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            known("kind", CredentialKind),
            known("state", KeyState),
            goes_with("revoked_at", models.Q(state=KeyState.REVOKED)),
        ]

    def __str__(self) -> str:
        return self.name if self.name == self.shown else f"{self.name} ({self.shown})"

    @property
    def shown(self) -> str:
        """What people recognise it by."""
        return f"{self.prefix}…" if self.kind == CredentialKind.API_KEY else self.identifier


class Subscription(models.Model):
    """An application's right to call an API under a plan."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="subscriptions")
    api = models.ForeignKey(API, on_delete=models.PROTECT, related_name="subscriptions")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="subscriptions")
    state = models.CharField(max_length=12, choices=SubscriptionState.choices, default=SubscriptionState.ACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    comment = models.TextField(
        blank=True, help_text="What was said when it was suspended, resumed or revoked last: both sides see it."
    )

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["application", "api"], condition=models.Q(state__in=LIVE), name="one_live_subscription"
            ),
            known("state", SubscriptionState),
        ]

    def __str__(self) -> str:
        return f"{self.application} → {self.api}"


class AccessRequest(models.Model):
    """An application asks to call an API under a plan, or to change the plan of a running subscription."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="access_requests")
    api = models.ForeignKey(API, on_delete=models.CASCADE, related_name="access_requests")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    state = models.CharField(max_length=12, choices=RequestState.choices, default=RequestState.DRAFT, db_index=True)
    subscription = models.ForeignKey(
        Subscription,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="requests",
        help_text="The one it would change, or the one it led to.",
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    submitted_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="When the granted subscription ends.")

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["application", "api"], condition=models.Q(state__in=OPEN), name="one_open_request"
            ),
            known("state", RequestState),
            goes_with("decided_at", models.Q(state__in=[RequestState.APPROVED, RequestState.REJECTED])),
            Check(
                condition=models.Q(state__in=[RequestState.DRAFT, RequestState.CANCELLED])
                | models.Q(submitted_at__isnull=False),
                name="request_was_submitted",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.application} asks for {self.api}"


class RequestComment(models.Model):
    """What was said with a step of an access request: both sides see it."""

    request = models.ForeignKey(AccessRequest, on_delete=models.CASCADE, related_name="comments")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    verb = models.CharField(max_length=8, choices=RequestVerb.choices)
    text = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            known("verb", RequestVerb),
            models.UniqueConstraint(
                fields=["request"],
                condition=models.Q(verb__in=[RequestVerb.APPROVE, RequestVerb.REJECT]),
                name="one_decision_per_request",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verb}: {self.text}"
