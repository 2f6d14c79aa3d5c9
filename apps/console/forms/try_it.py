"""The form of “Try it”: a call, and a value for each parameter of its path."""

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.forms import BoundField

from apps.access.models import Application
from apps.catalog.field_checks import is_host, normal_host
from apps.catalog.models import Operation
from apps.catalog.openapi.examples import example_of
from apps.console.forms.fields import ConsoleForm
from apps.foundation.path_templates import filled, placeholders
from apps.wire.host_names import is_among, is_wildcard

IN_PATH = "in_path:"
"""What the names of the fields for parameters begin with."""

MOST = 20
"""Parameters of a path that are asked for: one with more of them can't be tried."""


class TryForm(ConsoleForm):
    """A real call to one API. A path like ``/items/{id}`` has a field for ``id``, and can't be called without its value.
    Where one of the API's ``hosts`` is a wildcard, it asks for the host that is called."""

    application = forms.ModelChoiceField(
        queryset=Application.objects.none(), empty_label=None, help_text="In whose name; it gets a key for 60 s."
    )
    method = forms.ChoiceField(
        choices=[(method, method) for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")]
    )
    host = forms.CharField(max_length=253)
    path = forms.CharField(required=False, max_length=2000, help_text="Below the listen path, with the query.")
    headers = forms.CharField(
        required=False,
        widget=forms.Textarea({"rows": 2, "spellcheck": "false"}),
        help_text="One Name: value per line.",
    )
    body = forms.CharField(
        required=False, max_length=200_000, widget=forms.Textarea({"rows": 3, "spellcheck": "false"})
    )

    def __init__(
        self,
        *args: Any,
        applications: QuerySet[Application],
        operations: QuerySet[Operation],
        hosts: list[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._hosts = hosts
        if any(map(is_wildcard, hosts)):
            self.fields["host"].initial = next((host for host in hosts if not is_wildcard(host)), "")
            self.fields["host"].help_text = f"One of {', '.join(hosts)}."
        else:
            del self.fields["host"]
        self.fields["application"].queryset = applications  # type: ignore[attr-defined]
        path = str(self["path"].value() or "")
        self._names = placeholders(path)
        described = self._described(operations, path) if self._names else {}
        for name in self._names[:MOST]:
            parameter = described.get(name, {})
            self.fields[f"{IN_PATH}{name}"] = forms.CharField(
                max_length=500,
                label=name,
                initial=example_of(parameter),
                help_text=str(parameter.get("description") or "")[:200],
                error_messages={"required": f"The path has no value for {{{name}}} yet."},
            )

    def _described(self, operations: QuerySet[Operation], path: str) -> dict[str, dict[str, Any]]:
        """The parameters of the path by name, as the operation with this path and method describes them."""
        template = "/" + path.partition("?")[0].lstrip("/")
        found = operations.filter(path=template, method=self["method"].value()).first()
        parameters = found.parameters if found is not None else []
        return {each["name"]: each for each in parameters if each.get("in") == "path" and "name" in each}

    @property
    def parameters(self) -> list[BoundField]:
        """The fields of the path's parameters."""
        return [self[name] for name in self.fields if name.startswith(IN_PATH)]

    @property
    def example_path(self) -> str:
        """The path for an example, with the values that stand in the fields."""
        values = {name: str(self[f"{IN_PATH}{name}"].value() or "") for name in self._names[:MOST]}
        return filled(str(self["path"].value() or ""), values)

    def clean_host(self) -> str:
        """The host to call: one at which this API is served."""
        host = normal_host(self.cleaned_data["host"])
        if is_wildcard(host) or not is_host(host) or not is_among(host, self._hosts):
            raise forms.ValidationError(f"The API isn't served there. Write one of {', '.join(self._hosts)}.")
        return host

    def clean(self) -> dict[str, Any]:
        """``path`` is the one to call."""
        data = self.cleaned_data
        if len(self._names) > MOST:
            self.add_error("path", f"At most {MOST} parameters.")
        if not self.errors:
            data["path"] = filled(data["path"], {name: data[f"{IN_PATH}{name}"] for name in self._names})
        return data
