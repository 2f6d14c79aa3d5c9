"""Who may purge, and who sees purges. Policies belong to their APIs: who may edit those may edit them."""

from django.db.models import Q, QuerySet

from apps.access.models import Application, Subscription
from apps.access.policies import applications_visible_to, can_view_application
from apps.caching.models import Purge
from apps.catalog.choices import DebugHeaders
from apps.catalog.models import API
from apps.catalog.policies import (
    apis_configured_by,
    apis_editable_by,
    can_edit_api,
    can_view_api,
    can_view_configuration,
)
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


def can_explain(user: Actor | None, api: API, application: Application | None, *, subscribed: bool) -> bool:
    """Who may learn what the cache makes of a call to ``api`` by ``application`` (``None``: an anonymous call, or one
    with a key of its own).

    Owners and developers of the API's tenant: any call. Its other members: anonymous calls and those of their own
    applications. Everybody else, as far as the API shows its cache to callers at all (``debug_headers``): the same,
    where ``subscribed`` says that the caller is one of its subscribers, or every caller is shown it.
    """
    if can_edit_api(user, api):
        return True
    if application is not None and not can_view_application(user, application):
        return False
    if can_view_configuration(user, api):
        return True
    if not can_view_api(user, api):
        return False
    return api.debug_headers == DebugHeaders.ALL or (api.debug_headers == DebugHeaders.SUBSCRIBERS and subscribed)


def applications_explainable_by(user: Actor | None) -> QuerySet[Application]:
    """One's own tenants' applications, and those with access to an API that one may edit."""
    callers = Subscription.objects.filter(api__in=apis_editable_by(user)).values("application")
    mine = applications_visible_to(user).values("pk")
    return Application.objects.filter(Q(pk__in=mine) | Q(pk__in=callers)).select_related("tenant")


def sees_others_entries(user: Actor | None, api: API) -> bool:
    """Who may learn what is stored for other tenants' callers: owners and developers of the API's tenant."""
    return can_edit_api(user, api)
