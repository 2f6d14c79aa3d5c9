"""Pages of lists: ``{next, previous, results}`` with absolute addresses."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000


def positive_integer(request: Request, name: str, default: int) -> int:
    """The query parameter ``name``; raises ``ValidationError`` naming it when it is no positive whole number."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    # More digits than any list has pages would only overflow the database's integers.
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text)):
        raise ValidationError({name: [f"{text[:40]!r} is not a whole number from 1 on."]})
    return int(text)


def page_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The shape of a page, for the OpenAPI document."""
    link = {"type": "string", "nullable": True, "format": "uri"}
    return {
        "type": "object",
        "required": ["next", "previous", "results"],
        "properties": {"next": link, "previous": link, "results": schema},
    }


def parameter(name: str, description: str, **schema: Any) -> dict[str, Any]:
    """A query parameter, for the OpenAPI document."""
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


PAGE_SIZE = parameter(
    "page_size", f"Objects on a page, {MAX_PAGE_SIZE:,} at most.", type="integer", minimum=1, default=DEFAULT_PAGE_SIZE
)


class PagePagination(BasePagination):
    """Numbered pages without a total: counting a million rows costs more than reading a page of them.

    One row more than the page holds is read, which tells whether a next page exists: one query a page.
    """

    def paginate_queryset(
        self, queryset: QuerySet | Sequence[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        """The objects of the page that the request asks for; an empty list after the last page."""
        self.request = request
        self.page = positive_integer(request, "page", 1)
        size = min(positive_integer(request, "page_size", DEFAULT_PAGE_SIZE), MAX_PAGE_SIZE)
        start = (self.page - 1) * size
        rows = list(queryset[start : start + size + 1])
        self.has_next = len(rows) > size
        return rows[:size]

    def get_paginated_response(self, data: Any) -> Response:
        """The page as it goes out."""
        address = self.request.build_absolute_uri()
        following = replace_query_param(address, "page", self.page + 1) if self.has_next else None
        before = None
        if self.page == 2:
            before = remove_query_param(address, "page")
        elif self.page > 2:
            before = replace_query_param(address, "page", self.page - 1)
        return Response({"next": following, "previous": before, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """For the OpenAPI document."""
        return page_schema(schema)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """For the OpenAPI document."""
        return [parameter("page", "Number of the page.", type="integer", minimum=1, default=1), PAGE_SIZE]


class NewestFirst(CursorPagination):
    """Pages of a log that grows while it is read: a cursor stays where it was. ``page_size`` as in numbered pages."""

    ordering = ("-at", "-id")
    page_size = DEFAULT_PAGE_SIZE
    page_size_query_param = "page_size"
    max_page_size = MAX_PAGE_SIZE

    def get_page_size(self, request: Request) -> int:
        """As asked, a thousand at most."""
        return min(positive_integer(request, "page_size", DEFAULT_PAGE_SIZE), MAX_PAGE_SIZE)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """For the OpenAPI document."""
        return page_schema(schema)
