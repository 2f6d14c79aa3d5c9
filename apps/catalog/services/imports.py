"""Import of OpenAPI documents: operations of an API, or a whole new one."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import transaction

from apps.audit.services import change
from apps.catalog import openapi, validation
from apps.catalog.document import APIFields, UpstreamFields, configuration, described
from apps.catalog.models import API, OpenAPIDocument
from apps.catalog.openapi.findings import DocumentRefused, Finding
from apps.catalog.openapi.loading import decode, load
from apps.catalog.policies import can_create_api, can_edit_api
from apps.catalog.services.apis import create
from apps.catalog.services.revisions import keep_revision, private_upstreams, replace_operations
from apps.foundation import field_names, slugs
from apps.tenants.actors import Actor
from apps.tenants.models import Tenant
from apps.tenants.services import allow


class ImportResult(NamedTuple):
    """How many operations the API has now, how many of them came and went, and what of the document isn't as it should be: message,
    pointer, line and column of each.
    """

    operations: int
    added: int
    removed: int
    warnings: list[dict[str, Any]]


def openapi_import(*, actor: Actor, api: API, content: bytes) -> ImportResult:
    """Make the API's operations those of an OpenAPI 3 or Swagger 2 document, and keep the document. Errors are on ``document``.

    Not in a transaction: the document may take a minute to be checked. ``Unavailable`` while others are being checked.
    """
    allow(can_edit_api(actor, api), "Only owners and developers of its tenant may change this API.")
    description = _read(content, api.tenant)
    _note_base_path(description, [upstream.url for upstream in api.upstreams.all()])
    return _take(actor, api, description)


def openapi_read(content: bytes, kept: dict[str, Any] | None) -> openapi.Description | None:
    """The document in ``content``, for ``openapi_take``; ``None`` if it is the one that is ``kept``. Not in a transaction."""
    try:
        if load(decode(content)) == kept:
            return None
    except DocumentRefused:
        pass  # as the reader's process says too, with the place
    return _checked(openapi.read_aside(content, "the declarative file"))


def openapi_take(*, actor: Actor, api: API, description: openapi.Description) -> ImportResult:
    """``openapi_import`` of a document that was read before, in a transaction that may be open."""
    allow(can_edit_api(actor, api), "Only owners and developers of its tenant may change this API.")
    return _take(actor, api, description)


def api_create_from_openapi(
    *,
    actor: Actor,
    tenant: Tenant,
    content: bytes,
    slug: str = "",
    upstream_url: str = "",
    **fields: Any,
) -> API:
    """A new API, as a draft, from a document: its title, summary and first server, where nothing else is given.

    A server without a host (``/v3``) is below ``upstream_url``, unless that has a path of its own.

    Not in a transaction, as ``openapi_import``.
    """
    allow(can_create_api(actor, tenant), "Only owners and developers of the tenant may register APIs for it.")
    description = _read(content, tenant)
    slug = slug or _slug(actor, description)
    wanted = APIFields(
        name=description.title or slug,
        summary=description.summary,
        documentation=description.documentation,
        listen_path=f"/{slug}/",
    )
    wanted.update(fields)
    url = _upstream(upstream_url, description)
    upstreams: list[UpstreamFields] = [{"url": url}] if url else []
    private = private_upstreams(actor, tenant, upstreams)
    comment = "Imported from an OpenAPI document"
    with transaction.atomic():
        api = create(actor, tenant, slug, upstreams, None, (), comment, wanted, private)
        _take(actor, api, description)
    return api


def _slug(actor: Actor, description: openapi.Description) -> str:
    """Made of the title. Raises ``SlugTaken``, which says so where the title is that of an API which the actor may import into."""
    try:
        return slugs.free_slug(description.title, API.objects.all())
    except slugs.SlugTaken as taken:
        there = API.objects.filter(slug=slugs.slug_of(description.title)).first()
        if there is None or not can_edit_api(actor, there):
            raise
        raise slugs.SlugTaken(
            f"Your API {there} has the short name {there.slug}. Importing on its Operations page makes this document a new"
            f" revision of it; for another API, {taken.free} is free.",
            taken.free,
        ) from None


def _digest(document: dict[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _upstream(given: str, description: openapi.Description) -> str:
    """``given``, with the path of a document whose server has no host; else the document's first server, if it has one."""
    path = "" if description.servers else description.base_path
    if given and path and urlsplit(given).path in ("", "/"):
        given = f"{given.rstrip('/')}{path}/"
        _note(description, f"The upstream is {given}: this path, at the address that was given.")
    else:
        _note_base_path(description, [given])
    return given or next(iter(description.servers), "")


def _note_base_path(description: openapi.Description, urls: Sequence[str]) -> None:
    """Say so where the document's server is a path only, below which no upstream is."""
    path = description.base_path
    if path and not description.servers and not any(url.rstrip("/").endswith(path) for url in urls):
        _note(
            description, f"The server {path} has no host, and no upstream's URL ends with this path: calls may miss it."
        )


def _note(description: openapi.Description, message: str) -> None:
    place = ("basePath",) if "swagger" in description.document else ("servers", "0", "url")
    description.warnings.insert(0, Finding(message, place).as_json())


def _read(content: bytes, tenant: Tenant) -> openapi.Description:
    return _checked(openapi.read_aside(content, tenant.slug))


def _checked(description: openapi.Description) -> openapi.Description:
    if errors := validation.operations_error(description.operations):
        raise ValidationError({"document": field_names.sentences(errors)})
    return description


def _take(actor: Actor, api: API, description: openapi.Description) -> ImportResult:
    with change(
        actor=actor, verb="api.import", target_type="api", target=api.slug, tenant=api.tenant.slug
    ) as audit_entry:
        kept = configuration(API.objects.select_related("cache_policy").get(pk=api.pk)) | described(api)
        before = set(api.operations.values_list("method", "path"))
        replace_operations(audit_entry, api, description.operations)
        after = set(api.operations.values_list("method", "path"))
        audit_entry.field("openapi", None, description.version)
        OpenAPIDocument.objects.update_or_create(
            api=api,
            defaults={
                "document": description.document,
                "version": description.version,
                "digest": _digest(description.document),
                "warnings": description.warnings,
                "contract": description.contract,
            },
        )
        keep_revision(actor, api, kept, f"Imported OpenAPI {description.version}")
        audit_entry.affect("api", api.slug)
    return ImportResult(len(after), len(after - before), len(before - after), description.warnings)
