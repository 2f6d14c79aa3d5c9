"""What people are notified of: a line for each kind of change, by its verb in the audit log.

A change that says what it is ``about`` (``apps.audit.services.Change``) and has a line here reaches the people of the sides that
the line names; who these are is in ``sides.py``. What nobody is notified of is in ``SILENT``, with the reason;
``tests/notifications/test_kinds.py`` knows every verb of the services and fails for one that is in neither.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.access.choices import Side
from apps.access.models import AccessRequest
from apps.access.services.plans import LIMITS
from apps.notifications.choices import Group

BOTH = (Side.CALLER, Side.PROVIDER)

Changes = Mapping[str, list[Any]]


def nothing(about: object, changes: Changes) -> str:
    """No more than the title."""
    return ""


def reason(about: AccessRequest, changes: Changes) -> str:
    """Why access is asked for, and under which plan."""
    return f"{about.reason}\n\nPlan: {about.plan}."


def granted(about: AccessRequest, changes: Changes) -> str:
    """What was granted, and until when."""
    until = f" It ends on {about.expires_at:%-d %B %Y, %H:%M} UTC." if about.expires_at else ""
    return f"Plan: {about.plan}.{until}"


def limits(about: object, changes: Changes) -> str:
    """Each limit of a plan that changed, before and after."""
    return "\n".join(
        f"{name.replace('_', ' ').capitalize()}: {_shown(before)} → {_shown(after)}"
        for name, (before, after) in changes.items()
        if name in LIMITS
    )


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


@dataclass(frozen=True)
class Kind:
    """One kind of notification. ``title`` is formatted with the words of what it is about (``sides.words_of``)."""

    group: Group
    to: tuple[Side, ...]
    title: str
    detail: Callable[[Any, Changes], str] = nothing


_SUBSCRIPTION = "The subscription of {application} to {api}"
_REQUEST = "The request of {application} for access to {api}"

KINDS: dict[str, Kind] = {
    "request.submit": Kind(
        Group.REQUESTS, (Side.PROVIDER,), "{tenant} asks for access to {api} for {application}", reason
    ),
    "request.ask": Kind(Group.REQUESTS, (Side.CALLER,), f"{_REQUEST} needs an answer from you"),
    "request.approve": Kind(Group.REQUESTS, BOTH, f"{_REQUEST} was approved", granted),
    "request.reject": Kind(Group.REQUESTS, BOTH, f"{_REQUEST} was rejected"),
    "request.cancel": Kind(Group.REQUESTS, BOTH, f"{_REQUEST} was taken back"),
    "subscription.create": Kind(Group.SUBSCRIPTIONS, BOTH, "{application} may call {api}, under the plan {plan}"),
    "subscription.change_plan": Kind(Group.SUBSCRIPTIONS, BOTH, f"{_SUBSCRIPTION} is under the plan {{plan}} now"),
    "subscription.suspend": Kind(Group.SUBSCRIPTIONS, BOTH, f"{_SUBSCRIPTION} was suspended: its calls are refused"),
    "subscription.resume": Kind(Group.SUBSCRIPTIONS, BOTH, f"{_SUBSCRIPTION} was resumed"),
    "subscription.revoke": Kind(Group.SUBSCRIPTIONS, BOTH, f"{_SUBSCRIPTION} was revoked: its calls are refused"),
    "subscription.expire": Kind(Group.SUBSCRIPTIONS, BOTH, f"{_SUBSCRIPTION} has ended: its calls are refused"),
    "subscription.ends_soon": Kind(Group.ENDS, BOTH, f"{_SUBSCRIPTION} ends on {{ends}}"),
    "key.revoke": Kind(Group.SUBSCRIPTIONS, (Side.CALLER,), "The {credential} {key} of {application} was revoked"),
    "key.leak": Kind(
        Group.SUBSCRIPTIONS,
        (Side.CALLER,),
        "The {credential} {key} of {application} was found where others can read it: replace it",
    ),
    "key.ends_soon": Kind(Group.ENDS, (Side.CALLER,), "The {credential} {key} of {application} ends on {ends}"),
    "replaced_key.ends_soon": Kind(
        Group.ENDS,
        (Side.CALLER,),
        "The replaced {credential} {key} of {application} is still used, and ends on {ends}",
    ),
    "plan.update": Kind(Group.SUBSCRIPTIONS, (Side.CALLER,), "The limits of the plan {plan} changed", limits),
    "api.publish": Kind(Group.APIS, BOTH, "{api} is published"),
    "api.unpublish": Kind(Group.APIS, BOTH, "{api} was taken from the gateways: calls to it are refused"),
    "api.deprecate": Kind(Group.APIS, BOTH, "{api} is deprecated: it goes on, and takes no new subscriptions"),
    "api.retire": Kind(Group.APIS, BOTH, "{api} was retired: calls to it are refused"),
    "tenant.suspend": Kind(Group.SUBSCRIPTIONS, (Side.CALLER,), "{tenant} was suspended: its calls are refused"),
    "tenant.resume": Kind(Group.SUBSCRIPTIONS, (Side.CALLER,), "{tenant} was resumed: its calls are answered again"),
}

SILENT: dict[str, str] = {
    "request.create": "a draft is its tenant's own; the request counts once it is submitted",
    "request.update": "it is read anew when it is submitted again",
    "key.create": "the tenant's own work, and it takes nothing from anybody",
    "key.import": "the tenant's own work, and it takes nothing from anybody",
    "key.update": "the tenant's own work",
    "key.rotate": "the tenant's own work; the old key goes on for its overlap",
    "key.try": "a key of a minute",
    "key.clean": "keys of a minute that are over",
    "signing_key.create": "the tenant's own work, and it takes nothing from anybody",
    "signing_key.import": "the tenant's own work, and it takes nothing from anybody",
    "certificate.add": "the tenant's own work, and it takes nothing from anybody",
    "client_id.add": "the tenant's own work, and it takes nothing from anybody",
    "issuer.create": "no API takes its tokens yet",
    "issuer.update": "the work of those whose issuer it is",
    "issuer.delete": "only one whose tokens no API takes can be deleted",
    "revocation.token": "whose it is, only the issuer knows",
    "revocation.subject": "who it is, only the issuer knows",
    "revocation.restore": "who it is, only the issuer knows",
    "revocation.clean": "tokens that are over",
    "introspection.create": "no API asks it yet",
    "introspection.update": "the work of those whose server it is",
    "introspection.delete": "only one that no API asks can be deleted",
    "application.create": "the tenant's own work",
    "application.update": "the tenant's own work",
    "application.delete": "the tenant's own decision, and nothing is left to lead to",
    "plan.create": "no application is under it yet",
    "plan.delete": "no application was ever under it",
    "api.create": "a draft that no application calls",
    "api.import": "a draft that no application calls, or a save like others",
    "api.update": "every save is a revision: the API's page lists them",
    "api.rollback": "every save is a revision: the API's page lists them",
    "api.delete": "only one without subscriptions can be deleted",
    "tenant.create": "it has no members yet",
    "tenant.update": "a name",
    "tenant.delete": "nothing is left to lead to",
}
