"""Applications: programs of a tenant."""

from typing import TypedDict, Unpack

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from apps.access.choices import LIVE
from apps.access.models import Application
from apps.access.policies import can_create_application, can_edit_application
from apps.audit.services import change
from apps.httpcache import tag_of_application
from apps.tenants.actors import Actor
from apps.tenants.models import Tenant
from apps.tenants.services import allow


class ApplicationFields(TypedDict, total=False):
    """What ``application_update`` changes."""

    name: str
    description: str


def named(application: Application) -> str:
    """``acme/bot``: how the file, the REST API and the audit log name an application."""
    return f"{application.tenant.slug}/{application.slug}"


def application_named(name: str, among: QuerySet[Application]) -> Application:
    """The one that ``named`` names so. Raises ``ValidationError`` with a sentence for who wrote it."""
    tenant, _, slug = name.partition("/")
    found = among.select_related("tenant").filter(tenant__slug=tenant, slug=slug).first()
    if found is None:
        raise ValidationError("There is no such application: write tenant/application, like acme/bot.")
    return found


def application_create(*, actor: Actor, tenant: Tenant, slug: str, name: str, description: str = "") -> Application:
    """A new application, without keys and subscriptions."""
    allow(can_create_application(actor, tenant), "Only owners and developers of the tenant may add applications to it.")
    application = Application(tenant=tenant, slug=slug, name=name, description=description)
    with change(
        actor=actor,
        verb="application.create",
        target_type="application",
        target=named(application),
        tenant=tenant.slug,
    ) as audit_entry:
        application.full_clean()
        application.save()
        audit_entry.field("name", None, name)
    return application


def application_update(*, actor: Actor, application: Application, **fields: Unpack[ApplicationFields]) -> Application:
    """Change name or description. Returns the saved application."""
    allow(can_edit_application(actor, application), "Only owners and developers of its tenant may change it.")
    with change(
        actor=actor,
        verb="application.update",
        target_type="application",
        target=named(application),
        tenant=application.tenant.slug,
    ) as audit_entry:
        application = Application.objects.select_related("tenant").get(pk=application.pk)
        for name, value in fields.items():
            audit_entry.field(name, getattr(application, name), value)
            setattr(application, name, value)
        if not audit_entry.changes:
            audit_entry.drop()
        application.full_clean()
        application.save()
    return application


def application_delete(*, actor: Actor, application: Application) -> None:
    """Remove an application with its keys, subscriptions and requests: its keys stop working at once."""
    allow(can_edit_application(actor, application), "Only owners and developers of its tenant may delete it.")
    with change(
        actor=actor,
        verb="application.delete",
        target_type="application",
        target=named(application),
        tenant=application.tenant.slug,
    ) as audit_entry:
        keys = list(application.keys.values_list("digest", flat=True))
        audit_entry.field("keys", len(keys), 0)
        audit_entry.field("subscriptions", application.subscriptions.filter(state__in=LIVE).count(), 0)
        for digest in keys:
            audit_entry.affect("key", digest)
        audit_entry.affect("stored", tag_of_application(named(application)))
        application.delete()
