"""Tags and filters of the console's templates: figures, times, badges, icons, fields."""

from datetime import datetime
from typing import Any

from django import template
from django.forms import BoundField, CheckboxInput, CheckboxSelectMultiple, RadioSelect, Select, SelectMultiple
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.analytics.explain import sentence_of
from apps.console import figure_words, markdown, number_format, status_labels
from apps.console.forms.fields import OrderedSelects

register = template.Library()

_SHARING = {
    "shared": "every caller",
    "tenant": "one tenant",
    "application": "one application",
    "subject": "one caller",
}

SPRITE = "vendor/tabler-icons-3.51.0/sprite.svg"

register.filter("hit_ratio_cell", figure_words.hit_ratio_cell)
register.filter("number", number_format.number)
register.filter("percent", number_format.percent)
register.filter("ms", number_format.milliseconds)
register.filter("whole_ms", number_format.whole_milliseconds)
register.filter("size", number_format.size)
register.filter("duration", number_format.duration)
register.filter("counted", number_format.counted)
register.filter("per", number_format.per)
register.filter("past", status_labels.past)
register.filter("markdown", markdown.rendered)


@register.filter
def dash(value: object) -> object:
    """The value, or a dash where there is none. 0 is a value."""
    return number_format.DASH if value is None or value == "" else value


@register.filter
def headlines(compared: dict[str, figure_words.Row]) -> list[figure_words.Figure]:
    """The headline figures of a span (``now``) and the one before it (``before``)."""
    return figure_words.headlines(compared["now"], compared["before"])


@register.filter
def word(state: str) -> str:
    """A state as readers see it."""
    return status_labels.word(state)


@register.filter
def initials(name: object) -> str:
    """One or two letters that stand for a person or a tenant."""
    words = str(name).split("@")[0].replace(".", " ").replace("-", " ").split()
    return "".join(part[0] for part in words[:2]).upper() or "?"


@register.filter
def get(mapping: dict[Any, Any], key: Any) -> Any:
    """A value of a mapping by a key that is itself a variable."""
    return mapping.get(key)


@register.filter
def reason(code: str) -> str:
    """The sentence of a cache decision's or a refusal's code; one that has none, as words."""
    return sentence_of(code) or code.replace("_", " ").capitalize() or number_format.DASH


@register.filter
def because(sentence: str) -> str:
    """A sentence as what follows “because”."""
    return sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() or sentence[1:2] == " " else sentence


@register.filter
def part(label: str) -> str:
    """The name of a part of a cache key, for people."""
    return "API" if label == "api" else label.capitalize()


@register.filter
def sharing(scope: str) -> str:
    """Among whom a stored response is shared."""
    return _SHARING.get(scope, scope)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """An icon of the sprite. Without a label it is decoration."""
    address = f"{static(SPRITE)}#{name}"
    if label:
        return format_html('<svg class="icon" role="img" aria-label="{}"><use href="{}"></use></svg>', label, address)
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}"></use></svg>', address)


def _badge(meaning: status_labels.StatusLabel, text: object) -> SafeString:
    return format_html(
        '<span class="tag m-{}{}">{}{}</span>',
        meaning.name,
        " tag-outline" if meaning.outline else "",
        icon(meaning.icon),
        text,
    )


@register.simple_tag
def state(value: str, text: str = "") -> SafeString:
    """A state as a badge: colour, shape and word."""
    return _badge(status_labels.of_state(value), text or status_labels.word(value))


@register.simple_tag
def result(value: str) -> SafeString:
    """A cache result as a badge."""
    return _badge(status_labels.of_result(value), value) if value else SafeString(number_format.DASH)


@register.simple_tag
def status(value: int) -> SafeString:
    """An HTTP status as a badge; 0 is no response."""
    return _badge(status_labels.of_status(value), value or "no response")


@register.simple_tag
def ago(when: datetime | None, none: str = number_format.DASH) -> SafeString:
    """A time: relative for reading, the exact one in the reader's zone as a tooltip (the script sees to both)."""
    if when is None:
        return SafeString(none)
    return format_html(
        '<time class="nowrap" datetime="{}" title="{}">{}</time>',
        when.isoformat(),
        when.strftime("%Y-%m-%d %H:%M:%S UTC"),
        _relative((timezone.now() - when).total_seconds()),
    )


def _relative(seconds: float) -> str:
    for unit, length in (
        ("year", 31536000),
        ("month", 2592000),
        ("week", 604800),
        ("day", 86400),
        ("hour", 3600),
        ("minute", 60),
    ):
        if abs(seconds) >= length:
            words = number_format.counted(int(abs(seconds) // length), unit)
            return f"{words} ago" if seconds > 0 else f"in {words}"
    return "just now" if seconds >= 0 else "in a moment"


@register.simple_tag
def at(when: datetime | None, none: str = number_format.DASH) -> SafeString:
    """An exact time in the reader's zone."""
    if when is None:
        return SafeString(none)
    return format_html(
        '<time datetime="{}" data-exact>{}</time>', when.isoformat(), when.strftime("%Y-%m-%d %H:%M:%S UTC")
    )


@register.simple_tag
def field(bound: BoundField, label: str = "", placeholder: str = "", unit: str = "") -> str:
    """A form field with its label, one line of help, and its errors beside it."""
    kind, attrs = _dressed(bound)
    if placeholder:
        attrs["placeholder"] = placeholder
    return render_to_string(
        "forms/field.html",
        {
            "field": bound,
            "kind": kind,
            "label": label or bound.label,
            "unit": unit or getattr(bound.field, "unit", ""),
            "widget": bound.as_widget(attrs=attrs),
        },
    )


@register.simple_tag
def bare(bound: BoundField, label: str = "", placeholder: str = "") -> SafeString:
    """A field inside a sentence: the control with an accessible name, and its errors after it."""
    _, attrs = _dressed(bound)
    attrs["aria-label"] = label or str(bound.label)
    if placeholder:
        attrs["placeholder"] = placeholder
    # no white space after it: a comma or a full stop follows
    return format_html("{}{}", SafeString(bound.as_widget(attrs=attrs).strip()), _inline_errors(bound))


def _inline_errors(bound: BoundField) -> SafeString:
    if not bound.errors:
        return SafeString("")
    return format_html(
        '<span class="t-error" id="{}_error"> {} </span>', bound.auto_id, " ".join(map(str, bound.errors))
    )


def _dressed(bound: BoundField) -> tuple[str, dict[str, Any]]:
    """What kind of control a field has, and the class that goes with it."""
    widget = bound.field.widget
    if isinstance(widget, CheckboxSelectMultiple | RadioSelect):
        widget.attrs.setdefault("class", "form-check-input")  # the template writes each choice by itself
        return "choices", {"class": "form-check-input"}
    if isinstance(widget, OrderedSelects):
        return "ordered", {"class": "form-select"}
    if isinstance(widget, CheckboxInput):
        return "check", {"class": "form-check-input"}
    if isinstance(widget, Select | SelectMultiple):
        return "select", {"class": "form-select"}
    kept = str(widget.attrs.get("class", ""))
    return "input", {"class": f"form-control {kept}".strip()}


@register.simple_tag(takes_context=True)
def here(context: template.Context, *names: str) -> SafeString:
    """``aria-current`` when the page is one of the named routes."""
    match = getattr(context.get("request"), "resolver_match", None)
    return SafeString('aria-current="page"' if match and match.url_name in names else "")
