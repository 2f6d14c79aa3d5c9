"""The side bar: few groups, in each only what the reader may open."""

from collections.abc import Callable
from dataclasses import dataclass

from django.urls import reverse

from apps.console.page_access import administrators, anyone
from apps.tenants.models import User


@dataclass(frozen=True)
class Item:
    """A page of the side bar. ``go`` is the letter that follows ``g``;"""

    label: str
    icon: str
    route: str
    go: str
    may: Callable[[User], bool] = anyone

    @property
    def url(self) -> str:
        """Where it is."""
        return reverse(f"console:{self.route}")


@dataclass(frozen=True)
class Group:
    """A heading of the side bar and its pages."""

    label: str
    items: tuple[Item, ...]


def members(user: User) -> bool:
    """Who isn't a platform administrator."""
    return not user.is_administrator


GROUPS = (
    Group("", (Item("Overview", "home", "overview", "o"),)),
    Group(
        "APIs",
        (
            Item("APIs", "api", "apis", "a"),
            Item("Catalogue", "book", "catalogue", "b"),
        ),
    ),
    Group(
        "Access",
        (
            Item("Requests", "inbox", "requests", "r"),
            Item("Subscriptions", "link", "subscriptions", "s"),
            Item("Applications", "apps", "applications", "p"),
            Item("Plans", "gauge", "plans", "l", administrators),
        ),
    ),
    Group(
        "Analytics",
        (
            Item("Dashboards", "chart-area-line", "dashboards", "d"),
            Item("Calls", "list-details", "calls", "c"),
            Item("Cache", "bolt", "cache", "h"),
        ),
    ),
    Group(
        "Platform",
        (
            Item("Tenants", "building", "tenants", "t"),
            Item("Users", "users", "users", "u", administrators),
            Item("Gateways", "server", "gateways", "w", administrators),
            Item("Egress", "route", "egress", "n", administrators),
            Item("Audit", "history", "audit", "x"),
            Item("Settings", "settings", "settings", "e", administrators),
        ),
    ),
)


@dataclass(frozen=True)
class Shown:
    """An item as one reader sees it on one page."""

    item: Item
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
