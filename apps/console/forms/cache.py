"""The cache policy editor's forms: the policy in sentences, and the sample request beside it."""

from typing import Any

from django import forms

from apps.caching.choices import CacheMode, ClientDirectives, QueryMode, Scope, Sensitivity
from apps.caching.models import CachePolicy
from apps.console.forms.fields import ConsoleForm, DurationField, WordsField


class PolicyForm(ConsoleForm):
    """How one API's answers are cached."""

    mode = forms.ChoiceField(choices=CacheMode.choices, label="Who decides the lifetime")
    ttl = DurationField(label="TTL")
    stale_while_revalidate = DurationField(label="Stale while one call refreshes")
    stale_if_error = DurationField(required=False, label="Stale when the upstream fails")
    query_mode = forms.ChoiceField(choices=QueryMode.choices, label="Query parameters in the key")
    query_names = WordsField(label="Names of query parameters")
    headers = WordsField(label="Request headers in the key")
    scope = forms.ChoiceField(choices=Scope.choices, label="Shared among")
    client_directives = forms.ChoiceField(choices=ClientDirectives.choices, label="A caller's Cache-Control")
    store_set_cookie = forms.BooleanField(required=False, label="Store answers that set cookies, without the cookies")
    sensitivity = forms.ChoiceField(choices=Sensitivity.choices, label="Sensitivity")
    comment = forms.CharField(
        required=False, max_length=300, label="What changes, and why", help_text="For the audit log."
    )

    @staticmethod
    def initial_of(policy: CachePolicy) -> dict[str, Any]:
        """What the form shows of ``policy``."""
        return {name: getattr(policy, name) for name in PolicyForm.base_fields if name != "comment"}

    def policy_fields(self) -> dict[str, Any]:
        """What ``policy_update`` gets, besides the comment."""
        return {name: value for name, value in self.cleaned_data.items() if name != "comment"}

    def clean_query_names(self) -> list[str]:
        """Names mean nothing when all parameters count: forget them rather than refuse."""
        names: list[str] = self.cleaned_data["query_names"]
        return [] if self.cleaned_data.get("query_mode") == QueryMode.ALL else names


class SampleForm(ConsoleForm):
    """A request and the origin's answer to it, to try a policy on."""

    method = forms.ChoiceField(
        choices=[(method, method) for method in ("GET", "HEAD", "POST")], label="Method", initial="GET"
    )
    path = forms.CharField(max_length=2000, label="Path", initial="/items/7?page=2")
    request_headers = forms.CharField(
        required=False, label="Request headers", widget=forms.Textarea({"rows": 2, "spellcheck": "false"})
    )
    status = forms.IntegerField(min_value=200, max_value=599, initial=200, label="The origin answers")
    response_headers = forms.CharField(
        required=False,
        label="with headers",
        initial="Cache-Control: max-age=30",
        widget=forms.Textarea({"rows": 3, "spellcheck": "false"}),
    )
    age = DurationField(required=False, label="The same request comes again after", initial=10.0)
