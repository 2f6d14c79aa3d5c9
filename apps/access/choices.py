"""The words of access, and its two workflows as tables."""

from django.db import models


class Side(models.TextChoices):
    """From which of its two sides a tenant looks at requests and subscriptions: as who calls with its applications, or as
    who provides the APIs. Those of its own applications for its own APIs are on both.
    """

    CALLER = "caller"
    PROVIDER = "provider"


class CredentialKind(models.TextChoices):
    """What an application can be known by. The authenticators of the gateway look for records of these kinds."""

    API_KEY = "api_key", "API key"
    CLIENT_ID = "client_id", "Client ID"
    CERTIFICATE = "certificate", "Certificate"
    SIGNING_KEY = "signing_key", "Signing key"


class RevocationKind(models.TextChoices):
    """What can be revoked at an issuer: one token by its ID, or all of a subject until a time."""

    JTI = "jti", "Token"
    SUBJECT = "subject", "Subject"


class ClientAuthentication(models.TextChoices):
    """How the gateway proves to an introspection server who it is."""

    NONE = "none", "Not at all"
    BASIC = "basic", "Client secret in Basic"
    POST = "post", "Client secret in the body"
    PRIVATE_KEY_JWT = "private_key_jwt", "A JWT signed with a private key"


class KeyState(models.TextChoices):
    """Whether a credential opens anything."""

    ACTIVE = "active"
    REVOKED = "revoked"


class QuotaPeriod(models.TextChoices):
    """Calendar periods in UTC."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class RequestState(models.TextChoices):
    """Where an access request is."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    NEEDS_INFO = "needs_info", "Needs info"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class RequestVerb(models.TextChoices):
    """What moves an access request."""

    SUBMIT = "submit"
    ASK = "ask", "Ask back"
    APPROVE = "approve"
    REJECT = "reject"
    CANCEL = "cancel"


#: verb -> (states it may start from, the state it leads to)
REQUEST_WORKFLOW: dict[RequestVerb, tuple[tuple[RequestState, ...], RequestState]] = {
    RequestVerb.SUBMIT: ((RequestState.DRAFT, RequestState.NEEDS_INFO), RequestState.SUBMITTED),
    RequestVerb.ASK: ((RequestState.SUBMITTED,), RequestState.NEEDS_INFO),
    RequestVerb.APPROVE: ((RequestState.SUBMITTED,), RequestState.APPROVED),
    RequestVerb.REJECT: ((RequestState.SUBMITTED, RequestState.NEEDS_INFO), RequestState.REJECTED),
    RequestVerb.CANCEL: ((RequestState.DRAFT, RequestState.SUBMITTED, RequestState.NEEDS_INFO), RequestState.CANCELLED),
}


class SubscriptionState(models.TextChoices):
    """Whether a subscription lets calls through: only an active one does."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    REVOKED = "revoked"


class SubscriptionVerb(models.TextChoices):
    """What moves a subscription."""

    SUSPEND = "suspend"
    RESUME = "resume"
    EXPIRE = "expire"
    REVOKE = "revoke"


#: verb -> (states it may start from, the state it leads to)
SUBSCRIPTION_WORKFLOW: dict[SubscriptionVerb, tuple[tuple[SubscriptionState, ...], SubscriptionState]] = {
    SubscriptionVerb.SUSPEND: ((SubscriptionState.ACTIVE,), SubscriptionState.SUSPENDED),
    SubscriptionVerb.RESUME: ((SubscriptionState.SUSPENDED,), SubscriptionState.ACTIVE),
    SubscriptionVerb.EXPIRE: ((SubscriptionState.ACTIVE, SubscriptionState.SUSPENDED), SubscriptionState.EXPIRED),
    SubscriptionVerb.REVOKE: ((SubscriptionState.ACTIVE, SubscriptionState.SUSPENDED), SubscriptionState.REVOKED),
}

LIVE = (SubscriptionState.ACTIVE, SubscriptionState.SUSPENDED)
OPEN = (RequestState.DRAFT, RequestState.SUBMITTED, RequestState.NEEDS_INFO)
