"""Check constraints that models share: what a model promises of a row, the database keeps too."""

from typing import Any

from django.db import models


class Check(models.CheckConstraint):
    """A check that the database alone makes: ``full_clean`` says what is wrong next to the field, and asks nothing for it."""

    def deconstruct(self) -> Any:
        """To migrations it is Django's own."""
        _, arguments, options = super().deconstruct()
        return "django.db.models.CheckConstraint", arguments, options

    def validate(self, *arguments: Any, **options: Any) -> None:
        """Nothing to do before a row is written."""


def known(field: str, choices: type[models.Choices], *others: str) -> Check:
    """``field`` holds one of its choices, or one of the ``others``."""
    return Check(
        condition=models.Q(**{f"{field}__in": [*choices.values, *others]}),
        name=f"%(app_label)s_%(class)s_{field}_is_known",
    )


def not_negative(*fields: str) -> Check:
    """None of some fields, which aren't of a type that has this constraint already, is below zero."""
    return Check(
        condition=models.Q(**{f"{field}__gte": 0 for field in fields}),
        name="%(app_label)s_%(class)s_is_not_negative",
    )


def goes_with(field: str, condition: models.Q) -> Check:
    """``field`` is filled where the ``condition`` on fields that are never null holds, and nowhere else."""
    filled = models.Q(**{f"{field}__isnull": False})
    return Check(
        condition=(condition & filled) | (~condition & ~filled),
        name=f"%(app_label)s_%(class)s_{field}_goes_with_its_state",
    )


def mend_unknown(model: Any, field: str, allowed: list[Any], instead: Any) -> None:
    """In a migration: what a row held that is none of the ``allowed`` values becomes ``instead``."""
    model.objects.exclude(**{f"{field}__in": allowed}).update(**{field: instead})


def mend_negative(model: Any, *fields: str) -> None:
    """In a migration: numbers below zero become zero."""
    for field in fields:
        model.objects.filter(**{f"{field}__lt": 0}).update(**{field: 0})


def settle(apps: Any, schema_editor: Any) -> None:
    """In a migration, between mending rows and changing their table: PostgreSQL checks now the keys that it would check at the
    end, and doesn't alter a table before that.
    """
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.connection.check_constraints()
