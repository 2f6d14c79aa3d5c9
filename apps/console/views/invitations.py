"""The page behind the link of an invitation. It opens without signing in: who holds the link got the mail."""

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from apps.console.form_responses import attempted, sent
from apps.console.forms.fields import ConsoleForm
from apps.console.forms.people import NewcomerForm
from apps.foundation.via import coming_by
from apps.tenants.invitations import (
    invitation_accept,
    invitation_accept_as_new,
    invitation_decline,
    needs_sign_in,
)
from apps.tenants.models import Invitation, User
from apps.tenants.selectors import invitation_find

DECLINE = "decline"


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def invitation(request: HttpRequest, secret: str) -> HttpResponse:
    """Accept or decline: as the user who is signed in with that address, or by making an account."""
    found = invitation_find(secret)
    if found is None:
        return render(request, "account/invitation_over.html", status=404)
    with coming_by("console"):
        return _answer(request, found)


def _answer(request: HttpRequest, found: Invitation) -> HttpResponse:
    if request.method == "POST" and DECLINE in request.POST:
        form: ConsoleForm = ConsoleForm(sent(request))
        if attempted(form, _decline(found)):
            return render(request, "account/invitation_declined.html", {"invitation": found})
        return _page(request, found, form)
    if not isinstance(request.user, AnonymousUser):
        return _as_user(request, request.user, found)
    if needs_sign_in(User.objects.filter(email__iexact=found.email).first()):
        return _page(request, found, ConsoleForm(), "account/invitation_sign_in.html")
    newcomer = NewcomerForm(sent(request))
    if request.method == "POST" and attempted(
        newcomer, lambda: invitation_accept_as_new(invitation=found, **newcomer.cleaned_data)
    ):
        messages.success(request, f"You are a member of {found.tenant}. Sign in with your new password.")
        return HttpResponseRedirect(resolve_url("account_login"))
    return _page(request, found, newcomer, "account/invitation_new.html")


def _as_user(request: HttpRequest, user: User, found: Invitation) -> HttpResponse:
    if user.email.lower() != found.email:
        return _page(request, found, ConsoleForm(), "account/invitation_other.html", status=403)
    form = ConsoleForm(sent(request))
    if request.method == "POST" and attempted(form, lambda: invitation_accept(user=user, invitation=found)):
        messages.success(request, f"You are a member of {found.tenant}.")
        return HttpResponseRedirect(reverse("console:tenant", args=[found.tenant.slug]))
    return _page(request, found, form)


def _decline(found: Invitation) -> Callable[[], None]:
    return lambda: invitation_decline(invitation=found)


def _page(
    request: HttpRequest,
    found: Invitation,
    form: ConsoleForm,
    template: str = "account/invitation.html",
    status: int = 200,
) -> HttpResponse:
    context = {"invitation": found, "form": form, "here": request.path}
    return render(request, template, context, status=422 if form.errors else status)
