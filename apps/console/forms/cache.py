"""The cache policy editor's form: the policy in sentences, the least first, the rest with a line of help each."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from django import forms

from apps.caching import settings as kinds
from apps.caching.choices import QueryMode
from apps.caching.models import SETTINGS, CachePolicy
from apps.caching.settings import DEFAULT_METHODS, Between, PolicySetting, SettingGroup
from apps.catalog.models import API
from apps.console.forms.declared import USUAL, FieldsByKind, field_of
from apps.console.forms.fields import (
    ConsoleForm,
    DurationField,
    LinesField,
    PercentField,
    SizeField,
    WordsField,
)

DOWNSTREAM = [
    ("pass", "What the origin said"),
    ("private", "That only the caller's own cache may keep it"),
    ("no-store", "That no cache may keep it"),
    ("for", "To keep it for so long"),
]


def _ratio(setting: PolicySetting, **options: Any) -> forms.Field:
    bounds = setting.check
    return PercentField(most=100 * bounds.most if isinstance(bounds, Between) else 100, **options)


def _methods(_: PolicySetting, **options: Any) -> forms.Field:
    options |= {"required": False, "widget": forms.CheckboxSelectMultiple}
    return forms.MultipleChoiceField(choices=[(method, method) for method in kinds.CACHEABLE], **options)


#: kind of setting -> its field
_FIELDS: FieldsByKind = {
    **USUAL,
    kinds.RATIO: _ratio,
    kinds.SIZE: lambda _, **options: SizeField(**options),
    kinds.NAMES: lambda _, **options: WordsField(**options | {"required": False}),
    kinds.METHODS: _methods,
    kinds.ENTITY_TAGS: lambda _, **options: LinesField(**options | {"required": False}),
    kinds.DOWNSTREAM: lambda _, **options: forms.ChoiceField(choices=DOWNSTREAM, **options),
}

_SHORT = {kinds.COUNT, kinds.RATIO, kinds.DURATION, kinds.SIZE, kinds.DOWNSTREAM}
"""Kinds whose fields stand beside each other."""

IN_SENTENCES = {name for name, each in SETTINGS.items() if each.group is SettingGroup.SENTENCES} | {
    *("comment", "expected_revision", "__all__"),
}


class PolicyForm(ConsoleForm):
    """How one API's responses are cached: a field for each setting, and these beside them."""

    downstream_for = DurationField(required=False, label="For how long", help_text="Sent as max-age, like 60s.")
    share_confirmed = forms.BooleanField(
        required=False, label="I know that its responses don't depend on who is signed in"
    )
    comment = forms.CharField(
        required=False, max_length=300, label="What changes, and why", help_text="For the audit log."
    )
    expected_revision = forms.IntegerField(widget=forms.HiddenInput)

    #: fields of the form that are no field of the model, or part of one
    OWN = ("comment", "share_confirmed", "downstream_for", "expected_revision")
    #: a model's field -> the form's, for refusals
    NAMES: Mapping[str, str] = {}

    def __init__(self, *args: Any, shared_already: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shared_already = shared_already

    @property
    def more_refused(self) -> bool:
        """Whether something below the sentences is."""
        return bool(self.errors.keys() - IN_SENTENCES)

    @property
    def groups(self) -> Iterator[tuple[str, list[tuple[bool, list[forms.BoundField]]]]]:
        """The settings below the sentences by their headings, in runs: those of a short run stand beside each other."""
        for group in SettingGroup:
            settings = [each for each in SETTINGS.values() if each.group is group]
            if group is not SettingGroup.SENTENCES:
                runs = groupby(settings, lambda each: each.kind in _SHORT)
                yield group.value, [(short, self._fields_of(run)) for short, run in runs]

    def _fields_of(self, settings: Iterable[PolicySetting]) -> list[forms.BoundField]:
        names = [each.name for each in settings]
        if "downstream" in names:
            names.insert(names.index("downstream") + 1, "downstream_for")
        return [self[name] for name in names]

    @classmethod
    def of(cls, api: API, data: Any = None) -> "PolicyForm":
        """The form that shows the policy of ``api``, or what was typed over it."""
        policy = api.cache_policy
        shown = shown_of(policy_values(policy)) | {"expected_revision": api.revision}
        return cls(data, initial=shown, shared_already=policy.share_with_credentials)

    def clean_query_names(self) -> list[str]:
        """Names mean nothing when all parameters count: forget them rather than refuse."""
        names: list[str] = self.cleaned_data["query_names"]
        return [] if self.cleaned_data.get("query_mode") == QueryMode.ALL else names

    def clean(self) -> dict[str, Any]:
        """What needs two fields."""
        data = self.cleaned_data
        if data.get("share_with_credentials") and not self.shared_already and not data.get("share_confirmed"):
            self.add_error("share_confirmed", "Confirm this, or leave the switch off.")
        if (
            data.get("downstream") == "for"
            and data.get("downstream_for") is None
            and "downstream_for" not in self.errors
        ):
            self.add_error("downstream_for", "Say for how long, like 60s.")
        return data

    def policy_fields(self) -> dict[str, Any]:
        """What ``policy_update`` gets, besides the comment."""
        return fields_of(self.cleaned_data)


PolicyForm.base_fields = {
    name: field_of(setting, _FIELDS) for name, setting in SETTINGS.items()
} | PolicyForm.base_fields


def policy_values(policy: CachePolicy) -> dict[str, Any]:
    """The settings of ``policy``, as the model holds them."""
    return {name: getattr(policy, name) for name in SETTINGS}


def shown_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a policy, whole or in part, as the form shows them."""
    shown = dict(values)
    if "methods" in shown:
        shown["methods"] = shown["methods"] or list(DEFAULT_METHODS)
    if "entity_tags" in shown:
        shown["entity_tags"] = [f"{each['json']} {each['tag']}" for each in shown["entity_tags"]]
    if shown.get("downstream", "").isdecimal():
        shown["downstream_for"] = float(shown["downstream"])
        shown["downstream"] = "for"
    return shown


def fields_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed, whole or in part, as the fields of a policy."""
    fields = {name: value for name, value in data.items() if name not in PolicyForm.OWN}
    if "entity_tags" in fields:
        lines = [line.rsplit(None, 1) for line in fields["entity_tags"]]
        fields["entity_tags"] = [{"json": line[0], "tag": line[1] if len(line) > 1 else ""} for line in lines]
    if fields.get("downstream") == "for":
        fields["downstream"] = f"{data['downstream_for']:.15g}"  # never 1e+06
    return fields
