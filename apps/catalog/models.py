"""APIs and what belongs to one: upstreams, operations, revisions, its OpenAPI document."""

from typing import Any

from django.conf import settings
from django.db import models

from apps.caching.models import CachePolicy
from apps.catalog.choices import APIState, Approval, Authentication, DebugHeaders, HostMethod, HostState
from apps.foundation.constraints import goes_with, known, not_negative
from apps.foundation.secrets import EncryptedJSONField
from apps.tenants.models import Tenant


def key_only() -> list[str]:
    """The default of ``API.authentication``."""
    return [Authentication.API_KEY]


def no_header_rules() -> dict[str, Any]:
    """The default of ``API.request_headers`` and ``API.response_headers``."""
    return {"set": {}, "remove": []}


class API(models.Model):
    """An API that the gateway serves under ``listen_path``. What is saved is its newest revision."""

    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=120)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="apis", help_text="Who owns it.")
    state = models.CharField(max_length=12, choices=APIState.choices, default=APIState.DRAFT, db_index=True)
    summary = models.CharField(max_length=200, blank=True)
    documentation = models.TextField(
        blank=True, help_text="For its callers, as plain text with blank lines between paragraphs."
    )
    tags = models.JSONField(default=list, blank=True)

    listen_path = models.CharField(
        max_length=200, help_text="Where the gateway serves it: /products/. The longest prefix wins."
    )
    hosts = models.JSONField(default=list, blank=True, help_text="Only these Host names; empty: any.")
    strip_listen_path = models.BooleanField(default=True)
    authentication = models.JSONField(default=key_only)
    api_key_header = models.CharField(max_length=64, default="X-API-Key")
    forward_credential = models.BooleanField(
        default=False, help_text="Send X-API-Key on where it holds none of this platform's keys. Administrators decide."
    )
    underscore_headers = models.JSONField(
        default=list,
        blank=True,
        help_text="Request headers that go on although their names have underscores or the like.",
    )
    credential_headers = models.JSONField(
        default=list, blank=True, help_text="Request headers that count as credentials, besides those known by name."
    )
    approval = models.CharField(max_length=12, choices=Approval.choices, default=Approval.MANUAL)
    connect_timeout = models.FloatField(default=2.0, help_text="Seconds.")
    read_timeout = models.FloatField(default=30.0, help_text="Seconds without a byte from the upstream.")
    retries = models.PositiveSmallIntegerField(
        default=1, help_text="Idempotent methods only, before any byte of an answer."
    )
    concurrent_calls = models.PositiveIntegerField(
        default=512, help_text="Calls to its upstreams that each gateway worker makes at once."
    )
    queued_calls = models.PositiveIntegerField(default=512, help_text="How many more wait for one of these to end.")
    queue_wait = models.FloatField(default=2.0, help_text="Seconds that a call waits at most.")
    body_limit = models.PositiveBigIntegerField(default=10 * 2**20, help_text="Largest request body, in bytes.")
    debug_headers = models.CharField(max_length=12, choices=DebugHeaders.choices, default=DebugHeaders.SUBSCRIBERS)
    # Their values are often credentials for the upstream.
    request_headers = EncryptedJSONField(row=["slug"], default=no_header_rules, blank=True)
    response_headers = EncryptedJSONField(row=["slug"], default=no_header_rules, blank=True)
    cache_policy = models.OneToOneField(CachePolicy, on_delete=models.PROTECT, related_name="api")

    revision = models.PositiveIntegerField(default=0, help_text="Number of the newest revision.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    published_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "API"
        verbose_name_plural = "APIs"
        constraints = [
            known("state", APIState),
            known("approval", Approval),
            known("debug_headers", DebugHeaders),
            not_negative("connect_timeout", "read_timeout", "queue_wait"),
        ]

    def __str__(self) -> str:
        return self.name


class Upstream(models.Model):
    """One address that answers for an API; ``weight`` is its share of the calls."""

    api = models.ForeignKey(API, on_delete=models.CASCADE, related_name="upstreams")
    url = models.CharField(max_length=500)
    weight = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.url


class Operation(models.Model):
    """A method and path template of an API, as its OpenAPI document or an administrator describes it."""

    api = models.ForeignKey(API, on_delete=models.CASCADE, related_name="operations")
    method = models.CharField(max_length=10)
    path = models.CharField(max_length=300, help_text="Below the listen path, like /items/{id}.")
    operation_id = models.CharField(max_length=120, blank=True)
    summary = models.CharField(max_length=300, blank=True)
    description = models.TextField(blank=True)
    deprecated = models.BooleanField(default=False)
    parameters = models.JSONField(default=list, blank=True, help_text="OpenAPI parameter objects, references resolved.")

    class Meta:
        ordering = ["path", "method"]
        constraints = [
            models.UniqueConstraint(fields=["api", "method", "path"], name="one_operation_per_method_and_path")
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class OpenAPIDocument(models.Model):
    """The document that an API's operations were imported from."""

    api = models.OneToOneField(API, on_delete=models.CASCADE, related_name="openapi")
    document = models.JSONField()
    version = models.CharField(max_length=16, help_text="Like 3.1.0 or 2.0.")
    imported_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"OpenAPI {self.version} of {self.api_id}"


class Revision(models.Model):
    """A saved configuration of an API, in the declarative file's words. Never changed; rolling back makes a new one."""

    api = models.ForeignKey(API, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    document = EncryptedJSONField(row=["api_id", "number"])
    comment = models.CharField(max_length=300, blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["api", "number"], name="revisions_are_numbered")]

    def __str__(self) -> str:
        return f"{self.api_id} r{self.number}"


class HostName(models.Model):
    """A host name that a tenant says is its own. Once proved, no other tenant's API answers there.

    The tenant's claim is pending until the name's DNS record or file shows it, or an administrator grants it.
    """

    host = models.CharField(max_length=253, help_text="Lower case, ASCII, without port; an IPv6 address in brackets.")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="hosts")
    state = models.CharField(max_length=8, choices=HostState.choices, default=HostState.PENDING)
    method = models.CharField(max_length=14, choices=HostMethod.choices, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    proved_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True, help_text="When its record and file were last looked for.")
    check_at = models.DateTimeField(null=True, blank=True, db_index=True, help_text="When they are looked for next.")
    finding = models.CharField(max_length=300, blank=True, help_text="What was found then.")

    class Meta:
        ordering = ["host"]
        constraints = [
            models.UniqueConstraint(fields=["host", "tenant"], name="a_tenant_claims_a_host_once"),
            models.UniqueConstraint(
                fields=["host"], condition=models.Q(state=HostState.PROVED), name="a_host_has_one_owner"
            ),
            known("state", HostState),
            known("method", HostMethod, ""),
            goes_with("proved_at", models.Q(state=HostState.PROVED)),
        ]

    def __str__(self) -> str:
        return self.host
