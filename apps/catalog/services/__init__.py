"""Changing APIs. Errors as in ``apps.foundation.errors``; of fields under the model's names (``upstreams.0.url`` inside)."""

from apps.catalog.services.apis import (
    api_create,
    api_delete,
    api_deprecate,
    api_publish,
    api_retire,
    api_rollback,
    api_transition,
    api_unpublish,
    api_update,
)
from apps.catalog.services.hosts import host_claim, host_grant, host_prove, host_recheck, host_remove
from apps.catalog.services.imports import (
    ImportResult,
    api_create_from_openapi,
    openapi_import,
    openapi_read,
    openapi_take,
)
from apps.catalog.services.upstreams import upstream_add, upstream_remove, upstream_update

__all__ = [
    "ImportResult",
    "api_create",
    "api_create_from_openapi",
    "api_delete",
    "api_deprecate",
    "api_publish",
    "api_retire",
    "api_rollback",
    "api_transition",
    "api_unpublish",
    "api_update",
    "host_claim",
    "host_grant",
    "host_prove",
    "host_recheck",
    "host_remove",
    "openapi_import",
    "openapi_read",
    "openapi_take",
    "upstream_add",
    "upstream_remove",
    "upstream_update",
]
