"""What purges of an API come in by, and where they are forwarded to: its webhook's secret, its CDN."""

from functools import partial

from django.conf import settings
from django.http import HttpResponse
from django.urls import reverse

from apps.catalog.models import API
from apps.console.actions import FORM, Action, action
from apps.console.form_responses import attempted, done, form_page, sent, show_once
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


def _show_secret(request: SignedInRequest, api: API, made: NewSecret) -> HttpResponse:
    title = "The webhook's secret"
    curl = signed_curl(api, made.secret)
    return show_once(
        request, "apis/secret_made.html", title=title, back=back_of(api), back_label=str(api), made=made, curl=curl
    )


@action(load=an_api, may=can_configure)
def webhook_secret(request: SignedInRequest, api: API) -> Action:
    """The secret with which an origin signs its messages, the first one or the next, shown once."""
    rotates = hasattr(api, "purge_webhook")
    return Action(
        heading=f"Replace the webhook's secret of {api}?" if rotates else f"A webhook for {api}",
        submit="Make its successor" if rotates else "Make the secret",
        back=back_of(api),
        back_label=str(api),
        explain="The origin's systems sign their messages with it. It is shown once, right after this.",
        form=NextSecretForm if rotates else FirstSecretForm,
        service=partial(webhook_secret_make, api=api),
        names={"overlap": "old_holds"},
        answer=lambda made, _: _show_secret(request, api, made),
    )


@action(load=an_api, may=can_configure)
def webhook_end(request: SignedInRequest, api: API) -> Action:
    """Take no more messages by webhook."""
    return Action(
        heading=f"Remove the webhook of {api}?",
        submit="Remove",
        back=back_of(api),
        back_label=str(api),
        explain="Messages with its secret are refused with 401 from now on.",
        danger=True,
        service=partial(webhook_remove, api=api),
        said=f"{api} takes no more messages by webhook.",
    )


@page(load=an_api, may=can_configure, methods=FORM)
def cdn(request: SignedInRequest, api: API) -> HttpResponse:
    """The calls by which purges are forwarded to a CDN."""
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


@action(load=an_api, may=can_configure)
def cdn_end(request: SignedInRequest, api: API) -> Action:
    """Forward no more purges."""
    return Action(
        heading=f"Forward no more purges of {api}?",
        submit="Remove the CDN",
        back=back_of(api),
        back_label=str(api),
        explain="What the CDN has stored stays there until it expires.",
        danger=True,
        service=partial(cdn_remove, api=api),
        said=f"Purges of {api} are no longer forwarded.",
    )
