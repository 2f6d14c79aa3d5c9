"""Fields of settings, made of their declarations."""

from collections.abc import Callable, Mapping
from typing import Any

from django import forms

from apps.console.forms.fields import DurationField, helped
from apps.foundation.declared_settings import CHOICE, COUNT, DURATION, SWITCH, Between, Kind, Setting

FieldsByKind = dict[Kind, Callable[..., forms.Field]]
"""Kind of setting -> what makes its field of the setting and the field's options."""


def _switch(_: Setting, **options: Any) -> forms.Field:
    return forms.BooleanField(**options | {"required": False})


def _choice(setting: Setting, **options: Any) -> forms.Field:
    return forms.ChoiceField(choices=setting.column.choices, **options)  # type: ignore[arg-type]


def _count(setting: Setting, **options: Any) -> forms.Field:
    bounds = setting.check
    if isinstance(bounds, Between):
        options |= {"min_value": int(bounds.least), "max_value": int(bounds.most)}
    return forms.IntegerField(**options)


USUAL: FieldsByKind = {
    SWITCH: _switch,
    CHOICE: _choice,
    COUNT: _count,
    DURATION: lambda _, **options: DurationField(**options),
}
"""Of the kinds that all rooms have."""


def field_of(setting: Setting, by_kind: Mapping[Kind, Callable[..., forms.Field]]) -> forms.Field:
    """The form's field of a setting."""
    required = not (setting.column.null or setting.column.blank)
    field = by_kind[setting.kind](setting, required=required, label=setting.label, help_text=setting.help)
    if setting.placeholder:
        field.widget.attrs["placeholder"] = setting.placeholder
    return helped(field, setting.anchor) if setting.anchor else field
