"""Filters that lists share."""

from typing import Any

import django_filters
from django.db.models import QuerySet

from apps.rest.fields import application_terms


class ApplicationFilter(django_filters.CharFilter):
    """``application=acme/bot``; ``field_name`` is the relation that leads to the application."""

    def filter(self, qs: QuerySet, value: Any) -> QuerySet:
        """The rows of that application."""
        return qs.filter(**application_terms(value, f"{self.field_name}__")) if value else qs


class StrictFilterSet(django_filters.FilterSet):
    """A filter set that refuses what it doesn't know: a misspelt filter would otherwise answer with everything."""

    PAGING = frozenset({"page", "page_size", "cursor", "format"})

    def is_valid(self) -> bool:
        """Whether every parameter is known and well-formed; ``errors`` says which isn't."""
        valid = super().is_valid()
        unknown = set(self.data) - set(self.filters) - self.PAGING
        for name in sorted(unknown):
            known = ", ".join(sorted(self.filters))
            self.form.errors[name] = self.form.error_class([f"This list has no such filter. It has: {known}."])
        return valid and not unknown
