"""Lists with two sides: what the reader's applications call or ask for, and what others call or ask for of the reader's APIs."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from apps.access.choices import Side
from apps.access.selectors import applications_visible_to
from apps.catalog.selectors import apis_configured_by
from apps.tenants.models import User


def provides(user: User) -> bool:
    """Whether a tenant of the reader owns an API."""
    return apis_configured_by(user).exists()


@dataclass(frozen=True)
class SidedList:
    """What a list is called by the side that its reader looks from. Administrators look from none: they see all of it."""

    caller: str
    provider: str
    everything: str

    def side_for(self, user: User, query: QueryDict) -> Side | None:
        """The side that the address asks for with ``side``; else the one on which the reader has something of their own."""
        if user.is_administrator:
            return None
        if (asked := query.get("side", "")) in Side.values:
            return Side(asked)
        return Side.PROVIDER if provides(user) and not applications_visible_to(user).exists() else Side.CALLER

    def context(self, user: User, side: Side | None) -> dict[str, Any]:
        """For ``access/sided_list.html``: the list's title, and the way to the other side for those who have one."""
        titles = {Side.CALLER: self.caller, Side.PROVIDER: self.provider}
        if side is None:
            return {"list_title": self.everything}
        shown = provides(user) or side is Side.PROVIDER
        tabs = [("?" + urlencode({"side": each.value}), title, each is side) for each, title in titles.items() if shown]
        return {"list_title": titles[side], "side": side, "tabs": tabs}
