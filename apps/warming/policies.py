"""Who may push entries and warm up, and who sees warm-ups: users who may purge, and users who see purges."""

from django.db.models import QuerySet

from apps.catalog.models import API
from apps.catalog.policies import apis_configured_by, can_edit_api
from apps.tenants.actors import Actor
from apps.tenants.policies import is_administrator
from apps.warming.models import WarmUp


def can_push(user: Actor | None, api: API) -> bool:
    """Owners and developers of the API's tenant."""
    return can_edit_api(user, api)


def can_warm_up(user: Actor | None, api: API) -> bool:
    """Owners and developers of the API's tenant."""
    return can_edit_api(user, api)


def can_cancel(user: Actor | None, warm_up: WarmUp) -> bool:
    """Users who may start one of its API; administrators, also when the API is gone."""
    if is_administrator(user):
        return True
    api = API.objects.select_related("tenant").filter(slug=warm_up.api_slug).first()
    return api is not None and can_warm_up(user, api)


def warm_ups_visible_to(user: Actor | None) -> QuerySet[WarmUp]:
    """Those of one's own tenants' APIs; administrators also those of deleted ones."""
    if is_administrator(user):
        return WarmUp.objects.all()
    return WarmUp.objects.filter(api_slug__in=apis_configured_by(user).values("slug"))
