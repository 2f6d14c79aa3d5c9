"""The side bar: few groups, in each only what the reader may open."""

from collections.abc import Callable
from dataclasses import dataclass

from django.urls import reverse

from apps.console.page_access import administrators, anyone
from apps.tenants.models import User


@dataclass(frozen=True)
class NavigationItem:
    """A page of the side bar. ``go`` is the letter that follows ``g``; ``counted`` says what its number counts."""

    label: str
    icon: str
    route: str
    go: str
    may: Callable[[User], bool] = anyone
    counted: str = "waiting"

    @property
    def url(self) -> str:
        """Where it is."""
        return reverse(f"console:{self.route}")


@dataclass(frozen=True)
class NavigationGroup:
    """A heading of the side bar and its pages."""

    label: str
    items: tuple[NavigationItem, ...]


def members(user: User) -> bool:
    """Who isn't a platform administrator."""
    return not user.is_administrator


GROUPS = (
    NavigationGroup(
        "",
        (
            NavigationItem("Overview", "home", "overview", "o"),
            NavigationItem("Notifications", "bell", "notifications", "i", counted="unread"),
        ),
    ),
    NavigationGroup(
        "APIs",
        (
            NavigationItem("APIs", "api", "apis", "a"),
            NavigationItem("Catalogue", "book", "catalogue", "b"),
        ),
    ),
    NavigationGroup(
        "Access",
        (
            NavigationItem("Requests", "inbox", "requests", "r"),
            NavigationItem("Subscriptions", "link", "subscriptions", "s"),
            NavigationItem("Applications", "apps", "applications", "p"),
            NavigationItem("Plans", "gauge", "plans", "l", administrators),
        ),
    ),
    NavigationGroup(
        "Analytics",
        (
            NavigationItem("Dashboards", "chart-area-line", "dashboards", "d"),
            NavigationItem("Calls", "list-details", "calls", "c"),
            NavigationItem("Cache", "bolt", "cache", "h"),
        ),
    ),
    NavigationGroup(
        "Platform",
        (
            NavigationItem("Tenants", "building", "tenants", "t"),
            NavigationItem("Users", "users", "users", "u", administrators),
            NavigationItem("Issuers", "shield-check", "issuers", "k"),
            NavigationItem("Gateways", "server", "gateways", "w", administrators),
            NavigationItem("Egress", "route", "egress", "n", administrators),
            NavigationItem("Audit", "history", "audit", "x"),
            NavigationItem("Installation", "settings", "settings", "e", administrators),
        ),
    ),
)


@dataclass(frozen=True)
class Shown:
    """An item as one reader sees it on one page."""

    item: NavigationItem
    url: str
    current: bool
    count: int = 0


def side_bar(user: User, path: str, counts: dict[str, int]) -> list[tuple[str, list[Shown]]]:
    """The groups for ``user``, the current page marked; ``counts`` are what waits, by route."""
    groups: list[tuple[str, list[Shown]]] = []
    for group in GROUPS:
        shown = []
        for item in group.items:
            if item.may(user):
                url = item.url
                current = path == url if url == "/" else path.startswith(url)
                shown.append(Shown(item, url, current, counts.get(item.route, 0)))
        if shown:
            groups.append((group.label, shown))
    return groups
