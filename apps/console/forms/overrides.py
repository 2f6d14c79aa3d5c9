"""Fields of a policy that may stay unsaid, because what they belong to says it already."""

import copy
from collections.abc import Mapping
from typing import Any

from django import forms

UNSAID = object()
"""What a field's value is when nothing was typed: as the API's own policy says."""

AS_THE_API = "As the API's"
NONE = "none"


class SaidOrNot(forms.CharField):
    """What ``inner`` takes, or nothing. Where an empty value means something (``empty``), it is typed as “none”."""

    def __init__(self, inner: forms.Field, *, empty: Any = UNSAID) -> None:
        super().__init__(required=False, label=inner.label, widget=copy.deepcopy(inner.widget))
        self.inner, self.empty = inner, empty
        self.widget.attrs["placeholder"] = AS_THE_API

    def prepare_value(self, value: Any) -> Any:
        """As the field itself would show it; ``NONE`` stands for itself."""
        return self.inner.prepare_value(value)

    def clean(self, value: Any) -> Any:
        """The value, or ``UNSAID``."""
        text = str(value or "").strip()
        if not text:
            return UNSAID
        if self.empty is not UNSAID and text.lower() == NONE:
            return copy.copy(self.empty)
        return self.inner.clean(text)


class ChosenOrNot(forms.ChoiceField):
    """One of ``inner``'s choices, or nothing."""

    def __init__(self, inner: forms.ChoiceField) -> None:
        choices = [("", AS_THE_API), *inner.choices]  # type: ignore[misc]
        super().__init__(choices=choices, required=False, label=inner.label)

    def clean(self, value: Any) -> Any:
        """The choice, or ``UNSAID``."""
        return super().clean(value) or UNSAID


class SwitchedOrNot(forms.ChoiceField):
    """Yes, no, or nothing."""

    def __init__(self, inner: forms.BooleanField) -> None:
        super().__init__(choices=[("", AS_THE_API), ("yes", "Yes"), ("no", "No")], required=False, label=inner.label)

    def prepare_value(self, value: Any) -> Any:
        """As one of the words."""
        return {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value

    def clean(self, value: Any) -> Any:
        """True, false, or ``UNSAID``."""
        return {"yes": True, "no": False}.get(super().clean(value), UNSAID)


def unsaid_or(field: forms.Field, *, empty: Any = UNSAID) -> forms.Field:
    """``field``, with the choice to say nothing."""
    if isinstance(field, forms.BooleanField):
        return SwitchedOrNot(field)
    if isinstance(field, forms.ChoiceField):
        return ChosenOrNot(field)
    return SaidOrNot(field, empty=empty)


def said(data: Mapping[str, Any]) -> dict[str, Any]:
    """What was said of what was typed."""
    return {name: value for name, value in data.items() if value is not UNSAID}
