"""Who may do what the reader may not: a sentence for the page that refuses, with the colleagues whom they can ask.

The policy itself is asked about other people, so that the sentence can't say anything else than the policy does.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import Count, QuerySet

from apps.tenants.choices import Role
from apps.tenants.models import Membership, Tenant, User
from apps.tenants.policies import is_administrator, memberships_visible_to

PEOPLE = 50
"""How many members of a tenant the policy is asked about, at most: each costs a query or two."""
NAMED = 3
"""How many colleagues are named."""
WAYS = ("tenant", "application", "api")
"""The attributes by which an object leads to the tenants that it is of."""


def who_may(reader: User, policy: Callable[..., bool], *loaded: Any) -> str:
    """Which roles of which tenant ``policy`` lets in, and who of those whom ``reader`` knows has one."""
    if is_administrator(reader):
        return "Another administrator has to do this."
    known = memberships_visible_to(reader)
    concerned = {tenant.pk for each in loaded for tenant in _tenants_of(each)}
    here = known.filter(tenant__in=concerned)
    # Whoever is in several tenants may owe it to another one.
    elsewhere = known.exclude(tenant__in=concerned).filter(user__in=_in_one_tenant())
    for memberships in (here, elsewhere):
        if able := _able(memberships, policy, loaded):
            names = list(dict.fromkeys(str(each.user) for each in able))[:NAMED]
            return f"{_roles(able)} may do this. Ask {_listed(names, 'or')}."
    others = Membership.objects.filter(tenant__in=concerned, user__in=_in_one_tenant()).select_related("user", "tenant")
    if able := _able(others, policy, loaded):
        return f"{_roles(able)} may do this."
    return "Nobody in your tenants may do this: ask an administrator of the platform."


def _tenants_of(each: Any) -> Iterable[Tenant]:
    if isinstance(each, Tenant):
        yield each
    elif not isinstance(each, User):
        for way in WAYS:
            if (further := getattr(each, way, None)) is not None:
                yield from _tenants_of(further)


def _in_one_tenant() -> QuerySet[Any, Any]:
    return User.objects.annotate(held=Count("memberships")).filter(held=1).values("pk")


def _able(memberships: QuerySet[Membership], policy: Callable[..., bool], loaded: tuple[Any, ...]) -> list[Membership]:
    people = memberships.filter(user__is_active=True, user__is_administrator=False).order_by("tenant", "user")
    return [each for each in people[:PEOPLE] if policy(each.user, *loaded)]


def _roles(able: list[Membership]) -> str:
    """The roles that they have in the first one's tenant: “Only owners and developers of Globex”."""
    tenant = able[0].tenant
    held = {each.role for each in able if each.tenant == tenant}
    roles = [f"{role.label.lower()}s" for role in Role if role in held]
    return f"Only {_listed(roles, 'and')} of {tenant}"


def _listed(words: list[str], last: str) -> str:
    return f"{', '.join(words[:-1])} {last} {words[-1]}" if len(words) > 1 else words[0]
