"""What lists can be narrowed by."""

from typing import Any

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.forms import DateInput
from django_filters import CharFilter, ChoiceFilter, DateFilter, ModelChoiceFilter
from django_filters.fields import ModelChoiceField

from apps.access.choices import RequestState, SubscriptionState
from apps.access.models import AccessRequest, Application, Plan, Subscription
from apps.access.selectors import plans_visible_to
from apps.audit.models import Entry
from apps.caching.models import Purge
from apps.catalog.choices import APIState
from apps.catalog.models import API
from apps.catalog.selectors import apis_visible_to
from apps.console.forms.fields import NamedWithSlug, by_name
from apps.console.lists import ConsoleFilterSet
from apps.notifications.choices import Group
from apps.notifications.models import Notification
from apps.tenants.choices import TenantState
from apps.tenants.models import Tenant, User
from apps.tenants.selectors import tenants_visible_to


def tenants_of_reader(request: Any) -> QuerySet[Tenant]:
    """The tenants that the reader may choose from."""
    return tenants_visible_to(request.user)


def apis_of_reader(request: Any) -> QuerySet[API]:
    """The APIs that the reader may choose from."""
    return by_name(apis_visible_to(request.user))


def plans_of_reader(request: Any) -> QuerySet[Plan]:
    """The plans that the reader may choose from."""
    return plans_visible_to(request.user)


def text_in(*fields: str) -> Any:
    """A search over some columns, in any case."""

    def search(queryset: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        condition = Q()
        for field in fields:
            condition |= Q(**{f"{field}__icontains": value})
        return queryset.filter(condition)

    return search


def with_tag(queryset: QuerySet[API], name: str, value: str) -> QuerySet[API]:
    """APIs with this tag; tags are a JSON list, which both databases can read as text."""
    return queryset.annotate(tags_text=Cast("tags", TextField())).filter(tags_text__contains=f'"{value}"')


class APIFilterField(NamedWithSlug, ModelChoiceField):
    """Which API, or any."""


class APIFilter(ModelChoiceFilter):
    """One of the APIs that the reader may choose from."""

    field_class = APIFilterField


class APIFilters(ConsoleFilterSet):
    """APIs by state, owner and tag."""

    q = CharFilter(method=text_in("name", "slug", "listen_path", "summary"), label="Search")
    state = ChoiceFilter(choices=APIState.choices, empty_label="Any state")
    owner = ModelChoiceFilter(
        field_name="tenant", queryset=tenants_of_reader, to_field_name="slug", empty_label="Any owner", label="Owner"
    )
    tag = CharFilter(method="tagged", label="Tag")

    class Meta:
        model = API
        fields: list[str] = []

    def tagged(self, queryset: QuerySet[API], name: str, value: str) -> QuerySet[API]:
        """By one tag."""
        return with_tag(queryset, name, value)


class CatalogueFilters(ConsoleFilterSet):
    """The catalogue by words and tag."""

    q = CharFilter(method=text_in("name", "slug", "summary", "documentation"), label="Search")
    tag = CharFilter(method="tagged", label="Tag")

    class Meta:
        model = API
        fields: list[str] = []

    def tagged(self, queryset: QuerySet[API], name: str, value: str) -> QuerySet[API]:
        """By one tag."""
        return with_tag(queryset, name, value)


class RequestFilters(ConsoleFilterSet):
    """Access requests by state and API."""

    q = CharFilter(method=text_in("application__name", "api__name", "reason"), label="Search")
    state = ChoiceFilter(choices=RequestState.choices, empty_label="Any state")
    api = APIFilter(queryset=apis_of_reader, to_field_name="slug", empty_label="Any API", label="API")

    class Meta:
        model = AccessRequest
        fields: list[str] = []


class SubscriptionFilters(ConsoleFilterSet):
    """Subscriptions by state, API and plan."""

    q = CharFilter(method=text_in("application__name", "application__tenant__name", "api__name"), label="Search")
    state = ChoiceFilter(choices=SubscriptionState.choices, empty_label="Any state")
    api = APIFilter(queryset=apis_of_reader, to_field_name="slug", empty_label="Any API", label="API")
    plan = ModelChoiceFilter(queryset=plans_of_reader, to_field_name="slug", empty_label="Any plan")

    class Meta:
        model = Subscription
        fields: list[str] = []


class ApplicationFilters(ConsoleFilterSet):
    """Applications by tenant."""

    q = CharFilter(method=text_in("name", "slug", "description", "tenant__name"), label="Search")
    tenant = ModelChoiceFilter(queryset=tenants_of_reader, to_field_name="slug", empty_label="Any tenant")

    class Meta:
        model = Application
        fields: list[str] = []


class PurgeFilters(ConsoleFilterSet):
    """Purges by API."""

    q = CharFilter(method=text_in("value", "actor_email"), label="Search")
    api = CharFilter(field_name="api_slug", label="API")

    class Meta:
        model = Purge
        fields: list[str] = []


class AuditFilters(ConsoleFilterSet):
    """The audit log by verb, person, object and day (UTC, both included)."""

    q = CharFilter(method=text_in("verb", "target", "actor_email", "comment"), label="Search")
    verb = CharFilter(label="Verb")
    actor = CharFilter(field_name="actor_email", lookup_expr="iexact", label="By")
    tenant = CharFilter(field_name="tenant_slug", label="Tenant")
    target_type = CharFilter(label="Kind of object")
    target = CharFilter(label="Object")
    since = DateFilter(field_name="at", lookup_expr="date__gte", label="From", widget=DateInput({"type": "date"}))
    until = DateFilter(field_name="at", lookup_expr="date__lte", label="To", widget=DateInput({"type": "date"}))

    class Meta:
        model = Entry
        fields: list[str] = []


class TenantFilters(ConsoleFilterSet):
    """Tenants by state."""

    q = CharFilter(method=text_in("name", "slug"), label="Search")
    state = ChoiceFilter(choices=TenantState.choices, empty_label="Any state")

    class Meta:
        model = Tenant
        fields: list[str] = []


class UserFilters(ConsoleFilterSet):
    """People by name or address."""

    q = CharFilter(method=text_in("email", "name"), label="Search")
    tenant = ModelChoiceFilter(
        field_name="memberships__tenant",
        queryset=tenants_of_reader,
        to_field_name="slug",
        empty_label="Any tenant",
        label="Tenant",
    )

    class Meta:
        model = User
        fields: list[str] = []


class NotificationFilters(ConsoleFilterSet):
    """Notifications by kind, and whether they were read."""

    group = ChoiceFilter(choices=Group.choices, empty_label="Everything", label="About")
    unread = ChoiceFilter(
        choices=[("true", "Unread")],
        method="of_unread",
        empty_label="Read and unread",
        label="State",
    )

    class Meta:
        model = Notification
        fields: list[str] = []

    def of_unread(self, queryset: QuerySet[Notification], name: str, value: str) -> QuerySet[Notification]:
        """Those that weren't read."""
        return queryset.filter(read_at=None)
