"""How objects name each other: by slug, ``tenant/slug`` for an application, e-mail address for a person."""

from collections.abc import Callable
from typing import Any

from django.db.models import Model, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.foundation import field_names

Visible = Callable[[Any], QuerySet]


def application_name(application: Any) -> str:
    """``acme/bot``. Reads the application's tenant, so lists select it too."""
    return f"{application.tenant.slug}/{application.slug}"


def application_terms(name: str, prefix: str = "") -> dict[str, str]:
    """The look-up of an application by ``acme/bot``, through a relation when ``prefix`` names one (``application__``)."""
    tenant, _, slug = name.partition("/")
    return {f"{prefix}tenant__slug": tenant, f"{prefix}slug": slug}


@extend_schema_field(OpenApiTypes.STR)
class NameField(serializers.Field):
    """Another object, by its slug. Where it is written, only what the caller may see can be named: the rest doesn't exist."""

    lookup = "slug"
    default_error_messages = {
        "unknown": "There is no {name!r}, or you may not see it.",
        "form": "Write its name as text.",
    }

    def __init__(self, visible: Visible | None = None, **options: Any) -> None:
        """``visible`` is the policy that says what a user may see; a field without one is only read."""
        self.visible = visible
        if visible is None:
            options["read_only"] = True
        super().__init__(**options)

    def terms(self, name: str) -> dict[str, str]:
        """The look-up of ``name``."""
        return {self.lookup: name}

    def to_internal_value(self, data: Any) -> Model:
        """The object of that name: one query."""
        if not isinstance(data, str):
            self.fail("form")
        try:
            field_names.text(data)
        except ValueError:  # no database holds such a name, and some can't even be asked for it
            self.fail("unknown", name=data[:120])
        visible = self.visible(self.context["request"].user) if self.visible else None
        found = visible.filter(**self.terms(data)).first() if visible is not None else None
        if found is None:
            self.fail("unknown", name=data[:120])
        return found

    def to_representation(self, value: Any) -> str:
        """Its name."""
        return getattr(value, self.lookup)


class ApplicationField(NameField):
    """An application as ``tenant/slug``."""

    def terms(self, name: str) -> dict[str, str]:
        """The look-up of ``name``; one without a slash names nothing."""
        return application_terms(name)

    def to_representation(self, value: Any) -> str:
        """``acme/bot``."""
        return application_name(value)


@extend_schema_field(OpenApiTypes.EMAIL)
class PersonField(NameField):
    """A person by e-mail address, in any case."""

    lookup = "email"

    def terms(self, name: str) -> dict[str, str]:
        """The look-up of ``name``."""
        return {"email__iexact": name}


class Measured(serializers.FloatField):
    """A measured number, to three digits after the point: what is beyond them is noise."""

    def to_representation(self, value: Any) -> Any:
        """Rounded."""
        return round(float(value), 3)
