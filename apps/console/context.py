"""What every page of the console gets besides its own content."""

from typing import Any

from django.http import HttpRequest

from apps.access.selectors import requests_decidable_by
from apps.console.nav import side_bar


def frame(request: HttpRequest) -> dict[str, Any]:
    """The side bar, computed when the template asks for it: pages without one (sign-in, errors) cost nothing."""

    def groups() -> list[Any]:
        waiting = requests_decidable_by(request.user).count()
        return side_bar(request.user, request.path, {"requests": waiting})  # type: ignore[arg-type]

    return {"side_bar": groups}
