"""What the filter bar offers: names with their calls, in the order of the names. And what to say of a name that nobody knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from django.db.models import F, QuerySet, TextField, Value
from django.db.models.functions import Concat

from apps.access.selectors import applications_visible_to
from apps.analytics.explain import sentence_of
from apps.analytics.selectors import Question, VisibleCalls, breakdown, called
from apps.catalog.selectors import apis_visible_to, operations_visible_to
from apps.console import number_format
from apps.console.analytics.charts import RESULTS
from apps.console.analytics.query_parameters import FIGURES, AnalyticsQuery
from apps.foundation.slugs import named
from apps.tenants.models import User
from apps.tenants.selectors import tenants_visible_to

MOST = 100
"""Names that a filter offers. Where there are more, it is those that were called most, and others can be typed."""

LABELS = {
    "api": "API",
    "tenant": "Tenant",
    "application": "Application",
    "operation": "Operation",
    "cache": "Cache result",
    "reason": "Reason",
}


@dataclass(frozen=True)
class Choice:
    """A value of a filter and how it reads: the name and its calls."""

    value: str
    text: str


@dataclass(frozen=True)
class Filter:
    """One filter: its word in the address, what is chosen, and what can be. ``typed``: there are more names than are offered."""

    word: str
    value: str
    choices: list[Choice]
    unknown: bool = False
    typed: bool = False

    @property
    def label(self) -> str:
        """What it narrows."""
        return LABELS[self.word]

    @property
    def offers(self) -> bool:
        """Whether there is anything to choose, or to take back."""
        return bool(self.choices or self.value)


@dataclass(frozen=True)
class UnknownName:
    """A sentence about a name in the address that nobody knows, and near ones: each with the address that asks for it."""

    sentence: str
    near: list[tuple[str, str]]


def filters_of(user: User, asked: AnalyticsQuery, *, log: bool = False) -> list[Filter]:
    """The filters of the page, with ``log`` those of the call log. Two queries for each, one more for a name that isn't offered."""
    scope = VisibleCalls.of(user)
    words = [word for word in FIGURES if word != "operation" or asked.filters.keys() & {"api", "operation"}]
    filters = [_of_names(user, scope, asked, word) for word in words]
    return [*filters, _of_results(scope, asked), _of_reasons(scope, asked)] if log else filters


def unknown_names(asked: AnalyticsQuery, filters: list[Filter], route: str, *args: str) -> list[UnknownName]:
    """What to say of the filters whose value nobody knows; ``route`` is the page that they are on."""
    return [
        UnknownName(
            f"No {each.label if each.word == 'api' else each.label.lower()} that you may see is called “{each.value}”, "
            f"and none of that name was called in {asked.window.words}.",
            [
                (name, asked.address(route, *args, **{each.word: name}))
                for name in get_close_matches(each.value, [choice.value for choice in each.choices], cutoff=0.5)
            ],
        )
        for each in filters
        if each.unknown
    ]


def _of_names(user: User, scope: VisibleCalls, asked: AnalyticsQuery, word: str) -> Filter:
    """What was called, and what exists and wasn't."""
    value = asked.filters.get(word, "")
    question = _question(scope, asked, without=word)
    calls = called(question, by=word, top=MOST + 1)
    existing = _existing(user, asked, word)
    names = dict(existing.values_list("value", "name")[: MOST + 1])
    values = [*calls, *(name for name in names if name not in calls)]
    unknown = bool(value) and value not in values
    if unknown:  # it may still be one of those that there was no room for
        unknown = not existing.filter(value=value).exists() and not called(question, by=word, top=1, only=value)
    offered = sorted(values[:MOST], key=lambda each: _place(word, each, names.get(each, "")))
    choices = [Choice(each, _text(each, names.get(each, ""), calls.get(each, 0))) for each in offered]
    return Filter(word, value, choices, unknown=unknown, typed=len(values) > MOST)


def _of_results(scope: VisibleCalls, asked: AnalyticsQuery) -> Filter:
    value = asked.filters.get("cache", "")
    calls = {row["name"]: row["calls"] for row in breakdown(_question(scope, asked), by="cache")}
    choices = [Choice(result, _text(result, "", calls.get(result, 0))) for result, _ in RESULTS]
    return Filter("cache", value, choices, unknown=bool(value) and value not in dict(RESULTS))


def _of_reasons(scope: VisibleCalls, asked: AnalyticsQuery) -> Filter:
    value = asked.filters.get("reason", "")
    calls = {row["name"]: row["calls"] for row in breakdown(_question(scope, asked), by="reason", top=MOST)}
    names = [*calls, value] if sentence_of(value) and value not in calls else calls
    choices = [Choice(name, _text(name, "", calls.get(name, 0))) for name in names]
    return Filter("reason", value, choices, unknown=bool(value) and value not in names)


def _question(scope: VisibleCalls, asked: AnalyticsQuery, without: str = "") -> Question:
    """The reader's question with one filter taken off, so that the others of its kind can be counted."""
    window = asked.window
    return Question.asked(scope, since=window.since, until=window.until, **_without(asked.figures, without))


def _without(filters: Mapping[str, str], word: str) -> dict[str, str]:
    # An operation is one of an API, and an application one of a tenant: they don't outlive it.
    gone = {"api": {"api", "operation"}, "tenant": {"tenant", "application"}}.get(word, {word})
    return {name: value for name, value in filters.items() if name not in gone}


def _existing(user: User, asked: AnalyticsQuery, word: str) -> QuerySet:
    """What the reader may choose by name, as ``value`` and ``name``."""
    if word == "api":
        return apis_visible_to(user).annotate(value=F("slug")).order_by("slug")
    if word == "tenant":
        return tenants_visible_to(user).annotate(value=F("slug")).order_by("slug")
    if word == "application":
        slug = Concat("tenant__slug", Value("/"), "slug", output_field=TextField())
        found = applications_visible_to(user).annotate(value=slug).order_by("tenant__slug", "slug")
        return found.filter(tenant__slug=asked.filters["tenant"]) if "tenant" in asked.filters else found
    named = Concat("method", Value(" "), "path", output_field=TextField())
    return (
        operations_visible_to(user)
        .filter(api__slug=asked.filters.get("api", ""))
        .annotate(value=named, name=Value(""))
        .order_by("path", "method")
    )


def _place(word: str, value: str, name: str) -> tuple[str, str]:
    """Where a name stands among the others: in any case; an operation by its path."""
    method, _, path = value.partition(" ") if word == "operation" else ("", "", name or value)
    return path.casefold(), method or value


def _text(value: str, name: str, calls: int) -> str:
    shown = named(name, value) if name else value
    return f"{shown} · {number_format.counted(calls, 'call')}"
