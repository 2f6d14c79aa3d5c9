"""What every page of the console gets besides its own content."""

from typing import Any

from django.http import HttpRequest

from apps.console.navigation import side_bar
from apps.console.pending_decisions import waiting_for


def frame(request: HttpRequest) -> dict[str, Any]:
    """The side bar, computed when the template asks for it: pages without one (sign-in, errors) cost nothing."""

    def groups() -> list[Any]:
        waiting = waiting_for(request.user).count()  # type: ignore[arg-type]
        return side_bar(request.user, request.path, {"requests": waiting})  # type: ignore[arg-type]

    return {"side_bar": groups}
