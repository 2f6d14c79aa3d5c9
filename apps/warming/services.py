"""Starting and cancelling warm-ups. Errors as in ``apps.foundation.errors``."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.audit.services import change
from apps.caching import warm_up as said
from apps.caching.warm_up import WarmUpSettings
from apps.catalog.choices import SERVED
from apps.catalog.models import API
from apps.foundation import field_names
from apps.foundation.errors import Conflict
from apps.tenants.actors import PLATFORM, Actor, user_of
from apps.tenants.services import allow
from apps.warming.choices import UNFINISHED, WarmUpCause, WarmUpState
from apps.warming.models import WarmUp
from apps.warming.policies import can_cancel, can_warm_up
from apps.warming.targets import Targets

MOST_WAITING = 5
"""Warm-ups of one API that may be unfinished: they run one after the other."""

KEPT = 50
"""Warm-ups of one API and cause that are kept when they are over."""


def warm_up_start(
    *,
    actor: Actor,
    api: API,
    urls: Sequence[str] = (),
    top: int = 0,
    rate: str = "",
    headers: Mapping[str, str] | None = None,
    cause: WarmUpCause = WarmUpCause.MANUAL,
    mark: int = 0,
) -> WarmUp:
    """Queue a warm-up: ``urls`` (paths, or whole URLs) and the ``top`` most called URLs of the last day, at ``rate`` (``10/s``).

    Without either: what the API's policy says, else its top 100. A Celery worker begins it within seconds.
    Raises ``ValidationError`` by field, ``PermissionDenied``, ``Conflict`` (too many are waiting).
    """
    allow(can_warm_up(actor, api), "Only owners and developers of the API's tenant may warm it up.")
    settings = _settings(api, urls, top, rate, headers)
    _check(api, settings)
    with change(
        actor=actor, verb="cache.warm_up", target_type="api", target=api.slug, tenant=api.tenant.slug
    ) as audit_entry:
        _check_waiting(api)
        if actor is PLATFORM and cause != WarmUpCause.MANUAL:
            audit_entry.drop()  # what a setting brings about is no decision of its own
        audit_entry.field("warm-up", None, _in_words(settings))
        made = WarmUp.objects.create(
            api_slug=api.slug,
            cause=cause,
            mark=mark,
            urls=list(settings.urls),
            top=settings.top,
            rate=settings.rate,
            headers=dict(settings.headers),
            actor_email=getattr(user_of(actor), "email", ""),
        )
        # By cause: the newest of each says what it was last begun for.
        over = WarmUp.objects.filter(api_slug=api.slug, cause=cause).exclude(state__in=UNFINISHED)
        WarmUp.objects.filter(pk__in=list(over.values_list("pk", flat=True)[KEPT:])).delete()
        return made


def warm_up_check(
    *, api: API, urls: Sequence[str] = (), top: int = 0, rate: str = "", headers: Mapping[str, str] | None = None
) -> None:
    """Raise what ``warm_up_start`` would raise of a body: for those who do something else first, like a purge."""
    _check(api, _settings(api, urls, top, rate, headers))
    _check_waiting(api)


def warm_up_cancel(*, actor: Actor, warm_up: WarmUp) -> WarmUp:
    """Stop a warm-up; what it has stored stays. ``Conflict`` when it is over already."""
    allow(can_cancel(actor, warm_up), "Only owners and developers of the API's tenant may cancel its warm-ups.")
    api = API.objects.select_related("tenant").filter(slug=warm_up.api_slug).first()
    with change(
        actor=actor,
        verb="cache.warm_up_cancel",
        target_type="api",
        target=warm_up.api_slug,
        tenant=api.tenant.slug if api else "",
    ) as audit_entry:
        stopped = WarmUp.objects.filter(pk=warm_up.pk, state__in=UNFINISHED).update(
            state=WarmUpState.CANCELLED, ended_at=timezone.now(), targets=[], worker=""
        )
        warm_up.refresh_from_db()
        if not stopped:
            raise Conflict(f"This warm-up is over: it is {warm_up.get_state_display().lower()}.")
        audit_entry.field("state", "unfinished", warm_up.state)
    return warm_up


def _settings(api: API, urls: Sequence[str], top: int, rate: str, headers: Mapping[str, str] | None) -> WarmUpSettings:
    asked: dict[str, Any] = {"urls": urls} if urls else {}
    if top:
        asked["top"] = top
    own = {} if asked else {word: api.cache_policy.warm_up[word] for word in _OWN if word in api.cache_policy.warm_up}
    if rate:
        asked["rate"] = rate
    if headers is not None:
        asked["headers"] = headers
    try:
        return WarmUpSettings.of(said.read_warm_up(own | asked))
    except ValidationError as refusal:
        raise ValidationError(_by_field(refusal)) from None


_OWN = ("urls", "top", "rate", "headers")


def _by_field(refusal: ValidationError) -> dict[str, list[str]]:
    """``urls.3`` becomes a message of ``urls`` that says which."""
    found: dict[str, list[str]] = {}
    for path, messages in field_names.by_path(refusal).items():
        field, _, rest = path.partition(".")
        place = f"Number {int(rest) + 1}: " if rest.isdigit() else ""
        found.setdefault(field, []).extend(place + message for message in messages)
    return found


def _check(api: API, settings: WarmUpSettings) -> None:
    if api.state not in SERVED:
        raise ValidationError(f"{api} isn't served: publish it first.")
    if api.forward_credential and "none" not in api.authentication:
        raise ValidationError(
            f"{api} sends its callers' X-API-Key on, so each of them has responses of its own: nothing can be warmed up for all."
        )
    targets = Targets(api)
    for number, url in enumerate(settings.urls, 1):
        try:
            targets.of(url)
        except ValueError as refusal:
            raise ValidationError({"urls": f"Number {number}: {refusal}"}) from None


def _check_waiting(api: API) -> None:
    if WarmUp.objects.filter(api_slug=api.slug, state__in=UNFINISHED).count() >= MOST_WAITING:
        raise Conflict(f"{MOST_WAITING} warm-ups of {api} are under way already: wait for them, or cancel one.")


def _in_words(settings: WarmUpSettings) -> str:
    what = [f"{len(settings.urls)} URLs"] if settings.urls else []
    if settings.top:
        what.append(f"the top {settings.top}")
    return f"{' and '.join(what)} at {said.rate_text(settings.rate)}"
