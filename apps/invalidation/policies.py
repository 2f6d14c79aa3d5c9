"""Who may set up webhooks and CDNs: who may edit the API."""

from django.db.models import QuerySet

from apps.catalog.models import API
from apps.catalog.policies import apis_configured_by, can_edit_api
from apps.invalidation.models import CDN, PurgeWebhook, RefusedMessage
from apps.tenants.actors import Actor
from apps.tenants.policies import is_administrator


def can_configure(user: Actor | None, api: API) -> bool:
    """Owners and developers of the API's tenant."""
    return can_edit_api(user, api)


def webhooks_visible_to(user: Actor | None) -> QuerySet[PurgeWebhook]:
    """Those of one's own tenants' APIs."""
    return PurgeWebhook.objects.filter(api__in=apis_configured_by(user)).select_related("api")


def cdns_visible_to(user: Actor | None) -> QuerySet[CDN]:
    """Those of one's own tenants' APIs."""
    return CDN.objects.filter(api__in=apis_configured_by(user)).select_related("api")


def refused_messages_visible_to(user: Actor | None) -> QuerySet[RefusedMessage]:
    """Administrators see them: a message that can't be read belongs to no tenant."""
    return RefusedMessage.objects.all() if is_administrator(user) else RefusedMessage.objects.none()
