"""The nearest page above an address that its reader may open."""

from typing import NamedTuple

from django.http import Http404
from django.urls import Resolver404, resolve

from apps.console.navigation import GROUPS
from apps.console.page_access import is_page
from apps.tenants.models import User


class WayBack(NamedTuple):
    """Where it leads, and what is there."""

    url: str
    label: str


def way_back(user: User, path: str) -> WayBack:
    """The page above ``path`` that names a thing which ``user`` may see, or is in the side bar; the overview at last."""
    listed = {item.url: item.label for group in GROUPS for item in group.items}
    while path.strip("/"):
        path = f"{path.rstrip('/').rpartition('/')[0]}/"
        try:
            view, _, parameters = resolve(path)
            if is_page(view) and (loaded := view.admit(user, **parameters)) is not None:
                label = listed.get(path) or "".join(map(str, loaded))
                if label:
                    return WayBack(path, label)
        except (Resolver404, Http404):
            continue
    return WayBack("/", "Overview")
