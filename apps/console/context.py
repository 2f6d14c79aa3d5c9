"""What every page of the console gets besides its own content."""

from functools import cache
from typing import Any

from django.http import HttpRequest

from apps.console.navigation import side_bar
from apps.console.pending_decisions import waiting_for
from apps.notifications.selectors import unread_count


def frame(request: HttpRequest) -> dict[str, Any]:
    """The side bar and the bell, computed when the template asks for them: pages without (sign-in, errors) cost nothing."""

    @cache
    def unread() -> int:
        return unread_count(request.user)  # type: ignore[arg-type]

    def groups() -> list[Any]:
        waiting = waiting_for(request.user).count()  # type: ignore[arg-type]
        return side_bar(request.user, request.path, {"requests": waiting, "notifications": unread()})  # type: ignore[arg-type]

    return {"side_bar": groups, "unread_notifications": unread}
