"""Subscriptions: an application's right to call an API. Only an active one lets calls through."""

from contextlib import AbstractContextManager
from datetime import datetime

from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.access.choices import LIVE, SUBSCRIPTION_WORKFLOW, SubscriptionState, SubscriptionVerb
from apps.access.models import Application, Plan, Subscription
from apps.access.offers import check_offered
from apps.access.policies import can_approve_for, can_manage_subscription, can_revoke_subscription
from apps.access.services.applications import named
from apps.audit.services import Change, change
from apps.catalog.models import API
from apps.foundation.errors import Conflict
from apps.httpcache import tag_of_grant
from apps.tenants.actors import PLATFORM, Actor
from apps.tenants.policies import is_administrator
from apps.tenants.services import allow

BATCH = 500
_REFUSAL = "Only an owner of the API's tenant may do this."


def subscription_create(
    *, actor: Actor, application: Application, api: API, plan: Plan, expires_at: datetime | None = None
) -> Subscription:
    """Grant access without a request. ``Conflict`` when a live subscription is there already.

    The plan is one that the application's tenant may have on this API; an administrator may grant any.
    """
    allow(can_approve_for(actor, api), _REFUSAL)
    with changing("subscription.create", actor, application, api) as audit_entry:
        _check_grantable(actor, application, api, plan)
        audit_entry.about = subscription = grant(audit_entry, application, api, plan, expires_at)
    return subscription


def subscription_change_plan(*, actor: Actor, subscription: Subscription, plan: Plan) -> Subscription:
    """Put a live subscription under another plan, without a request; which, is as in ``subscription_create``."""
    allow(can_manage_subscription(actor, subscription), _REFUSAL)
    with changing("subscription.change_plan", actor, subscription.application, subscription.api) as audit_entry:
        if plan.pk != subscription.plan_id:
            _check_grantable(actor, subscription.application, subscription.api, plan)
        audit_entry.about = subscription
        if not put_under(audit_entry, subscription, plan):
            audit_entry.drop()
    return subscription


def subscription_suspend(*, actor: Actor, subscription: Subscription, comment: str = "") -> Subscription:
    """Stop its calls for now."""
    allow(can_manage_subscription(actor, subscription), _REFUSAL)
    return _move(actor, subscription, SubscriptionVerb.SUSPEND, comment)


def subscription_resume(*, actor: Actor, subscription: Subscription, comment: str = "") -> Subscription:
    """Let a suspended one call again, unless its end has passed."""
    allow(can_manage_subscription(actor, subscription), _REFUSAL)
    subscription.refresh_from_db(fields=["expires_at"])
    if subscription.expires_at and subscription.expires_at <= timezone.now():
        raise Conflict(f"It ended on {subscription.expires_at:%Y-%m-%d %H:%M} UTC: ask for access again.")
    return _move(actor, subscription, SubscriptionVerb.RESUME, comment)


def subscription_revoke(*, actor: Actor, subscription: Subscription, comment: str = "") -> Subscription:
    """End it for good. A new one needs a new request."""
    allow(
        can_revoke_subscription(actor, subscription), "Only an owner of the API's tenant or of its own may revoke this."
    )
    return _move(actor, subscription, SubscriptionVerb.REVOKE, comment)


def subscriptions_expire(*, now: datetime) -> int:
    """Move those whose end has passed to expired; how many. Gateways check the end by themselves: this is for people."""
    due = Subscription.objects.filter(state__in=LIVE, expires_at__lte=now).select_related(
        "application__tenant", "api__tenant"
    )
    moved = 0
    for subscription in due[:BATCH]:
        try:
            _move(PLATFORM, subscription, SubscriptionVerb.EXPIRE, "")
        except Conflict:  # revoked in the meantime
            continue
        moved += 1
    return moved


def grant(
    audit_entry: Change, application: Application, api: API, plan: Plan, expires_at: datetime | None
) -> Subscription:
    """A new active subscription, as part of the change under way."""
    check_end(expires_at)
    if Subscription.objects.filter(application=application, api=api, state__in=LIVE).exists():
        raise Conflict(f"{application} has a subscription to {api} already.")
    subscription = Subscription(application=application, api=api, plan=plan, expires_at=expires_at)
    subscription.full_clean()
    subscription.save()
    audit_entry.field("subscription", None, SubscriptionState.ACTIVE.value)
    audit_entry.field("plan", None, plan.slug)
    audit_entry.field("expires_at", None, expires_at.isoformat() if expires_at else None)
    audit_entry.affect("application", named(application))
    return subscription


def put_under(audit_entry: Change, subscription: Subscription, plan: Plan) -> bool:
    """Change a live subscription's plan, as part of the change under way; whether it was another one."""
    before = Plan.objects.get(subscriptions=subscription)
    changed = Subscription.objects.filter(pk=subscription.pk, state__in=LIVE).update(
        plan=plan, changed_at=timezone.now()
    )
    if not changed:
        raise Conflict("The subscription has ended: ask for access again.")
    subscription.refresh_from_db()
    audit_entry.field("plan", before.slug, plan.slug)
    audit_entry.affect("application", named(subscription.application))
    if before != plan:
        _forget_stored(audit_entry, subscription)
    return before != plan


def check_end(expires_at: datetime | None) -> None:
    """Refuse an end that has passed."""
    if expires_at is not None and expires_at <= timezone.now():
        raise ValidationError({"expires_at": "This is in the past."})


def _check_grantable(actor: Actor, application: Application, api: API, plan: Plan) -> None:
    if not is_administrator(actor):
        check_offered(Plan.objects.get(pk=plan.pk), API.objects.get(pk=api.pk), application.tenant)


def changing(
    verb: str, actor: Actor, application: Application, api: API, comment: str = ""
) -> AbstractContextManager[Change]:
    """The audit entry of a change to what ``application`` may do with ``api``."""
    return change(
        actor=actor,
        verb=verb,
        target_type="subscription",
        target=f"{named(application)} → {api.slug}",
        tenant=application.tenant.slug,
        comment=comment,
    )


def _forget_stored(audit_entry: Change, subscription: Subscription) -> None:
    """End the responses that were stored for this application and its subjects alone: they were made under the right
    that changes.
    """
    audit_entry.affect("stored", tag_of_grant(subscription.api.slug, named(subscription.application)))


def _move(actor: Actor, subscription: Subscription, verb: SubscriptionVerb, comment: str) -> Subscription:
    sources, goal = SUBSCRIPTION_WORKFLOW[verb]
    with changing(
        f"subscription.{verb.value}", actor, subscription.application, subscription.api, comment
    ) as audit_entry:
        before = Subscription.objects.values_list("state", flat=True).get(pk=subscription.pk)
        moved = Subscription.objects.filter(pk=subscription.pk, state__in=sources).update(
            state=goal, comment=comment, changed_at=timezone.now()
        )
        if not moved:
            label = SubscriptionState(before).label.lower()
            raise Conflict(f"The subscription is {label}: {verb.label.lower()} is not possible.")
        audit_entry.field("state", before, goal.value)
        audit_entry.about = subscription
        audit_entry.affect("application", named(subscription.application))
        if verb is not SubscriptionVerb.RESUME:
            _forget_stored(audit_entry, subscription)
    subscription.refresh_from_db()
    return subscription
