"""Who may see which calls: administrators all; members of a tenant its calls, and all calls to the APIs that it owns."""

from dataclasses import dataclass

from django.db.models import Q, QuerySet

from apps.analytics.models import CallRecord
from apps.catalog.models import API
from apps.tenants.actors import Actor
from apps.tenants.policies import is_administrator, tenants_of


@dataclass(frozen=True)
class VisibleCalls:
    """What a user may see of calls. ``tenants`` and ``apis`` are slugs, and mean nothing when it is everything."""

    everything: bool = False
    tenants: frozenset[str] = frozenset()
    apis: frozenset[str] = frozenset()

    @classmethod
    def of(cls, user: Actor | None) -> "VisibleCalls":
        """The scope of a user; of a stranger, nothing. Two queries, none for an administrator."""
        if is_administrator(user):
            return ALL
        tenants = tenants_of(user)
        return cls(
            tenants=frozenset(tenants.values_list("slug", flat=True)),
            apis=frozenset(API.objects.filter(tenant__in=tenants).values_list("slug", flat=True)),
        )

    def condition(self) -> Q:
        """The same as a condition on calls or on figures of the full level."""
        if self.everything:
            return Q()
        return Q(tenant__in=self.tenants) | Q(api__in=self.apis)

    def covers(self, *, api: str, tenant: str) -> bool:
        """Whether all calls of this tenant, or all calls to this API, are in it. Empty: it isn't asked about one."""
        return self.everything or (tenant != "" and tenant in self.tenants) or (api != "" and api in self.apis)


ALL = VisibleCalls(everything=True)


def calls_visible_to(user: Actor | None) -> QuerySet[CallRecord]:
    """The calls that ``user`` may see."""
    return CallRecord.objects.filter(VisibleCalls.of(user).condition())


def can_view_call(user: Actor | None, call: CallRecord) -> bool:
    """Whether ``user`` may see this call."""
    return VisibleCalls.of(user).covers(api=call.api, tenant=call.tenant)
