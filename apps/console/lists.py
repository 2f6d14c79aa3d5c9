"""List pages: a queryset, a table, a filter set."""

from typing import Any

from django.db.models import QuerySet
from django.forms import Select, TextInput
from django.http import HttpRequest
from django_filters import FilterSet
from django_tables2 import RequestConfig, Table

PER_PAGE = 25


def listing(
    request: HttpRequest,
    queryset: QuerySet[Any],
    table_class: type[Table],
    filterset_class: type[FilterSet] | None = None,
    per_page: int = PER_PAGE,
    **table_options: Any,
) -> dict[str, Any]:
    """The context of ``list.html``: ``table`` (one page of it), ``filter``, whether there are ``any_rows`` at all, and whether some
    filter narrows them (``filtered``). Three queries: the count, the page, and whether there is any row when nothing matched.
    """
    filterset = filterset_class(request.GET, queryset=queryset, request=request) if filterset_class else None
    found = filterset.qs if filterset is not None else queryset
    table = table_class(found, request=request, **table_options)
    RequestConfig(request, paginate={"per_page": per_page, "silent": True}).configure(table)
    filtered = filterset is not None and any(request.GET.get(name) for name in filterset.filters)
    any_rows = bool(table.paginator.count) or (filtered and queryset.exists())
    return {"table": table, "filter": filterset, "filtered": filtered, "any_rows": any_rows}


def dressed(filterset: FilterSet) -> FilterSet:
    """The filter bar's controls with Tabler's classes and the ``/`` key's target."""
    for name, field in filterset.form.fields.items():
        if isinstance(field.widget, Select):
            field.widget.attrs["class"] = "form-select"
        else:
            field.widget.attrs["class"] = "form-control"
        if name == "q":
            field.widget = TextInput({"class": "form-control", "type": "search", "id": "list-search"})
    return filterset


class ConsoleFilterSet(FilterSet):
    """A filter set whose controls look like the console's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dressed(self)


def first_letters(text: str, length: int = 80) -> str:
    """The beginning of a longer text, for a cell."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else f"{flat[: length - 1].rstrip()}…"
