"""Forms about warm-ups."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from apps.caching.warm_up import MOST, USUAL_RATE, read_warm_up
from apps.catalog.models import API
from apps.console.forms.fields import APIField, ConsoleForm, DurationField, HeadersField, LinesField, by_name, helped
from apps.foundation.field_names import by_path, duration_text

UNSAID: tuple[Any, ...] = (None, "", [], {}, False)


class WarmUpForm(ConsoleForm):
    """What to fetch of one API, and how fast."""

    top = helped(
        forms.IntegerField(
            required=False,
            min_value=0,
            max_value=MOST,
            label="The most called URLs of the last day",
            help_text="How many of them. Without any URL at all: what the API's policy says, else its top 100.",
        ),
        "warm-up",
    )
    urls = LinesField(label="URLs", help_text="One per line, like /items/7?page=2, below the listen path or with it.")
    rate = forms.CharField(
        max_length=20, initial=USUAL_RATE, label="At most", help_text="Calls to the upstream, like 10/s or 100/m."
    )
    headers = HeadersField(
        label="Headers to send", help_text="One Name: value per line, such as those that Vary names."
    )

    def arguments(self) -> dict[str, Any]:
        """Without what was left empty."""
        data = self.cleaned_data
        return {**data, "top": data["top"] or 0, "headers": data["headers"] or None}


class WarmUpAnyForm(WarmUpForm):
    """The same, of which API."""

    api = APIField(API.objects.none(), empty_label="Choose an API")
    field_order = ["api", "top", "urls", "rate", "headers"]

    def __init__(self, *args: Any, apis: QuerySet[API], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["api"].queryset = by_name(apis)  # type: ignore[attr-defined]


class WarmUpSettingsForm(ConsoleForm):
    """When an API is warmed up by itself, and with what."""

    on_publish = forms.BooleanField(required=False, label="After each new revision in force")
    after_purge = forms.BooleanField(required=False, label="After each purge")
    every = DurationField(required=False, label="And every", help_text="Like 1h. Empty: no schedule.")
    top = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=MOST,
        label="The most called URLs of the last day",
        help_text="How many. Without these and without URLs: 100.",
    )
    urls = LinesField(label="URLs", help_text="One per line, like /items/7?page=2, listen path included or not.")
    rate = forms.CharField(
        required=False,
        max_length=20,
        label="At most",
        help_text=f"Calls to the upstream, like 10/s or 100/m. Empty: {USUAL_RATE}.",
    )
    headers = HeadersField(label="Headers to send", help_text="One Name: value per line.")

    warm_up: dict[str, Any]
    """Once it is valid: what was said, in the declarative file's words."""

    @classmethod
    def of(cls, warm_up: dict[str, Any], data: Any = None) -> "WarmUpSettingsForm":
        """The form that shows the ``warm_up`` of a policy, or what was typed over it."""
        return cls(data, initial=warm_up, prefix="warm")

    def clean(self) -> dict[str, Any]:
        """As the declarative file is read, each refusal beside its field."""
        data = self.cleaned_data
        if self.errors:
            return data
        every = duration_text(data["every"]) if data["every"] is not None else None
        words = {name: value for name, value in (data | {"every": every}).items() if value not in UNSAID}
        try:
            self.warm_up = read_warm_up(words)
        except ValidationError as refused:
            for path, messages in by_path(refused).items():
                field, _, inner = path.partition(".")
                named = f"{data[field][int(inner)]}: " if inner.isdecimal() else f"{inner}: " if inner else ""
                self.add_error(field, [f"{named}{message}" for message in messages])
        return data
