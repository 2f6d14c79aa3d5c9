"""Policies of single operations, as rows of the policy editor: the first row that a call falls under is the one that counts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.http import QueryDict

from apps.caching.models import SETTINGS
from apps.caching.settings import ENTITY_TAGS, NAMES
from apps.caching.validation import MOST_OPERATIONS as MOST
from apps.console.forms.cache import PolicyForm, fields_of, shown_of
from apps.console.forms.fields import ConsoleForm, WordsField
from apps.console.forms.overrides import NONE, said, unsaid_or

PREFIX = "operations"

#: fields of the API's policy that a row may say otherwise; the first ones stand open, the rest are folded
OPEN = ("mode", "ttl", "stale_while_revalidate", "stale_if_error", "negative_ttl", "scope")
FOLDED = tuple(
    name
    for setting in SETTINGS.values()
    if setting.of_operation and setting.name not in (*OPEN, "methods")
    for name in ([setting.name, "downstream_for"] if setting.name == "downstream" else [setting.name])
)
#: where nothing is a value of its own, not the same as unsaid
EMPTY: Mapping[str, Any] = {
    name: None if setting.column.null else []
    for name, setting in SETTINGS.items()
    if setting.column.null or setting.kind in (NAMES, ENTITY_TAGS)
}


class OperationForm(ConsoleForm):
    """One row: which calls, and what is otherwise for them."""

    path = forms.CharField(
        required=False,
        max_length=500,
        label="Path",
        help_text="Below the listen path. * or {id} is any one segment, ** at the end the rest.",
        widget=forms.TextInput({"spellcheck": "false"}),
    )
    methods = WordsField(label="Methods", help_text="Like GET, POST. Empty: all.")
    share_confirmed = forms.BooleanField(
        required=False, label="I know that its responses don't depend on who is signed in"
    )

    def __init__(self, *args: Any, shared_already: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shared_already = shared_already
        for name in (*OPEN, *FOLDED):
            inner = PolicyForm.base_fields[name]
            self.fields[name] = unsaid_or(inner, **({"empty": EMPTY[name]} if name in EMPTY else {}))

    @property
    def open_fields(self) -> list[forms.BoundField]:
        """What a row is mostly made for."""
        return [self[name] for name in OPEN]

    @property
    def folded_fields(self) -> list[forms.BoundField]:
        """The rest."""
        return [self[name] for name in FOLDED]

    @property
    def folded_said(self) -> bool:
        """Whether something of the rest is said, or refused."""
        return any(bound.value() not in (None, "", []) or bound.errors for bound in self.folded_fields)

    @property
    def title(self) -> str:
        """What the row is about, as far as it is typed."""
        methods = self["methods"].value() or ""
        words = ", ".join(methods) if isinstance(methods, list) else methods
        return f"{words or 'Any method'} {self['path'].value() or ''}".strip()

    def clean_methods(self) -> list[str]:
        """As HTTP writes them."""
        return [method.upper() for method in self.cleaned_data["methods"]]

    def clean(self) -> dict[str, Any]:
        """A path, unless the whole row is empty; and what needs two fields."""
        data = self.cleaned_data
        if self.is_said and not data.get("path") and "path" not in self.errors:
            self.add_error("path", "Say for which path, like /items/{id}.")
        if data.get("downstream") == "for" and "downstream_for" not in said(data):
            self.add_error("downstream_for", "Say for how long, like 60s.")
        if data.get("share_with_credentials") is True and not (self.shared_already or data.get("share_confirmed")):
            self.add_error("share_confirmed", "Confirm this, or leave the switch off.")
        return data

    @property
    def is_said(self) -> bool:
        """Whether anything was typed in this row."""
        return any(value not in ("", [], False) for value in said(self.cleaned_data).values())

    def operation(self) -> dict[str, Any]:
        """The row as ``policy_update`` takes it."""
        data = said(self.cleaned_data)
        if not data["methods"]:
            del data["methods"]
        return fields_of(data)


if TYPE_CHECKING:
    Base = forms.BaseFormSet[OperationForm]
else:
    Base = forms.BaseFormSet


class Operations(Base):
    """The rows, in their order."""

    @property
    def rows(self) -> list[OperationForm]:
        """Those in which something was typed."""
        return [row for row in self.forms if row.is_said]

    def operations(self) -> list[dict[str, Any]]:
        """What ``policy_update`` gets."""
        return [row.operation() for row in self.rows]


OperationFormSet = cast(
    type[Operations], forms.formset_factory(OperationForm, formset=Operations, extra=0, max_num=MOST)
)


def shown_operations(operations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The operations of a policy as the rows show them."""
    return [
        {name: NONE if name in EMPTY and value == EMPTY[name] else value for name, value in shown_of(each).items()}
        for each in operations
    ]


def operations_form(
    data: QueryDict | None, operations: list[dict[str, Any]], *, shared_already: bool = False
) -> Operations:
    """The rows of a policy, or what was typed over them. ``shared_already``: sharing needs no confirmation again."""
    shared = shared_already or any(each.get("share_with_credentials") for each in operations)
    return OperationFormSet(
        data, initial=shown_operations(operations), prefix=PREFIX, form_kwargs={"shared_already": shared}
    )


def row_form(rows: list[dict[str, Any]], at: int | None) -> Operations:
    """Rows as they were typed, with the focus on one of them."""
    made = OperationFormSet(initial=rows, prefix=PREFIX)
    if at is not None:
        made.forms[at].fields["path"].widget.attrs["autofocus"] = True
    return made


def typed(form: forms.BaseForm, data: QueryDict) -> dict[str, Any]:
    """What was typed in ``form``, as it was typed: nothing is checked, nothing lost."""
    return {
        name: field.widget.value_from_datadict(data, {}, form.add_prefix(name)) for name, field in form.fields.items()
    }


def typed_rows(data: QueryDict) -> list[dict[str, Any]]:
    """The rows as they were typed."""
    total = data.get(f"{PREFIX}-TOTAL_FORMS", "")
    count = min(int(total), MOST) if total.isdecimal() and len(total) < 6 else 0
    return [typed(OperationForm(prefix=f"{PREFIX}-{number}"), data) for number in range(count)]


def rearranged(rows: list[dict[str, Any]], change: str) -> tuple[list[dict[str, Any]], int | None]:
    """The rows after ``change`` (``add``, ``up-2``, ``down-0``, ``remove-1``), and which of them is to be looked at next.

    What makes no sense changes nothing.
    """
    rows = list(rows)
    verb, _, number = change.partition("-")
    if verb == "add":
        return ([*rows, {}], len(rows)) if len(rows) < MOST else (rows, None)
    at = int(number) if number.isdecimal() and len(number) < 6 else len(rows)
    to = {"up": at - 1, "down": at + 1, "remove": at}.get(verb, -1)
    if not (at < len(rows) and 0 <= to < len(rows)):
        return rows, None
    row = rows.pop(at)
    if verb == "remove":
        return rows, min(at, len(rows) - 1) if rows else None
    rows.insert(to, row)
    return rows, to
