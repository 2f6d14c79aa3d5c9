"""How a form's page answers: as a page or in a dialog, refusals beside their fields, the receipt at the end."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django_htmx.http import HttpResponseClientRedirect

from apps.console.forms.fields import SluggedForm
from apps.console.page_access import SignedInRequest
from apps.fleet.receipts import wait_for_receipt
from apps.foundation.errors import Conflict, Unavailable
from apps.foundation.slugs import SlugTaken

T = TypeVar("T")

STAYS = "stays"
"""The tag of a message that stands in the page: it is no toast, and doesn't leave by itself."""


def sent(request: HttpRequest) -> QueryDict | None:
    """What was posted; ``None`` for a form that is only shown. A post without any field is one too."""
    return request.POST if request.method == "POST" else None


def uploaded(request: HttpRequest) -> tuple[QueryDict | None, Any]:
    """What was posted, with its files."""
    return (request.POST, request.FILES) if request.method == "POST" else (None, None)


def nowhere(name: str, errors: list[str]) -> bool:
    """No other place for errors than the form."""
    return False


def attempt(
    form: BaseForm,
    service: Callable[[], T],
    names: Mapping[str, str] | None = None,
    elsewhere: Callable[[str, list[str]], bool] = nowhere,
) -> T | None:
    """Call a service for a valid form; what it refuses is put beside the form's fields and ``None`` returned.

    ``names`` maps the model's field names to the form's, where they differ; ``elsewhere`` is offered the errors of fields that the
    form doesn't have, and says whether it took them. What none took stands above the form.
    """
    if not form.is_valid():
        return None
    try:
        return service()
    except SlugTaken as taken:
        cast(SluggedForm, form).offer(taken)
    except ValidationError as invalid:
        for name, errors in _by_field(invalid).items():
            field = (names or {}).get(name, name)
            if field in form.fields:
                form.add_error(field, errors)
            elif not elsewhere(name, errors):
                form.add_error(None, errors)
            elif not form.errors:
                form.add_error(None, [])  # it isn't valid, and says nothing itself
    except (Conflict, Unavailable) as refused:
        form.add_error(None, str(refused))
    return None


def attempted(
    form: BaseForm,
    service: Callable[[], object],
    names: Mapping[str, str] | None = None,
    elsewhere: Callable[[str, list[str]], bool] = nowhere,
) -> bool:
    """The same for a service whose result isn't needed: whether it went through."""

    def call() -> bool:
        service()
        return True

    return attempt(form, call, names, elsewhere) is not None


def _by_field(invalid: ValidationError) -> dict[str, list[str]]:
    if hasattr(invalid, "error_dict"):
        return invalid.message_dict
    return {NON_FIELD_ERRORS: invalid.messages}


def form_page(
    request: SignedInRequest,
    form: BaseForm,
    *,
    heading: str,
    submit: str,
    back: str,
    template: str = "forms/form.html",
    **context: Any,
) -> HttpResponse:
    """A form on its own page; in a dialog when htmx asked. 422 when it was refused, so that scripts and tests can tell."""
    htmx = bool(request.htmx)
    return render(
        request,
        "forms/dialog.html" if htmx and template == "forms/form.html" else template,
        {"form": form, "heading": heading, "submit": submit, "back": back, **context},
        status=422 if form.errors else 200,
    )


@never_cache
def show_once(request: SignedInRequest, body: str, *, title: str, heading: str = "", **context: Any) -> HttpResponse:
    """The one page that ever shows a secret, with the template ``body``: no address leads back to it."""
    return render(
        request,
        "forms/secret_dialog.html" if request.htmx else "forms/secret.html",
        {"body": body, "title": title, "heading": heading or title, **context},
    )


def done(
    request: HttpRequest, to: str, text: str = "", level: int = messages.SUCCESS, *, stays: bool = False
) -> HttpResponse:
    """On to ``to`` with a message, whether a browser or htmx asked; one that ``stays`` is part of that page, like a receipt."""
    if text:
        messages.add_message(request, level, text, extra_tags=STAYS if stays else "")
    if getattr(request, "htmx", False):
        return HttpResponseClientRedirect(to)
    return HttpResponseRedirect(to)


def done_with_receipt(request: HttpRequest, to: str, text: str) -> HttpResponse:
    """On to ``to``, where the message stays: it ends with what the gateways said. Waits for them, 5 s at most."""
    receipt = wait_for_receipt()
    level = messages.SUCCESS if receipt.complete else messages.WARNING
    return done(request, to, f"{text}: {receipt.sentence}.", level, stays=True)
