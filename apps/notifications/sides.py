"""Recipients of a notification: users of both sides of a change, each with a link to a page that they may open."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from django.db.models import QuerySet

from apps.access.choices import LIVE, CredentialKind, Side
from apps.access.models import AccessRequest, Application, Credential, Plan, Subscription
from apps.catalog.models import API
from apps.tenants.actors import Actor
from apps.tenants.choices import Role
from apps.tenants.models import Membership, Tenant, User

About = Subscription | AccessRequest | Credential | API | Plan | Tenant

# Of the provider, platform administrators where it has no owner: see ``people_of``.
_ROLES = {Side.CALLER: (Role.OWNER, Role.DEVELOPER), Side.PROVIDER: (Role.OWNER,)}

_CALLED: dict[str, str] = {
    CredentialKind.API_KEY: "key",
    CredentialKind.CLIENT_ID: "client ID",
    CredentialKind.CERTIFICATE: "certificate",
    CredentialKind.SIGNING_KEY: "signing key",
}
"""What a sentence calls a credential."""


@dataclass(frozen=True)
class Party:
    """A tenant on one side of a change, and what its people are led to."""

    side: Side
    tenant: Tenant
    applications: tuple[Application, ...] = ()
    api: API | None = None
    access_request: AccessRequest | None = None

    @property
    def applications_named(self) -> str:
        """Which of its applications a change of an API or of a plan is about."""
        return f"Your applications: {', '.join(map(str, self.applications))}." if self.applications else ""


def parties_of(about: About) -> list[Party]:
    """The tenants that ``about`` concerns, those that call first."""
    match about:
        case Subscription():
            return [*_callers([about.application]), _provider(about.api)]
        case AccessRequest():
            both = [*_callers([about.application]), _provider(about.api)]
            return [replace(party, access_request=about) for party in both]
        case Credential():
            return _callers([about.application])
        case API():
            return [*_callers(_calling(about.subscriptions.all())), _provider(about)]
        case Plan():
            return _callers(_calling(about.subscriptions.all()))
        case Tenant():
            return [Party(Side.CALLER, about)]


def words_of(about: About) -> dict[str, object]:
    """What a title may name of ``about``."""
    words: dict[str, object]
    match about:
        case Subscription() | AccessRequest():
            application = about.application
            words = {"application": application, "tenant": application.tenant, "api": about.api, "plan": about.plan}
        case Credential():
            words = {"key": about, "credential": _CALLED[about.kind], "application": about.application}
        case API():
            words = {"api": about}
        case Plan():
            words = {"plan": about}
        case Tenant():
            words = {"tenant": about}
    ends = getattr(about, "expires_at", None)
    return words | {"ends": f"{ends:%-d %B %Y, %H:%M} UTC" if ends else ""}


def people_of(parties: Iterable[Party]) -> Iterator[tuple[Party, User]]:
    """The active users of each party. One query, and one more where a provider has no owner."""
    parties = list(parties)
    held: dict[int, list[Membership]] = defaultdict(list)
    members = Membership.objects.filter(tenant__in={party.tenant.pk for party in parties}, user__is_active=True)
    for membership in members.select_related("user"):
        held[membership.tenant_id].append(membership)
    for party in parties:
        people = [each.user for each in held[party.tenant.pk] if each.role in _ROLES[party.side]]
        if not people and party.side is Side.PROVIDER:
            people = list(User.objects.filter(is_administrator=True, is_active=True))
        yield from ((party, user) for user in people)


class Author:
    """Who made a change, as each party may know them: by name in a tenant of theirs, else as the other side."""

    def __init__(self, actor: Actor, parties: Iterable[Party]) -> None:
        self._actor, self._parties = actor, list(parties)
        self._member_of = set[int]()
        if isinstance(actor, User):
            self._member_of = set(actor.memberships.values_list("tenant", flat=True))

    def shown_to(self, party: Party) -> str:
        """A name for a notification. What other tenants are on the same side is not disclosed."""
        if not isinstance(self._actor, User):
            return "The platform"
        if party.tenant.pk in self._member_of:
            return str(self._actor)
        for other in self._parties:
            if other.side is not party.side and other.tenant.pk in self._member_of:
                return str(other.tenant)
        return "A platform administrator"


def _provider(api: API) -> Party:
    return Party(Side.PROVIDER, api.tenant, api=api)


def _callers(applications: Iterable[Application]) -> list[Party]:
    ordered = sorted(applications, key=lambda each: (each.tenant_id, each.slug))
    return [
        Party(Side.CALLER, (own := tuple(group))[0].tenant, applications=own)
        for _, group in groupby(ordered, key=lambda each: each.tenant_id)
    ]


def _calling(subscriptions: QuerySet[Subscription]) -> QuerySet[Application]:
    live = subscriptions.filter(state__in=LIVE)
    return Application.objects.filter(pk__in=live.values("application")).select_related("tenant")
