"""APIs and what belongs to one: upstreams, operations, revisions, its OpenAPI document."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import models

from apps.caching.models import CachePolicy
from apps.catalog.choices import (
    APIState,
    Approval,
    DebugHeaders,
    HostMethod,
    HostState,
    Reported,
    RequestValidation,
)
from apps.catalog.settings import APISetting, APISettings, key_only, no_header_rules
from apps.foundation import slugs
from apps.foundation.constraints import goes_with, known, not_negative
from apps.foundation.declared_settings import settings_in
from apps.foundation.secrets import EncryptedJSONField
from apps.tenants.models import Tenant

__all__ = [
    "API",
    "SETTINGS",
    "HostName",
    "OpenAPIDocument",
    "Operation",
    "Revision",
    "Upstream",
    "key_only",  # named by the first migration, like the next one
    "no_header_rules",
]


class API(APISettings):
    """An API that the gateway serves under ``listen_path``. What is saved is its newest revision."""

    slug = models.SlugField(max_length=64, unique=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="apis", help_text="Who owns it.")
    state = models.CharField(max_length=12, choices=APIState.choices, default=APIState.DRAFT, db_index=True)
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
            known("validate_requests", RequestValidation),
            known("validate_responses", Reported),
            known("report_injections", Reported),
            not_negative("connect_timeout", "read_timeout", "queue_wait"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a new one whose slug addresses need."""
        slugs.refuse_reserved(self)

    def put(self, values: Mapping[str, Any]) -> None:
        """Set these settings. Raises ``TypeError`` for what an API doesn't have."""
        if unknown := values.keys() - SETTINGS.keys():
            raise TypeError(f"An API has no {', '.join(sorted(unknown))}.")
        for name, value in values.items():
            setattr(self, name, value)


SETTINGS: Mapping[str, APISetting] = settings_in(API)
"""By name, in the file's order."""


class Upstream(models.Model):
    """One address that answers for an API; ``weight`` is its share of the calls, ``ca`` which certificates vouch for it."""

    api = models.ForeignKey(API, on_delete=models.CASCADE, related_name="upstreams")
    url = models.CharField(max_length=500)
    weight = models.PositiveIntegerField(default=1)
    ca = models.TextField(
        blank=True,
        default="",
        help_text="Certificates in PEM that alone vouch for it; empty: those that gateways trust.",
    )

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
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the document as canonical JSON, hex.")
    imported_at = models.DateTimeField(auto_now=True)
    warnings = models.JSONField(
        default=list, blank=True, help_text="What isn't as OpenAPI has it: message, pointer, line and column of each."
    )
    contract = models.JSONField(
        default=list,
        blank=True,
        null=True,
        help_text="What calls are validated by; null: they can't be; empty: not read yet.",
    )

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
        return f"Revision {self.number}"


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
