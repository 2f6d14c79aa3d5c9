"""What purges of an API come in by, and where they are told on: its webhook's secret, its CDN."""

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache

from apps.catalog.models import API
from apps.console.form_responses import attempt, attempted, done, form_page, sent
from apps.console.forms.fields import ConsoleForm
from apps.console.forms.invalidation import CDNForm, FirstSecretForm, NextSecretForm
from apps.console.object_lookup import an_api
from apps.console.page_access import SignedInRequest, page
from apps.invalidation.models import CDN
from apps.invalidation.policies import can_configure
from apps.invalidation.services import (
    NewSecret,
    cdn_remove,
    cdn_update,
    webhook_remove,
    webhook_secret_make,
)

FORM = ("GET", "HEAD", "POST")
RENAMED = {"overlap": "old_holds"}
NO_KEPT_VALUE = "There is no value of {} to keep: write one."


def back_of(api: API) -> str:
    """Where all of this is shown."""
    return reverse("console:api_cache", args=[api.slug])


def webhook_url(api: API) -> str:
    """Where an API's messages are posted to."""
    return f"{settings.CONSOLE_URL}/api/v1/purge-webhooks/{api.slug}/messages/"


def signed_curl(api: API, secret: str) -> str:
    """A shell's lines that sign a message and post it."""
    return "\n".join(
        (
            f"secret='{secret}'",
            """body='{"kind": "path", "value": "/items/7"}'""",
            "t=$(date +%s)",
            """v1=$(printf '%s.%s' "$t" "$body" | openssl dgst -sha256 -hmac "$secret" | sed 's/.*= //')""",
            """curl -H 'Content-Type: application/json' -H "X-Apimgr-Signature: t=$t,v1=$v1" \\""",
            f"""  --data-raw "$body" {webhook_url(api)}""",
        )
    )


@never_cache
def _show_secret(request: SignedInRequest, api: API, made: NewSecret) -> HttpResponse:
    """The one page that ever shows the secret: no address leads back to it."""
    context = {"api": api, "made": made, "curl": signed_curl(api, made.secret), "back": back_of(api)}
    return render(request, "apis/secret_made_dialog.html" if request.htmx else "apis/secret_made.html", context)


@page(load=an_api, may=can_configure, methods=FORM)
def webhook_secret(request: SignedInRequest, api: API) -> HttpResponse:
    """The secret with which an origin signs its messages, the first one or the next, shown once."""
    rotates = hasattr(api, "purge_webhook")
    form = NextSecretForm(sent(request)) if rotates else FirstSecretForm(sent(request))
    if request.method == "POST" and (
        made := attempt(form, lambda: webhook_secret_make(actor=request.user, api=api, overlap=form.overlap()), RENAMED)
    ):
        return _show_secret(request, api, made)
    return form_page(
        request,
        form,
        heading=f"Replace the webhook's secret of {api}?" if rotates else f"A webhook for {api}",
        submit="Make its successor" if rotates else "Make the secret",
        back=back_of(api),
        back_label=str(api),
        explain="The origin's systems sign their messages with it. It is shown once, right after this.",
    )


@page(load=an_api, may=can_configure, methods=FORM)
def webhook_end(request: SignedInRequest, api: API) -> HttpResponse:
    """Take no more messages by webhook."""
    form = ConsoleForm(sent(request))
    if request.method == "POST" and attempted(form, lambda: webhook_remove(actor=request.user, api=api)):
        return done(request, back_of(api), f"{api} takes no more messages by webhook.")
    return form_page(
        request,
        form,
        heading=f"Remove the webhook of {api}?",
        submit="Remove",
        back=back_of(api),
        back_label=str(api),
        explain="Messages with its secret are refused with 401 from now on.",
        danger=True,
    )


@page(load=an_api, may=can_configure, methods=FORM)
def cdn(request: SignedInRequest, api: API) -> HttpResponse:
    """The calls by which purges are told on to a CDN."""
    present: CDN | None = getattr(api, "cdn", None)
    form = CDNForm(sent(request), initial=CDNForm.initial_of(present))
    if request.method == "POST" and form.is_valid():
        kept = present.headers if present else {}
        for name, value in form.changes()["headers"].items():
            if value is None and name not in kept:
                form.add_error("headers", NO_KEPT_VALUE.format(name))
        if attempted(form, lambda: cdn_update(actor=request.user, api=api, **form.changes())):
            return done(request, back_of(api), f"Purges of {api} are forwarded to its CDN from now on.")
    return form_page(
        request,
        form,
        heading=f"CDN of {api}",
        submit="Save",
        back=back_of(api),
        back_label=str(api),
        template="apis/cdn.html",
    )


@page(load=an_api, may=can_configure, methods=FORM)
def cdn_end(request: SignedInRequest, api: API) -> HttpResponse:
    """Forward no more purges."""
    form = ConsoleForm(sent(request))
    if request.method == "POST" and attempted(form, lambda: cdn_remove(actor=request.user, api=api)):
        return done(request, back_of(api), f"Purges of {api} are no longer forwarded.")
    return form_page(
        request,
        form,
        heading=f"Forward no more purges of {api}?",
        submit="Remove the CDN",
        back=back_of(api),
        back_label=str(api),
        explain="What the CDN has stored stays there until it expires.",
        danger=True,
    )
