"""A request and the origin's response to it, to try a policy on."""

from typing import Any

from django import forms
from django.db.models import QuerySet

from apps.access.models import Application
from apps.console.forms.explain import ApplicationField
from apps.console.forms.fields import ConsoleForm, DurationField, HeaderLinesField

METHODS = ("GET", "HEAD", "POST", "QUERY", "PUT", "DELETE")


class SampleForm(ConsoleForm):
    """The sample beside the policy editor. Its fields' names don't meet those of the policy's, which are in the same form."""

    method = forms.ChoiceField(choices=[(method, method) for method in METHODS], label="Method", initial="GET")
    path = forms.CharField(max_length=2000, label="Path", initial="/items/7?page=2", help_text="Below the listen path.")
    application = ApplicationField(label="As application", help_text="Like acme/bot. Empty: some application.")
    request_headers = HeaderLinesField(label="Request headers")
    request_body = forms.CharField(
        required=False, label="Request body", widget=forms.Textarea({"rows": 2, "spellcheck": "false"})
    )
    status = forms.IntegerField(min_value=200, max_value=599, initial=200, label="The origin answers")
    response_headers = HeaderLinesField(
        label="The origin's headers",
        initial="Cache-Control: max-age=30",
        rows=3,
    )
    age = DurationField(required=False, label="The same request comes again after", initial=10.0)

    def __init__(self, *args: Any, applications: QuerySet[Application], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["application"].offer(applications)  # type: ignore[attr-defined]
