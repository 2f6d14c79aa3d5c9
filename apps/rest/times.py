"""Times in addresses."""

from datetime import UTC, datetime

from django import forms
from django.utils.dateparse import parse_datetime
from django_filters import Filter

FORMS = "Write a time like 2026-01-31T12:00:00Z, or Unix seconds."


def read_time(text: str) -> datetime:
    """An ISO 8601 time (UTC when it names no zone) or Unix seconds. Raises ``ValueError`` with the forms that are taken."""
    try:
        # A plus sign that wasn't encoded arrives as a space.
        found = parse_datetime(text.strip().replace(" ", "+") if "T" in text else text.strip())
        if found is None:
            found = datetime.fromtimestamp(float(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError(FORMS) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class TimeField(forms.Field):
    """A time in a query string."""

    def to_python(self, value: str | None) -> datetime | None:
        """The time, or ``None`` when there is none."""
        if not value:
            return None
        try:
            return read_time(value)
        except ValueError as refusal:
            raise forms.ValidationError(str(refusal)) from None


class TimeFilter(Filter):
    """Rows before or after a time."""

    field_class = TimeField
