"""One's own account: name, password, second factor, tokens for the REST API."""

from datetime import timedelta

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from apps.console.form_responses import attempt, attempted, done, form_page, sent
from apps.console.forms.fields import ConsoleForm
from apps.console.forms.people import ProfileForm, TokenForm
from apps.console.object_lookup import a_token
from apps.console.page_access import SignedInRequest, anyone, page
from apps.tenants.models import Token
from apps.tenants.policies import can_revoke_token
from apps.tenants.selectors import memberships_visible_to, tokens_ending_soon, tokens_visible_to
from apps.tenants.services import token_create, token_revoke, user_update

FORM = ("GET", "HEAD", "POST")
USUAL_LIFE = timedelta(days=90)
"""Of a token, unless its maker says another."""


@page(may=anyone, methods=FORM)
def account(request: SignedInRequest) -> HttpResponse:
    """The reader's own account."""
    user = request.user
    form = ProfileForm(sent(request), initial={"name": user.name})
    if request.method == "POST" and attempted(
        form, lambda: user_update(actor=user, user=user, name=form.cleaned_data["name"])
    ):
        return done(request, reverse("console:account"), "Your name is saved.")
    context = {
        "form": form,
        "memberships": memberships_visible_to(user).filter(user=user),
        "tokens": tokens_visible_to(user).filter(user=user),
        "ending": tokens_ending_soon(user),
    }
    return render(request, "account/account.html", context, status=422 if form.errors else 200)


@page(may=anyone, confirmed=True, methods=FORM)
@never_cache
def token_new(request: SignedInRequest) -> HttpResponse:
    """A new token, shown once, for who has just given their password again."""
    start = {"expires_at": timezone.now() + USUAL_LIFE}
    form = TokenForm(sent(request), owner=request.user, initial=start)
    if request.method == "POST" and (
        made := attempt(form, lambda: token_create(actor=request.user, user=request.user, **form.cleaned_data))
    ):
        template = "account/token_made_dialog.html" if request.htmx else "account/token_made.html"
        return render(request, template, {"made": made})
    return form_page(
        request,
        form,
        heading="New token for the REST API",
        submit="Make the token",
        back=reverse("console:account"),
        back_label="Your account",
        explain="It acts as you, within its scope. It is shown once, right after this. A new password ends it.",
    )


@page(load=a_token, may=can_revoke_token, methods=FORM)
def token_end(request: SignedInRequest, token: Token) -> HttpResponse:
    """End a token."""
    form = ConsoleForm(sent(request))
    name = token.name

    def end() -> None:
        token_revoke(actor=request.user, token=token)

    to = reverse("console:account")
    if request.method == "POST" and attempted(form, end):
        return done(request, to, f"The token {name} is revoked.")
    return form_page(
        request,
        form,
        heading=f"Revoke the token {name}?",
        submit="Revoke",
        back=to,
        back_label="Your account",
        explain="Whoever uses it is refused from now on.",
        danger=True,
    )
