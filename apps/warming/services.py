"""Starting and cancelling warm-ups. Errors as in ``apps.errors``."""

from collections.abc import Mapping, Sequence

from apps.caching.warm_up import USUAL_RATE
from apps.catalog.models import API
from apps.tenants.actors import Actor
from apps.warming.choices import Cause
from apps.warming.models import WarmUp


def warm_up_start(
    *,
    actor: Actor,
    api: API,
    urls: Sequence[str] = (),
    top: int = 0,
    rate: str = USUAL_RATE,
    headers: Mapping[str, str] | None = None,
    cause: Cause = Cause.MANUAL,
    mark: int = 0,
) -> WarmUp:
    """Queue a warm-up: ``urls`` (paths, or whole URLs) and the ``top`` most called URLs of the last day, at ``rate`` (``10/s``).

    Without either: what the API's policy says, else its top 100. A Celery worker begins it within seconds.
    Raises ``ValidationError`` by field, ``PermissionDenied``, ``Conflict`` (too many are waiting).
    """
    raise NotImplementedError


def warm_up_cancel(*, actor: Actor, warm_up: WarmUp) -> WarmUp:
    """Stop a warm-up; what it has stored stays. ``Conflict`` when it is over already."""
    raise NotImplementedError
