"""The one way into a page: who is asking, what for, and may they.

Every view is wrapped in ``page``, which loads the object that the address names from what the reader may see at all (else 404),
asks the policy (else 403), and marks the view with that policy, so that a test can walk every route and find one without.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeGuard, cast
from urllib.parse import quote

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from apps.console.who_may import who_may
from apps.foundation.via import coming_by
from apps.tenants.models import User
from apps.tenants.sign_in import has_confirmed

Policy = Callable[..., bool]


class SignedInRequest(HttpRequest):
    """A request of a signed-in user."""

    user: User
    htmx: HtmxDetails


class GuardedView(Protocol):
    """A view that knows its policy. ``admit(user, **parameters)`` is what the address names, ``None`` for whom it is closed to."""

    policy: Policy
    admit: Callable[..., tuple[Any, ...] | None]

    def __call__(self, request: HttpRequest, **kwargs: Any) -> HttpResponse: ...


def anyone(user: User, *_: object) -> bool:
    """Any signed-in user: what the page holds is scoped by its selectors."""
    return user.is_active


def administrators(user: User, *_: object) -> bool:
    """Platform administrators."""
    return user.is_administrator


def of(attribute: str, policy: Policy) -> Policy:
    """``policy`` asked about an attribute of the loaded object: ``of("api", can_edit_api)`` for a revision."""

    def asked(user: User, loaded: Any) -> bool:
        return policy(user, getattr(loaded, attribute))

    return asked


def page(
    *,
    may: Policy,
    load: Callable[..., Any] | None = None,
    may_post: Policy | None = None,
    confirmed: bool = False,
    methods: tuple[str, ...] = ("GET", "HEAD"),
) -> Callable[[Callable[..., HttpResponse]], GuardedView]:
    """Guard a view.

    ``load(user, **kwargs)`` gets the address's parameters and returns the object, from a selector scoped to ``user``, or raises
    ``Http404``; the view is then called as ``view(request, loaded)``. Without it, as ``view(request, **kwargs)``.
    ``may(user[, loaded])`` is the policy; ``may_post`` the one for POST, where that differs. ``confirmed``: who has given their
    password or second factor in the last five minutes; others are asked for it first.
    """

    def found(user: User, **kwargs: Any) -> tuple[Any, ...]:
        return () if load is None else (load(user, **kwargs),)

    def admit(user: User, **kwargs: Any) -> tuple[Any, ...] | None:
        loaded = found(user, **kwargs)
        return loaded if may(user, *loaded) else None

    def guard(view: Callable[..., HttpResponse]) -> GuardedView:
        @wraps(view)
        def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return to_sign_in(request)
            if request.method not in methods:
                return HttpResponseNotAllowed(methods)
            loaded = found(request.user, **kwargs)
            policy = may_post if may_post is not None and request.method == "POST" else may
            if not policy(request.user, *loaded):
                raise PermissionDenied(who_may(request.user, policy, *loaded))
            if confirmed and not has_confirmed(request):
                return to_confirmation(cast(SignedInRequest, request))
            with coming_by("console"):
                return view(request, *loaded) if loaded else view(request, **kwargs)

        marked: Any = guarded
        marked.policy, marked.admit = may, admit
        return marked

    return guard


def is_page(view: Any) -> TypeGuard[GuardedView]:
    """Whether ``view`` is guarded, as all of the console's own are."""
    return hasattr(view, "admit")


def to_sign_in(request: HttpRequest) -> HttpResponse:
    """To the sign-in page and back here afterwards."""
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
    back = request.get_full_path()
    if htmx:
        back = htmx.current_url_abs_path or "/"
    elif request.method not in {"GET", "HEAD"}:
        back = "/"
    address = f"{resolve_url(settings.LOGIN_URL)}?next={quote(back)}"
    return HttpResponseClientRedirect(address) if htmx else HttpResponseRedirect(address)


def to_confirmation(request: SignedInRequest) -> HttpResponse:
    """To the page that asks for the password again, and back here. What was posted isn't kept: the form opens anew."""
    address = f"{reverse('account_reauthenticate')}?next={quote(request.path)}"
    return HttpResponseClientRedirect(address) if request.htmx else HttpResponseRedirect(address)
