"""Forms about typed requests: as which application, with which headers."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.access.models import Application
from apps.access.services.applications import application_named
from apps.console.forms.fields import ConsoleForm, HeaderLinesField, helped

METHODS = ("GET", "HEAD", "POST", "QUERY", "PUT", "PATCH", "DELETE")
SUGGESTED = 50
"""Applications that are offered while one is typed; more can be typed all the same."""


class OfferedInput(forms.TextInput):
    """A text input that offers values: what it takes isn't bounded by them."""

    offered: Sequence[str] = ()

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        """The input, and the list beside it."""
        own = dict(attrs or {})
        own["list"] = f"{own.get('id', name)}_list"
        options = format_html_join("", '<option value="{}"></option>', ((each,) for each in self.offered))
        return format_html(
            '{}<datalist id="{}">{}</datalist>', super().render(name, value, own, renderer), own["list"], options
        )


class ApplicationField(forms.CharField):
    """An application as ``tenant/application``; its value is the row, ``None`` when empty.

    There may be a hundred thousand of them: some are offered, all can be typed.
    """

    def __init__(self, **options: Any) -> None:
        widget = OfferedInput({"autocomplete": "off", "spellcheck": "false"})
        super().__init__(required=False, widget=widget, **options)
        self.applications: QuerySet[Application] = Application.objects.none()

    def offer(self, applications: QuerySet[Application]) -> None:
        """Let the reader name one of these."""
        self.applications = applications
        rows = applications.order_by("tenant__slug", "slug").values_list("tenant__slug", "slug")[:SUGGESTED]
        self.widget.offered = [f"{tenant}/{slug}" for tenant, slug in rows]

    def to_python(self, value: Any) -> Any:
        """The row."""
        text = super().to_python(value)
        return application_named(text, self.applications) if text else None


class ExplainForm(ConsoleForm):
    """A request to explain."""

    method = forms.ChoiceField(choices=[(method, method) for method in METHODS], label="Method", initial="GET")
    url = helped(
        forms.CharField(
            max_length=8000,
            label="URL",
            help_text="As callers send it, listen path included.",
            widget=forms.TextInput({"spellcheck": "false"}),
        ),
        "explain",
    )
    application = ApplicationField(label="As application", help_text="Like acme/bot. Empty: a caller without a key.")
    headers = HeaderLinesField(label="Headers", help_text="One Name: value per line.")
    body = forms.CharField(
        required=False,
        label="Body",
        widget=forms.Textarea({"rows": 3, "spellcheck": "false"}),
        help_text="Part of the key where the policy keeps responses to POST.",
    )

    def __init__(self, *args: Any, applications: QuerySet[Application], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["application"].offer(applications)  # type: ignore[attr-defined]

    def clean_body(self) -> bytes:
        """As it would be sent."""
        body: str = self.cleaned_data["body"]
        return body.encode()
