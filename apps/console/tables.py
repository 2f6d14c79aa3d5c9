"""List pages as declarations."""

from collections.abc import Container, Mapping
from functools import cached_property
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_tables2 import Column, Table

from apps.access.choices import CredentialKind
from apps.access.models import AccessRequest, Application, Credential, Introspection, Issuer, Plan, Subscription
from apps.access.services.key_bounds import operation_text
from apps.audit.models import Entry
from apps.caching.models import Purge
from apps.catalog.choices import SERVED
from apps.catalog.models import API, Revision
from apps.catalog.policies import can_view_api, can_view_configuration
from apps.console import figure_words, number_format
from apps.console.columns import (
    ActionsColumn,
    BesideColumn,
    NameColumn,
    NumberColumn,
    StateColumn,
    TimeColumn,
    link,
)
from apps.console.lists import first_letters
from apps.console.sparkline import spark
from apps.console.templatetags.console import state
from apps.invalidation.choices import ForwardingState
from apps.notifications.models import Notification
from apps.tenants.choices import Role
from apps.tenants.models import Membership, Tenant, User
from apps.tenants.policies import is_administrator, tenants_of
from apps.warming.models import WarmUp


def api_url(api: API) -> str:
    """The page of an API, for the members of its tenant."""
    return reverse("console:api", args=[api.slug])


def api_link(user: User, api: API) -> str:
    """Where ``user`` may read of an API: its page, its entry in the catalogue, or nowhere ("")."""
    if can_view_configuration(user, api):
        return api_url(api)
    return reverse("console:catalogue_entry", args=[api.slug]) if can_view_api(user, api) else ""


def application_url(application: Application) -> str:
    """The page of an application."""
    return reverse("console:application", args=[application.tenant.slug, application.slug])


def request_url(request: AccessRequest) -> str:
    """The page of an access request."""
    return reverse("console:request", args=[request.pk])


def tenant_url(tenant: Tenant) -> str:
    """The page of a tenant."""
    return reverse("console:tenant", args=[tenant.slug])


class Everything(Container[int]):
    """Holds whatever is asked for: an administrator's tenants."""

    def __contains__(self, item: object) -> bool:
        return True


class ConsoleTable(Table):
    """A table; ``beside`` holds numbers of its rows that come from elsewhere (analytics), by name."""

    def __init__(self, *args: Any, beside: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.beside = beside or {}

    @property
    def explained(self) -> list[tuple[str, str]]:
        """The head of each column of figures, and what they count."""
        return [(each.header, each.column.means) for each in self.columns if isinstance(each.column, BesideColumn)]

    @cached_property
    def owner_of(self) -> Container[int]:
        """Tenants in which the reader is owner: asked once for all rows."""
        return self._tenants(Role.OWNER)

    @cached_property
    def member_of(self) -> Container[int]:
        """Tenants in which the reader has any role."""
        return self._tenants()

    @cached_property
    def builder_of(self) -> Container[int]:
        """Tenants in which the reader is owner or developer."""
        return self._tenants(Role.OWNER, Role.DEVELOPER)

    def _tenants(self, *roles: Role) -> Container[int]:
        user = self.request.user
        if is_administrator(user):
            return Everything()
        return set(tenants_of(user, *roles).values_list("pk", flat=True))


def slug_of(api: API) -> str:
    """The name under which analytics knows an API."""
    return api.slug


def hit_ratio(row: Mapping[str, Any] | None) -> object:
    """An API's hit ratio with what is left out in sight, and its parts in a tooltip."""
    return figure_words.hit_ratio_cell(row) if row else number_format.DASH


def p95_of_all(row: Mapping[str, Any] | None) -> object:
    """An API's latency, with the calls behind it and whose the time was in a tooltip."""
    return figure_words.latency_cell(row, "all", "p95") if row else number_format.DASH


class APITable(ConsoleTable):
    """APIs with the traffic of the last day."""

    name = NameColumn(verbose_name="Name", url=api_url, below=lambda api: api.listen_path)
    tenant = Column("Owner", accessor="tenant__name")
    state = StateColumn()
    calls = BesideColumn(
        verbose_name="Calls, 24 h", key=slug_of, read=lambda row: row["calls"], means=figure_words.CALLS
    )
    hit_ratio = BesideColumn(
        verbose_name="Hit ratio", key=slug_of, read=lambda row: row, form=hit_ratio, means=figure_words.HIT_RATIO
    )
    p95 = BesideColumn(
        verbose_name="p95", key=slug_of, read=lambda row: row, form=p95_of_all, means=figure_words.latency("all")
    )
    spark = BesideColumn(
        verbose_name="Trend", key=slug_of, read=lambda row: row.get("spark"), form=spark, means=figure_words.TREND
    )

    class Meta:
        order_by = "name"


class RequestTable(ConsoleTable):
    """Access requests: who asks for what."""

    application = NameColumn(
        verbose_name="Who", url=request_url, below=lambda row: row.application.tenant.name, accessor="application__name"
    )
    api = Column("API", accessor="api__name")
    plan = Column("Plan", accessor="plan__name")
    reason = Column(orderable=False)
    state = StateColumn()
    asked = TimeColumn(verbose_name="Asked", accessor="submitted_at")

    class Meta:
        order_by = "-asked"

    def render_reason(self, value: str) -> str:
        """Its beginning."""
        return first_letters(value, 70)


class QueueTable(RequestTable):
    """The same with the decision in place."""

    actions = ActionsColumn("access/request_actions.html")

    class Meta:
        order_by = "asked"


class SubscriptionTable(ConsoleTable):
    """Who may call what."""

    application = NameColumn(
        verbose_name="Application",
        url=lambda row: application_url(row.application),
        below=lambda row: row.application.tenant.name,
        accessor="application__name",
        linked=lambda row, table: row.application.tenant_id in table.member_of,  # its page is not for the API's side
    )
    api = Column("API", accessor="api__name")
    plan = Column("Plan", accessor="plan__name")
    state = StateColumn()
    since = TimeColumn(verbose_name="Since", accessor="created_at")
    until = TimeColumn(verbose_name="Until", accessor="expires_at", none="no end")
    actions = ActionsColumn("access/subscription_actions.html")

    class Meta:
        order_by = "-since"

    def render_state(self, record: Subscription) -> SafeString:
        """With what was said when it came to be so."""
        badge = state(record.state)
        said = first_letters(record.comment, 100)
        return format_html('{}<span class="cell-sub">{}</span>', badge, said) if said else badge

    def render_api(self, record: Subscription) -> SafeString | API:
        """Linked to where the reader may read of it."""
        api = record.api
        if api.tenant_id in self.member_of:
            return link(api_url(api), api)
        if api.state in SERVED:
            return link(reverse("console:catalogue_entry", args=[api.slug]), api)
        return api


class PlanTable(ConsoleTable):
    """Plans and what they allow."""

    name = NameColumn(url=lambda plan: reverse("console:plan", args=[plan.slug]), below=lambda plan: plan.description)
    rate = Column("Rate", accessor="rate_calls", empty_values=(), orderable=False)
    quota = Column(empty_values=(), orderable=False)
    subscriptions = NumberColumn(verbose_name="Subscriptions", accessor="live_subscriptions")

    def render_rate(self, record: Plan) -> str:
        """The token bucket in words."""
        if record.rate_calls is None:
            return "no limit"
        burst = record.burst or record.rate_calls
        return f"{record.rate_calls:,} per {number_format.per(record.rate_period)}, up to {burst:,} at once"

    def render_quota(self, record: Plan) -> str:
        """The quota in words."""
        return "no limit" if record.quota is None else f"{record.quota:,} per {record.quota_period}"


class ApplicationTable(ConsoleTable):
    """Applications with their credentials and subscriptions counted."""

    name = NameColumn(url=application_url, below=lambda row: row.description)
    tenant = Column("Tenant", accessor="tenant__name")
    credentials = NumberColumn(verbose_name="Credentials", accessor="active_credentials")
    subscriptions = NumberColumn(verbose_name="May call", accessor="live_subscriptions")
    used = TimeColumn(verbose_name="Last call", accessor="last_used", none="never")
    calls = BesideColumn(
        verbose_name="Calls, 24 h",
        key=lambda row: f"{row.tenant.slug}/{row.slug}",
        read=lambda row: row["calls"],
        means=figure_words.CALLS,
    )


class CredentialTable(ConsoleTable):
    """What an application is known by."""

    name = Column()
    kind = Column()
    known_by = Column(verbose_name="Known by", accessor="shown", orderable=False)
    state = StateColumn(verbose_name="State", accessor="shown_state", orderable=False)
    created = TimeColumn(verbose_name="Made", accessor="created_at")
    used = TimeColumn(verbose_name="Last used", accessor="last_used_at", none="never")
    expires = TimeColumn(verbose_name="Good until", accessor="expires_at", none="no end")
    actions = ActionsColumn("access/key_actions.html")

    class Meta:
        order_by = "-created"

    def render_known_by(self, record: Credential) -> SafeString:
        """A key's first characters, or what is no secret, with whose tokens a client ID counts in."""
        shown = format_html('<code title="{}">{}</code>', record.shown, first_letters(record.shown, 24))
        if record.kind != CredentialKind.CLIENT_ID:
            return shown
        whose = record.issuer or record.introspection or "the platform's issuers"
        return format_html('{}<span class="cell-sub">of {}</span>', shown, whose)

    def render_name(self, record: Credential) -> SafeString:
        """The name, and what it is limited to."""
        apis = [str(record.api)] if record.api_id is not None else record.apis or []
        operations = [operation_text(each) for each in record.operations or ()]
        limits = [", ".join(each) for each in (apis, record.methods or [], operations) if each]
        if record.addresses:
            limits.append(f"from {', '.join(record.addresses)}")
        if not limits:
            return format_html('<span class="table-name">{}</span>', record.name)
        return format_html(
            '<span class="table-name">{}</span><span class="cell-sub">only {}</span>', record.name, "; ".join(limits)
        )


def issuer_url(issuer: Issuer) -> str:
    """The page of an issuer of tokens."""
    return reverse("console:issuer", args=[issuer.slug])


def introspection_url(introspection: Introspection) -> str:
    """The page of an introspection server."""
    return reverse("console:introspection", args=[introspection.slug])


class IssuerTable(ConsoleTable):
    """Issuers of tokens."""

    name = NameColumn(verbose_name="Name", accessor="slug", url=issuer_url, below=lambda issuer: issuer.issuer)
    tenant = Column("Owner", accessor="tenant__name", default="the platform")
    audience = Column(empty_values=(), orderable=False)
    algorithms = Column(orderable=False)

    class Meta:
        order_by = "name"

    def render_audience(self, record: Issuer) -> str:
        """What aud must name."""
        return ", ".join(record.audience) or "any"

    def render_algorithms(self, value: list[str]) -> str:
        """What a signature may have."""
        return ", ".join(value)


class IntrospectionTable(ConsoleTable):
    """Introspection servers."""

    name = NameColumn(verbose_name="Name", accessor="slug", url=introspection_url)
    tenant = Column("Owner", accessor="tenant__name", default="the platform")
    cache = Column("A token is remembered for", orderable=False)

    class Meta:
        order_by = "name"

    def render_cache(self, value: float) -> str:
        """For how long at most."""
        return number_format.duration(value)


class RevisionTable(ConsoleTable):
    """What was saved of an API, by whom."""

    number = NameColumn(
        verbose_name="Revision", url=lambda row: reverse("console:api_revision", args=[row.api.slug, row.number])
    )
    comment = Column(orderable=False, default="–")
    author = Column(orderable=False, default="the platform")
    created_at = TimeColumn(verbose_name="Saved")

    class Meta:
        order_by = "-number"

    def render_number(self, record: Revision) -> SafeString:
        """Its number, marked when it is the one in force."""
        text = link(reverse("console:api_revision", args=[record.api.slug, record.number]), f"Revision {record.number}")
        return format_html("{} {}", text, state("active", "newest")) if record.number == record.api.revision else text


def forwarded(purge: Purge) -> SafeString:
    """What became of a purge at the CDN, as a line below its receipt; empty where the API has none."""
    forwarding = getattr(purge, "forwarding", None)
    if forwarding is None:
        return SafeString("")
    said = f": {forwarding.detail}" if forwarding.detail else ""
    return format_html('<span class="cell-sub">CDN: {}{}</span>', forwarding.get_state_display().lower(), said)


class PurgeTable(ConsoleTable):
    """Purges with their receipts."""

    what = Column("Purged", accessor="kind", orderable=False)
    api = Column("API", accessor="api_slug")
    who = Column("By", accessor="actor_email", default="the platform")
    at = TimeColumn(verbose_name="When")
    receipt = Column(empty_values=(), orderable=False)

    class Meta:
        order_by = "-at"

    @property
    def changes(self) -> bool:
        """Whether a row of this page will say something else in a moment."""
        forwardings = (getattr(row.record, "forwarding", None) for row in self.paginated_rows)
        return any(each is not None and each.state == ForwardingState.WAITING for each in forwardings)

    def render_what(self, record: Purge) -> SafeString:
        """Kind and value, and whether it was a soft one."""
        value = format_html(" <code>{}</code>", record.value) if record.value else ""
        return format_html("{}{}{}", record.get_kind_display(), value, ", soft" if record.soft else "")

    def render_receipt(self, record: Purge) -> SafeString:
        """In force on how many workers."""
        if not record.workers:
            return format_html('<span class="quiet">no gateway ran</span>{}', forwarded(record))
        kind = "active" if record.in_force >= record.workers else "pending"
        slowest = (
            "" if record.slowest_ms is None else f", slowest {number_format.whole_milliseconds(record.slowest_ms)}"
        )
        return format_html(
            '<span class="receipt m-{}">in force on {} of {}{}</span>{}',
            kind,
            record.in_force,
            record.workers,
            slowest,
            forwarded(record),
        )


def warm_up_url(warm_up: WarmUp) -> str:
    """The page of a warm-up."""
    return reverse("console:warm_up", args=[warm_up.pk])


class WarmUpTable(ConsoleTable):
    """Warm-ups and how far they are."""

    what = NameColumn(
        verbose_name="Warm-up", url=warm_up_url, accessor="api_slug", below=lambda row: row.get_cause_display()
    )
    who = Column("By", accessor="actor_email", default="the platform")
    at = TimeColumn(verbose_name="When", accessor="created_at")
    state = StateColumn(orderable=False)
    far = Column("Fetched", accessor="sentence", orderable=False)

    class Meta:
        order_by = "-at"

    def render_far(self, record: WarmUp) -> str:
        """How far it is, once there is more to say than its state."""
        return record.sentence if record.total is not None or record.note else number_format.DASH

    @property
    def changes(self) -> bool:
        """Whether a row of this page will say something else in a moment."""
        return any(not row.record.is_over for row in self.paginated_rows)


class AuditTable(ConsoleTable):
    """Who did what, when."""

    what = NameColumn(
        verbose_name="What",
        accessor="verb",
        url=lambda entry: reverse("console:audit_entry", args=[entry.epoch]),
        below=lambda entry: entry.comment,
    )
    target = Column("Object", orderable=False)
    who = Column("By", accessor="actor_email", default="the platform")
    via = Column("Through")
    at = TimeColumn(verbose_name="When")
    epoch = NumberColumn(verbose_name="Number")

    class Meta:
        order_by = "-epoch"

    def render_target(self, record: Entry) -> str:
        """What it was done to."""
        return f"{record.target_type} {record.target}".strip()


class TenantTable(ConsoleTable):
    """Tenants, their people and programs counted."""

    name = NameColumn(url=tenant_url, below=lambda tenant: tenant.slug)
    state = StateColumn()
    people = NumberColumn(verbose_name="People", accessor="people")
    applications = NumberColumn(verbose_name="Applications", accessor="programs")
    apis = NumberColumn(verbose_name="APIs", accessor="owned_apis")
    created_at = TimeColumn(verbose_name="Since")


class MemberTable(ConsoleTable):
    """People of a tenant."""

    user = Column("Who", accessor="user__email")
    role = Column()
    since = TimeColumn(verbose_name="Since", accessor="created_at")
    actions = ActionsColumn("platform/member_actions.html")

    def render_user(self, record: Membership) -> SafeString:
        """Name and address."""
        below = format_html('<span class="cell-sub">{}</span>', record.user.email) if record.user.name else ""
        return format_html('<span class="table-name">{}</span>{}', record.user, below)

    def render_role(self, record: Membership) -> str:
        """The role as a word."""
        return record.get_role_display()


class UserTable(ConsoleTable):
    """People of the platform."""

    email = NameColumn(
        verbose_name="Who", url=lambda user: reverse("console:user", args=[user.pk]), below=lambda user: user.name
    )
    tenants = Column("Member of", empty_values=(), orderable=False)
    is_active = Column("State")
    last_login = TimeColumn(verbose_name="Last sign-in", none="never")

    def render_is_active(self, record: User) -> SafeString:
        """Whether they may sign in."""
        return state("active" if record.is_active else "inactive")

    def render_tenants(self, record: User) -> str:
        """Where they are members, and as what."""
        roles = [f"{membership.tenant} ({membership.role})" for membership in record.memberships.all()]
        return ", ".join((["platform administrator"] if record.is_administrator else []) + roles) or number_format.DASH


class ContractReportTable(ConsoleTable):
    """In what calls were not as the OpenAPI document has them."""

    operation = Column(verbose_name="Operation", default="not described")
    place = Column(verbose_name="Place")
    rule = Column(verbose_name="Rule")
    calls = NumberColumn(verbose_name="Calls")
    last_at = TimeColumn(verbose_name="Last")
    call_id = Column(verbose_name="Newest call", orderable=False)

    class Meta:
        order_by = "-last_at"

    def render_call_id(self, value: str) -> SafeString:
        """A link to the call, which explains it."""
        return link(reverse("console:call", args=[value]), value, css="")


class NotificationTable(ConsoleTable):
    """What the reader was notified of; unread ones have a mark and a button."""

    title = Column(verbose_name="What", orderable=False)
    tenant = Column("As a member of", accessor="tenant__name", orderable=False)
    actor = Column("By", orderable=False)
    at = TimeColumn(verbose_name="When")
    actions = ActionsColumn("notifications/actions.html")

    class Meta:
        order_by = "-at"

    def render_title(self, record: Notification) -> str:
        """The change as a link to what it is about, with what was said of it."""
        return render_to_string("notifications/title.html", {"record": record})
