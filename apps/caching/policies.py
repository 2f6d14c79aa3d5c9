"""Who may purge, and who sees purges. Policies belong to their APIs: who may edit those may edit them."""

from django.db.models import QuerySet

from apps.caching.models import Purge
from apps.catalog.models import API
from apps.catalog.policies import apis_configured_by, can_edit_api
from apps.tenants.actors import Actor
from apps.tenants.policies import is_administrator


def can_purge(user: Actor | None, api: API) -> bool:
    """Owners and developers of the API's tenant."""
    return can_edit_api(user, api)


def purges_visible_to(user: Actor | None) -> QuerySet[Purge]:
    """Those of one's own tenants' APIs; administrators also those of deleted ones."""
    if is_administrator(user):
        return Purge.objects.all()
    return Purge.objects.filter(api_slug__in=apis_configured_by(user).values("slug"))
