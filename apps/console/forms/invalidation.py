"""Forms about what purges come in by, and where they are forwarded to."""

from datetime import timedelta
from typing import Any

from django import forms

from apps.caching.choices import PurgeKind
from apps.console.forms.fields import ConsoleForm, DurationField, HeadersField, helped
from apps.invalidation.cdn_calls import KINDS
from apps.invalidation.models import CDN

METHODS = [(method, method) for method in ("PURGE", "POST", "DELETE", "PUT", "GET", "BAN")]
BODIES = {"tag": '{"tags": ["{tag}"]}', "path": '{"files": ["{url}"]}'}


class FirstSecretForm(ConsoleForm):
    """A webhook's first secret: there is nothing to say."""

    def arguments(self) -> dict[str, Any]:
        """There is no other secret beside it."""
        return {"overlap": timedelta(0)}


class NextSecretForm(ConsoleForm):
    """A webhook's next secret."""

    old_holds = DurationField(
        initial=24 * 3600.0,
        label="The old secret holds for",
        help_text="Time to put the new one in place, like 24h. 0s ends it at once.",
    )

    def arguments(self) -> dict[str, Any]:
        """As a span."""
        return {"overlap": timedelta(seconds=self.cleaned_data["old_holds"])}


class CDNForm(ConsoleForm):
    """A cache in front of the gateways, and the calls that purge it: one for each kind of purge that it can do."""

    base_url = helped(
        forms.CharField(
            required=False,
            max_length=500,
            label="Where callers reach the API",
            help_text="What {url} begins with, like https://api.example.com/products.",
        ),
        "cdn",
    )
    headers = HeadersField(
        label="Headers of each call",
        help_text="One Name: value per line. Values are encrypted and never shown; a name without one keeps what it has.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for kind in KINDS:
            self.fields[f"{kind}_method"] = forms.ChoiceField(choices=METHODS, required=False, label="Method")
            self.fields[f"{kind}_url"] = forms.CharField(
                required=False, max_length=4000, label="URL", widget=forms.TextInput({"spellcheck": "false"})
            )
            self.fields[f"{kind}_body"] = forms.CharField(
                required=False,
                max_length=4000,
                label="Body",
                widget=forms.Textarea({"rows": 1, "spellcheck": "false", "placeholder": BODIES.get(kind, "")}),
            )

    @staticmethod
    def initial_of(cdn: CDN | None) -> dict[str, Any]:
        """What the form shows of ``cdn``: of its headers the names."""
        if cdn is None:
            return {"path_method": "PURGE", "path_url": "{url}"}
        shown: dict[str, Any] = {"base_url": cdn.base_url, "headers": dict.fromkeys(cdn.headers, "")}
        for kind, call in cdn.calls.items():
            shown |= {f"{kind}_{word}": value for word, value in call.items()}
        return shown

    @property
    def kinds(self) -> list[tuple[str, forms.BoundField, forms.BoundField, forms.BoundField]]:
        """The rows: what is purged, and the fields of its call."""
        return [
            (str(PurgeKind(kind).label), self[f"{kind}_method"], self[f"{kind}_url"], self[f"{kind}_body"])
            for kind in KINDS
        ]

    def changes(self) -> dict[str, Any]:
        """What ``cdn_update`` gets."""
        data = self.cleaned_data
        calls = {}
        for kind in KINDS:
            if data[f"{kind}_url"]:
                call = {"method": data[f"{kind}_method"] or "PURGE", "url": data[f"{kind}_url"]}
                calls[kind] = call | ({"body": data[f"{kind}_body"]} if data[f"{kind}_body"] else {})
        headers = {name: value or None for name, value in data["headers"].items()}
        return {"base_url": data["base_url"], "headers": headers, "calls": calls}
