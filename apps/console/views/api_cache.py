"""The Cache tab of an API: its policy in sentences, what a sample request would get, purges and warm-ups."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django_htmx.http import trigger_client_event

from apps.catalog.models import API
from apps.catalog.policies import can_edit_api, can_view_configuration
from apps.console.form_responses import attempted, done_with_receipt, sent
from apps.console.forms.cache import PolicyForm
from apps.console.forms.operations import (
    Operations,
    operations_form,
    rearranged,
    row_form,
    typed,
    typed_rows,
)
from apps.console.forms.sample import SampleForm
from apps.console.forms.warming import WarmUpSettingsForm
from apps.console.lists import listing
from apps.console.object_lookup import an_api
from apps.console.page_access import SignedInRequest, page
from apps.console.policy_sentences import sentences
from apps.console.preview import Preview, preview
from apps.console.tables import PurgeTable, WarmUpTable
from apps.console.views.api_pages import tabbed
from apps.console.views.invalidation import webhook_url
from apps.invalidation.models import PurgeWebhook
from apps.purging.selectors import applications_explainable_by, purges_visible_to
from apps.purging.services import policy_update
from apps.warming.selectors import warm_ups_visible_to

FORM = ("GET", "HEAD", "POST")
LATEST = 5
"""Purges and warm-ups that stand on one page of the tab."""


@dataclass
class Editor:
    """The forms that make up a policy, in one ``<form>``."""

    form: PolicyForm
    operations: Operations
    warming: WarmUpSettingsForm

    @classmethod
    def of(cls, request: SignedInRequest, api: API, *, typed: bool = True) -> "Editor":
        """What the policy of ``api`` says, or, with ``typed``, what was typed over it."""
        data, policy = sent(request) if typed else None, api.cache_policy
        return cls(
            PolicyForm.of(api, data),
            operations_form(data, policy.operations, shared_already=policy.share_with_credentials),
            WarmUpSettingsForm.of(policy.warm_up, data),
        )

    def is_valid(self) -> bool:
        """Whether all of them are, each asked so that each says what is wrong."""
        return all([self.form.is_valid(), self.operations.is_valid(), self.warming.is_valid()])

    def fields(self) -> dict[str, Any]:
        """What ``policy_update`` gets."""
        return self.form.policy_fields() | {
            "operations": self.operations.operations(),
            "warm_up": self.warming.warm_up,
        }

    def beside_its_row(self, name: str, errors: list[str]) -> bool:
        """``operations.1.ttl`` belongs to the second row that is filled in, ``entity_tags.0`` to the entity tags."""
        part, _, rest = name.partition(".")
        if part in self.form.fields:
            self.form.add_error(part, errors)
            return True
        number, _, field = rest.partition(".")
        if part != "operations" or not number.isdigit():
            return False
        row, field = self.operations.rows[int(number)], field.partition(".")[0]
        row.add_error(field if field in row.fields else "path", errors)
        return True

    @property
    def errors(self) -> list[str]:
        """What is wrong, for the preview."""
        found = []
        for form in (self.form, *self.operations.forms, self.warming):
            for name, errors in form.errors.items():
                label = f"{form[name].label}: " if name in form.fields else ""
                found += [f"{label}{error}" for error in errors]
        return [*found, *self.operations.non_form_errors()]

    def context(self) -> dict[str, Any]:
        """For the templates."""
        refused = not self.form.errors and bool(self.errors)
        return {
            "form": self.form,
            "operations": self.operations,
            "warming": self.warming,
            "elsewhere_refused": refused,
        }


def sample_form(request: SignedInRequest, data: Any = None) -> SampleForm:
    """The sample that stands beside the policy."""
    start = {name: field.initial for name, field in SampleForm.base_fields.items()}
    return SampleForm(data, initial=start, applications=applications_explainable_by(request.user))


def editor_page(request: SignedInRequest, api: API, editor: Editor, status: int = 200) -> HttpResponse:
    """The tab with the forms as they are."""
    sample = sample_form(request)
    start = sample_form(request, {name: sample[name].value() for name in sample.fields})
    first = preview(api, api.cache_policy, start.cleaned_data) if start.is_valid() else None
    purges = purges_visible_to(request.user).filter(api_slug=api.slug).select_related("forwarding")
    warm_ups = warm_ups_visible_to(request.user).filter(api_slug=api.slug)
    without: dict[str, Any] = {"per_page": LATEST, "exclude": ("api",)}
    return tabbed(
        request,
        api,
        "apis/cache.html",
        status=status,
        sample=sample,
        words=sentences(api.cache_policy),
        preview=first,
        purges=listing(request, purges, PurgeTable, prefix="purges-", **without)["table"],
        warm_ups=listing(request, warm_ups, WarmUpTable, prefix="warm-ups-", **without)["table"],
        **editor.context(),
        **connections(api),
    )


def connections(api: API) -> dict[str, Any]:
    """What purges of ``api`` come in by, and where they are forwarded to."""
    webhook: PurgeWebhook | None = getattr(api, "purge_webhook", None)
    holds = webhook is not None and webhook.previous_until is not None and webhook.previous_until > timezone.now()
    return {
        "webhook": webhook,
        "old_secret_holds": holds,
        "webhook_url": webhook_url(api),
        "cdn": getattr(api, "cdn", None),
    }


@page(load=an_api, may=can_view_configuration, may_post=can_edit_api, methods=FORM)
def cache(request: SignedInRequest, api: API) -> HttpResponse:
    """Its cache policy in sentences, what a sample request would get, and its purges and warm-ups."""
    editor = Editor.of(request, api)
    if request.method == "POST" and editor.is_valid():

        def save() -> Any:
            said = {name: editor.form.cleaned_data[name] for name in ("comment", "expected_revision")}
            return policy_update(actor=request.user, api=api, **said, **editor.fields())

        if attempted(editor.form, save, PolicyForm.NAMES, editor.beside_its_row):
            to = reverse("console:api_cache", args=[api.slug])
            return done_with_receipt(request, to, "The cache policy is saved")
        api.cache_policy.refresh_from_db()
    return editor_page(request, api, editor, status=422 if editor.errors else 200)


@page(load=an_api, may=can_view_configuration, methods=FORM)
def operation_rows(request: SignedInRequest, api: API) -> HttpResponse:
    """The policies of single operations with one row more, less or elsewhere: nothing is saved, nothing typed is lost."""
    policy = api.cache_policy
    if request.method != "POST":
        return editor_page(request, api, Editor.of(request, api))
    rows, at = rearranged(typed_rows(request.POST), request.POST.get("change", ""))
    operations = row_form(rows, at)
    if request.htmx:
        context = {"api": api, "operations": operations, "can_edit": can_edit_api(request.user, api)}
        answer = render(request, "apis/operation_policies.html", context)
        return trigger_client_event(answer, "policychange", after="settle")
    form = PolicyForm.of(api)
    form.initial = {**form.initial, **typed(form, request.POST)}
    warming = WarmUpSettingsForm.of(policy.warm_up)
    warming.initial = typed(warming, request.POST)
    return editor_page(request, api, Editor(form, operations, warming))


@page(load=an_api, may=can_view_configuration, methods=FORM)
def preview_page(request: SignedInRequest, api: API) -> HttpResponse:
    """What a sample request would get under the policy as it is typed, or as it is for those who only read it: nothing is saved."""
    typed = can_edit_api(request.user, api)
    editor = Editor.of(request, api, typed=typed)
    sample = sample_form(request, sent(request))
    outcome: Preview | None = None
    words: list[str] = []
    if request.method == "POST" and (not typed or editor.is_valid()):
        policy = api.cache_policy
        if typed:
            policy.put(editor.fields())
        words = sentences(policy)
        if sample.is_valid():
            outcome = preview(api, policy, sample.cleaned_data)
    context = {"api": api, "preview": outcome, "words": words, "sample": sample, "refused": editor.errors}
    return render(request, "apis/cache_preview.html", context)
