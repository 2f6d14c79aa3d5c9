"""Columns of the console's tables: names with a line below, states as badges, times relative, numbers right-aligned."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Model
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_tables2 import Column

from apps.console import number_format
from apps.console.templatetags.console import ago, state

NUMERIC: dict[str, Any] = {"td": {"class": "num"}, "th": {"class": "num"}}


def link(url: str, text: object, css: str = "text-reset") -> SafeString:
    """A link for a cell."""
    return format_html('<a class="{}" href="{}">{}</a>', css, url, text)


class NameColumn(Column):
    """What the row is: its name, as a link where the reader may follow it (``linked``), with a quieter line below."""

    def __init__(
        self,
        *,
        url: Callable[[Any], str],
        below: Callable[[Any], object] | None = None,
        linked: Callable[[Any, Any], bool] = lambda record, table: True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.url, self.below, self.linked = url, below, linked

    def render(self, value: object, record: Any, table: Any) -> SafeString:
        """The name and the line."""
        if self.linked(record, table):
            name = link(self.url(record), value, "table-name text-reset")
        else:
            name = format_html('<span class="table-name">{}</span>', value)
        under = self.below(record) if self.below else ""
        return format_html('{}<span class="cell-sub">{}</span>', name, under) if under else name


class StateColumn(Column):
    """A state as a badge."""

    def render(self, record: Any, bound_column: Any) -> SafeString:
        """The badge of the raw state; the table would hand over its label."""
        return state(str(bound_column.accessor.resolve(record)))


class TimeColumn(Column):
    """A time: relative, the exact one as a tooltip."""

    empty_values = ()

    def __init__(self, *, none: str = number_format.DASH, **options: Any) -> None:
        super().__init__(**options)
        self.none = none

    def render(self, value: datetime | None) -> SafeString:
        """The time, or what stands for none."""
        return ago(value, self.none)


class NumberColumn(Column):
    """A count or another number of the row itself."""

    def __init__(self, *, form: Callable[[Any], str] = number_format.number, **options: Any) -> None:
        super().__init__(attrs=NUMERIC, **options)
        self.form = form

    def render(self, value: Any) -> str:
        """The number as the console writes it."""
        return self.form(value)


class BesideColumn(Column):
    """A number that isn't the row's own: from the mapping ``table.beside`` by ``key(record)``; a dash where there is none.

    ``means`` says what it counts.
    """

    empty_values = ()

    def __init__(
        self,
        *,
        key: Callable[[Any], str],
        read: Callable[[Mapping[str, Any]], Any],
        means: str,
        form: Callable[[Any], object] = number_format.number,
        **options: Any,
    ) -> None:
        super().__init__(
            attrs={"td": NUMERIC["td"], "th": {**NUMERIC["th"], "title": means}}, orderable=False, **options
        )
        self.key, self.read, self.form, self.means = key, read, form, means

    def render(self, record: Any, table: Any) -> object:
        """The number as the console writes it."""
        row = table.beside.get(self.key(record))
        return self.form(self.read(row) if row is not None else None)


HEADING = format_html('<span class="visually-hidden">{}</span>', "Actions")


class ActionsColumn(Column):
    """What can be done with the row: a template with ``record``, and the tenants where the reader is owner or builder."""

    empty_values = ()

    def __init__(self, template: str) -> None:
        super().__init__(verbose_name=HEADING, orderable=False, attrs={"td": {"class": "row-actions"}})
        self.template = template

    def render(self, record: Model, table: Any) -> str:
        """The buttons."""
        return render_to_string(
            self.template, {"record": record, "owner_of": table.owner_of, "builder_of": table.builder_of}
        )
