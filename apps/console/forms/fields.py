"""Fields that people write as they would say it: durations, lists of words, header rules."""

import contextlib
import json
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.http import QueryDict
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apimgr.environment import seconds
from apps.explain.typed_request import header_of
from apps.foundation import slugs
from apps.foundation.field_names import LONGEST_DURATION, duration_text, size, size_text


class ConsoleForm(forms.Form):
    """A form whose fields may link to their place on the help page (``help_anchor``)."""

    required_css_class = "required"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)

    def arguments(self) -> dict[str, Any]:
        """What the service gets of a valid form: the fields, unless the form says otherwise."""
        return self.cleaned_data


class NamedWithSlug:
    """Of a field that offers objects of which two may have one name: the short name tells them apart."""

    def label_from_instance(self, found: Any) -> str:
        """Like ``Product catalogue (catalogue)``."""
        return slugs.named(found.name, found.slug)


def by_name(apis: QuerySet) -> QuerySet:
    """``apis`` in the order in which they are offered: by name, in any case."""
    return apis.order_by(Lower("name"), "slug")


class APIField(NamedWithSlug, forms.ModelChoiceField):
    """Which API."""

    def __init__(self, queryset: QuerySet, **options: Any) -> None:
        super().__init__(queryset, to_field_name="slug", label="API", **options)


class SluggedForm(ConsoleForm):
    """A form of a new object with a short name."""

    slug = forms.SlugField(
        required=False,
        max_length=slugs.LONGEST,
        label="Short name",
        help_text="For addresses and files; made of the name if empty.",
    )

    def offer(self, taken: slugs.SlugTaken) -> None:
        """Say why a slug can't be had, and put the free one into the field."""
        data = cast(QueryDict, self.data).copy()
        data["slug"] = taken.free
        self.data = data
        self.add_error(None, taken)


class NamedForm(SluggedForm):
    """One of an object whose short name is made of its name where none is typed. ``name`` stands before it."""

    def others(self) -> QuerySet:
        """Objects whose slugs are taken."""
        raise NotImplementedError

    def clean(self) -> None:
        """Make the slug; where that one can't be had, offer a free one."""
        if self.cleaned_data.get("slug") or "slug" in self.errors or not (name := self.cleaned_data.get("name")):
            return
        try:
            self.cleaned_data["slug"] = slugs.free_slug(name, self.others())
        except slugs.SlugTaken as taken:
            self.offer(taken)


def helped(field: forms.Field, anchor: str) -> forms.Field:
    """``field`` with a link to ``anchor`` on the help page beside its line of help."""
    field.help_anchor = anchor  # type: ignore[attr-defined]
    return field


def needed(field: forms.Field, when: str) -> forms.Field:
    """``field``, which another field's value may require, with ``when`` beside its label in place of *optional*."""
    field.needed = when  # type: ignore[attr-defined]
    return field


class DurationField(forms.CharField):
    """A duration such as ``60s`` or ``15m``; its value is seconds (``None`` when empty and not required)."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("widget", forms.TextInput({"class": "short", "autocomplete": "off"}))
        super().__init__(**options)

    def prepare_value(self, value: Any) -> Any:
        """Seconds as they are written here."""
        return duration_text(float(value)) if isinstance(value, int | float) else value

    def to_python(self, value: Any) -> Any:
        """Seconds."""
        text = super().to_python(value)
        if not text:
            return None
        try:
            amount = seconds(text)
        except ValueError as refused:
            raise ValidationError(str(refused)) from None
        if amount > LONGEST_DURATION:
            raise ValidationError("A hundred years at most.")
        return amount


class WordsField(forms.CharField):
    """A list of words separated by commas or spaces; its value is a list."""

    def __init__(self, *, separators: str = ", ", **options: Any) -> None:
        options.setdefault("required", False)
        super().__init__(**options)
        self.separators = separators

    def prepare_value(self, value: Any) -> Any:
        """The list as one text."""
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """The list, without repetition."""
        text = super().to_python(value) or ""
        for separator in self.separators:
            text = text.replace(separator, "\n")
        return list(dict.fromkeys(word.strip() for word in text.splitlines() if word.strip()))


class LinesField(WordsField):
    """A list of lines; its value is a list."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("widget", forms.Textarea({"rows": 3, "spellcheck": "false"}))
        super().__init__(separators="", **options)

    def prepare_value(self, value: Any) -> Any:
        """The list, a line for each."""
        return "\n".join(value) if isinstance(value, list | tuple) else value


class RewritesField(LinesField):
    """Rules for paths, a line like ``/old/{id} -> /new/{id}`` for each; its value is a list of ``{"from", "to"}``."""

    def prepare_value(self, value: Any) -> Any:
        """The rules, a line for each."""
        return super().prepare_value(
            [f"{rule['from']} -> {rule['to']}" for rule in value] if isinstance(value, list) else value
        )

    def to_python(self, value: Any) -> Any:
        """The rules."""
        lines = [line.partition("->") for line in super().to_python(value)]
        if any(not arrow for _, arrow, _ in lines):
            raise forms.ValidationError("Write each rule like /old/{id} -> /new/{id}.")
        return [{"from": wanted.strip(), "to": made.strip()} for wanted, _, made in lines]


class ClaimsField(LinesField):
    """Values that claims may have, a line like ``tier: gold, silver`` for each claim; its value is a mapping to lists. Numbers,
    true and false are themselves; a text that looks like one, or has a comma, stands in quotes.
    """

    def prepare_value(self, value: Any) -> Any:
        """The claims, a line for each."""
        return super().prepare_value(
            [f"{name}: {_values_as_text(values)}" for name, values in value.items()]
            if isinstance(value, dict)
            else value
        )

    def to_python(self, value: Any) -> Any:
        """The mapping."""
        claims: dict[str, list[Any]] = {}
        for line in super().to_python(value):
            name, colon, values = line.partition(":")
            if not colon or not name.strip() or not values.strip():
                raise ValidationError("Write each claim like tier: gold, silver.")
            claims.setdefault(name.strip(), []).extend(_values_of(values))
        return claims


def _values_of(text: str) -> list[Any]:
    with contextlib.suppress(ValueError):
        return cast(list[Any], json.loads(f"[{text}]"))
    return [_literal(word.strip()) for word in text.split(",") if word.strip()]


def _literal(word: str) -> Any:
    try:
        found = json.loads(word)
    except ValueError:
        return word
    return found if isinstance(found, str | int | float | bool) else word


def _values_as_text(values: list[Any]) -> str:
    plain = ", ".join(str(value) for value in values)
    return plain if _values_of(plain) == values else json.dumps(values, ensure_ascii=False)[1:-1]


class OperationScopesField(LinesField):
    """Scopes for some calls, a line like ``POST, PUT /orders/** -> orders.write`` for each, methods optional; its value is a list
    of ``{"methods", "path", "required_scopes"}``.
    """

    def prepare_value(self, value: Any) -> Any:
        """The rules, a line for each."""
        return super().prepare_value([_rule_as_text(rule) for rule in value] if _is_rules(value) else value)

    def to_python(self, value: Any) -> Any:
        """The rules."""
        rules = []
        for line in super().to_python(value):
            methods, slash, rest = line.partition("/")
            path, arrow, scopes = f"{slash}{rest}".partition("->")
            if not slash or not arrow:
                raise ValidationError("Write each rule like POST /orders/** -> orders.write.")
            rules.append(
                {
                    "methods": [word.upper() for word in methods.replace(",", " ").split()],
                    "path": path.strip(),
                    "required_scopes": scopes.replace(",", " ").split(),
                }
            )
        return rules


def _is_rules(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(rule, dict) for rule in value)


def _rule_as_text(rule: dict[str, Any]) -> str:
    methods = ", ".join(rule.get("methods", ()))
    return f"{methods} {rule['path']} -> {' '.join(rule['required_scopes'])}".strip()


class OrderedSelects(forms.SelectMultiple):
    """As many drop-down lists as there are choices made, and two more for the next ones, in the order in which they count."""

    use_fieldset = True

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The lists, each with a name of its own for those who don't see them."""
        chosen = [word for word in value or () if word]
        places = min(len(chosen) + 2, len(list(self.choices)))
        attrs = {**self.attrs, **(attrs or {})}
        lists = []
        for number, word in enumerate((*chosen, *[""] * places)[:places], 1):
            own = attrs | {"id": f"{attrs.get('id', name)}_{number}", "aria-label": f"Choice {number}"}
            lists.append((forms.Select(own, [("", "–"), *self.choices]).render(name, word, renderer=renderer),))
        return format_html_join("\n", "{}", lists)


class OrderedField(forms.MultipleChoiceField):
    """Some of the choices, in the order in which they count; its value is a list."""

    widget = OrderedSelects

    def to_python(self, value: Any) -> list[str]:
        """What was chosen, each once."""
        return list(dict.fromkeys(word for word in super().to_python(value) if word))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Another order is a change too."""
        return list(initial or ()) != self.to_python(data)


class HeaderLinesField(forms.CharField):
    """Headers of a message, one ``Name: value`` per line, repeated ones too; its value is a list of pairs."""

    def __init__(self, *, rows: int = 2, **options: Any) -> None:
        options.setdefault("required", False)
        options.setdefault("widget", forms.Textarea({"rows": rows, "spellcheck": "false"}))
        super().__init__(**options)

    def to_python(self, value: Any) -> Any:
        """The pairs."""
        lines = (super().to_python(value) or "").splitlines()
        return [header_of(line) for line in lines if line.strip()]


class HeadersField(HeaderLinesField):
    """Headers to set, each of them once; its value is a mapping."""

    def __init__(self, *, rows: int = 3, **options: Any) -> None:
        super().__init__(rows=rows, **options)

    def prepare_value(self, value: Any) -> Any:
        """The mapping as lines."""
        return "\n".join(f"{name}: {text}" for name, text in value.items()) if isinstance(value, dict) else value

    def to_python(self, value: Any) -> Any:
        """The mapping."""
        return dict(super().to_python(value))


class PercentField(forms.FloatField):
    """A part of a whole, typed as percent, up to ``most``; its value is between 0 and 1."""

    unit = "%"

    def __init__(self, *, most: float = 100, **options: Any) -> None:
        super().__init__(**options)
        self.most = most
        self.widget.attrs |= {"min": 0, "max": f"{most:g}"}

    def prepare_value(self, value: Any) -> Any:
        """As percent."""
        return f"{value * 100:g}" if isinstance(value, int | float) else value

    def to_python(self, value: Any) -> Any:
        """The ratio."""
        number = super().to_python(value)
        if number is None:
            return None
        if not 0 <= number <= self.most:
            raise ValidationError(f"Between 0 and {self.most:g} %.")
        return round(number / 100, 6)


class SizeField(forms.CharField):
    """A number of bytes such as ``8MiB`` or ``20MB``; ``None`` when empty and not required."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("widget", forms.TextInput({"class": "short", "autocomplete": "off"}))
        super().__init__(**options)

    def prepare_value(self, value: Any) -> Any:
        """Bytes as they are written here."""
        return size_text(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> Any:
        """Bytes."""
        text = (super().to_python(value) or "").replace(" ", "")
        if not text:
            return None
        try:
            return size(int(text) if text.isdecimal() else text)
        except ValueError as refused:
            raise ValidationError(str(refused)) from None


class MomentField(forms.DateTimeField):
    """A date and time, in UTC, typed in the browser's own control; optional by default."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("required", False)
        options.setdefault(
            "widget", forms.DateTimeInput({"type": "datetime-local", "class": "w-auto"}, format="%Y-%m-%dT%H:%M")
        )
        super().__init__(**options)


def text_area(rows: int = 3) -> forms.Textarea:
    """A text area of so many lines."""
    return forms.Textarea({"rows": rows})
