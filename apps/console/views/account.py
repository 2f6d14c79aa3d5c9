"""One's own account: name, password, second factor, tokens for the REST API."""

from datetime import timedelta
from functools import partial

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from apps.console.actions import FORM, Action, action
from apps.console.form_responses import attempted, done, sent, show_once
from apps.console.forms.people import ProfileForm, TokenForm
from apps.console.object_lookup import a_token
from apps.console.page_access import SignedInRequest, anyone, page
from apps.notifications.selectors import mailed_groups
from apps.tenants.models import Token
from apps.tenants.policies import can_revoke_token
from apps.tenants.selectors import memberships_visible_to, tokens_ending_soon, tokens_visible_to
from apps.tenants.services import token_create, token_revoke, user_update

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
        "mailed": mailed_groups(user),
    }
    return render(request, "account/account.html", context, status=422 if form.errors else 200)


@never_cache
@action(may=anyone, confirmed=True)
def token_new(request: SignedInRequest) -> Action:
    """A new token, shown once, for who has just given their password again."""
    back = reverse("console:account")
    return Action(
        heading="New token for the REST API",
        submit="Make the token",
        back=back,
        back_label="Your account",
        explain="It acts as you, within its scope. It is shown once, right after this. A new password ends it.",
        form=partial(TokenForm, owner=request.user),
        initial={"expires_at": timezone.now() + USUAL_LIFE},
        service=partial(token_create, user=request.user),
        answer=lambda made, _: show_once(
            request,
            "account/token_made.html",
            title="The new token",
            heading=f"The new token “{made.token.name}”",
            back=back,
            back_label="Your account",
            made=made,
        ),
    )


@action(load=a_token, may=can_revoke_token)
def token_end(request: SignedInRequest, token: Token) -> Action:
    """End a token."""
    return Action(
        heading=f"Revoke the token {token.name}?",
        submit="Revoke",
        back=reverse("console:account"),
        back_label="Your account",
        explain="Calls with it are refused from now on.",
        danger=True,
        service=partial(token_revoke, token=token),
        said=f"The token {token.name} is revoked.",
    )
