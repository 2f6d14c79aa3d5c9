"""Makes true what the file says of issuers, introspection servers and the client IDs of applications."""

from typing import Any, TypeVar

from django.db.models import QuerySet

from apps.access import services as access
from apps.access.choices import CredentialKind, KeyState
from apps.access.models import Application, Credential, Introspection, Issuer
from apps.access.token_documents import in_introspection_words, introspection_document, issuer_document
from apps.declarative import entries
from apps.declarative.entries import FileEntry
from apps.declarative.run import FileRun
from apps.tenants.actors import PLATFORM
from apps.tenants.models import Tenant

Known = TypeVar("Known", Issuer, Introspection)


def issuers(run: FileRun, listed: list[FileEntry]) -> None:
    """The list ``issuers``."""
    for entry in listed:
        said = run.read(entry, entries.ISSUER)
        slug, tenant, fields = _taken_apart(run, entry, "issuer", said, "secret")
        row = Issuer.objects.select_related("tenant").filter(slug=slug).first()
        _refuse_another_owner(run, entry, row, tenant)
        with run.blaming(entry):
            if row is None:
                access.issuer_create(actor=PLATFORM, slug=slug, tenant=tenant, **fields)
                run.added("issuer", slug)
                continue
            before, secret = issuer_document(row), row.secret
            row = access.issuer_update(actor=PLATFORM, row=row, **fields)
            run.changed("issuer", slug, before, issuer_document(row))
            if row.secret != secret:
                run.lines.append(f"~ issuer {slug}: secret")


def introspections(run: FileRun, listed: list[FileEntry]) -> None:
    """The list ``introspections``."""
    for entry in listed:
        said = run.read(entry, entries.INTROSPECTION)
        slug, tenant, fields = _taken_apart(run, entry, "introspection server", said, "client_secret")
        if "client_secret" in fields:
            fields["secret"] = fields.pop("client_secret")
        row = Introspection.objects.select_related("tenant").filter(slug=slug).first()
        _refuse_another_owner(run, entry, row, tenant)
        with run.blaming(entry), in_introspection_words():
            if row is None:
                access.introspection_create(actor=PLATFORM, slug=slug, tenant=tenant, **fields)
                run.added("introspection server", slug)
                continue
            before, secret = introspection_document(row), row.secret
            row = access.introspection_update(actor=PLATFORM, server=row, **fields)
            run.changed("introspection server", slug, before, introspection_document(row))
            if row.secret != secret:
                run.lines.append(f"~ introspection server {slug}: client_secret")


def client_id(run: FileRun, entry: FileEntry, application: Application, name: str) -> None:
    """One of an application's ``client_ids``: with the ``issuer`` or the server ``introspection`` that knows it. ``name`` is
    ``tenant/application``.
    """
    identifier = entry.data["client_id"]
    issuer = _known_to(run, entry, "issuer", Issuer)
    introspection = _known_to(run, entry, "introspection", Introspection)
    run.once(entry, "client ID", (issuer and issuer.slug, introspection and introspection.slug, identifier))
    rows = active_client_ids().filter(application=application, identifier=identifier)
    held = rows.filter(issuer=issuer, introspection=introspection).first()
    if held is None:
        with run.blaming(entry):
            held = access.client_id_add(
                actor=PLATFORM,
                application=application,
                client_id=identifier,
                issuer=issuer,
                introspection=introspection,
            )
        run.added("client ID", f"{name}/{identifier}")
    run.named.setdefault("client ID row", set()).add(held.pk)


def _known_to(run: FileRun, entry: FileEntry, word: str, model: type[Known]) -> Known | None:
    """The tenant's issuer or server that an entry names; ``None``: the platform's, whose client IDs are in one namespace."""
    slug = entry.data.get(word)
    if slug is None:
        return None
    found: Known = run.find(entry, word, model._default_manager.filter(slug=slug), f"{word} {slug}")
    return found if found.tenant_id is not None else None


def active_client_ids() -> QuerySet[Credential]:
    """Those of all applications."""
    return Credential.objects.filter(kind=CredentialKind.CLIENT_ID, state=KeyState.ACTIVE)


def _taken_apart(
    run: FileRun, entry: FileEntry, kind: str, said: dict[str, Any], secret: str
) -> tuple[str, Tenant | None, dict[str, Any]]:
    """Slug, owner and fields of an entry; its secret, too, where the environment has it."""
    fields, variable = dict(said), f"{secret}_env"
    slug, owner, named = fields.pop("slug"), fields.pop("tenant", None), fields.pop(variable, None)
    run.once(entry, kind, slug)
    if named is not None and secret in fields:
        raise run.source.refuse(entry.path, f"give {secret} or {variable}, not both")
    if (given := run.from_environment(entry, named, variable)) is not None:
        fields[secret] = given
    tenant = run.find(entry, "tenant", Tenant.objects.filter(slug=owner), f"tenant {owner}") if owner else None
    return slug, tenant, fields


def _refuse_another_owner(
    run: FileRun, entry: FileEntry, row: Issuer | Introspection | None, tenant: Tenant | None
) -> None:
    if row is not None and "tenant" in entry.data and row.tenant != tenant:
        owner = row.tenant.slug if row.tenant else "the platform"
        raise run.source.refuse((*entry.path, "tenant"), f"{row} belongs to {owner}; its owner can't change")
