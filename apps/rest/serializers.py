"""What every serializer of the REST API does."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import Model
from rest_framework import serializers
from rest_framework.validators import UniqueValidator


class Words(serializers.Serializer):
    """A body of known words. An unknown one is refused by name: what is silently ignored looks as if it were in force.

    ``fixed`` names the fields that are set at creation and never change. Fields that are only read may stand in a body,
    so that what was read can be sent back.
    """

    fixed: ClassVar[frozenset[str]] = frozenset()

    @property
    def caller(self) -> Any:
        """The user who makes the change."""
        return self.context["request"].user

    def get_fields(self) -> dict[str, serializers.Field]:
        """The declared fields; the fixed ones can only be read once the object exists."""
        fields = super().get_fields()
        if isinstance(self.instance, Model):
            for name in self.fixed & fields.keys():
                fields[name].read_only = True
                fields[name].required = False
        return fields

    def to_internal_value(self, data: Any) -> Any:
        """The values of the body; refuses words that this object doesn't have."""
        if isinstance(data, Mapping):
            errors = {name: [self._unknown()] for name in data.keys() - self.fields.keys()}
            if isinstance(self.instance, Model):
                held = self.to_representation(self.instance)
                errors |= {
                    name: ["This is set at creation and never changes."]
                    for name in self.fixed & data.keys()
                    if data[name] != held.get(name)
                }
            if errors:
                raise serializers.ValidationError(errors)
        return super().to_internal_value(data)

    def _unknown(self) -> str:
        known = ", ".join(name for name, field in self.fields.items() if not field.read_only)
        return f"There is no such field here. Known are: {known or 'none'}."


class ObjectWords(Words, serializers.ModelSerializer):
    """A row. Whether it is the only one of its name is the service's to say, after it has asked who may."""

    def build_standard_field(self, field_name: str, model_field: Any) -> tuple[type[serializers.Field], dict[str, Any]]:
        """As the model says, but for uniqueness: who may not make one learns nothing of those that exist."""
        kind, options = super().build_standard_field(field_name, model_field)
        if "validators" in options:
            options["validators"] = [v for v in options["validators"] if not isinstance(v, UniqueValidator)]
        return kind, options

    def get_validators(self) -> list[Any]:
        """None over several fields, for the same reason."""
        return []


class DocumentWords(Words):
    """An object in the declarative file's words: the file's own code reads them, and the fields are for the schema."""

    def take(self, data: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """What the body says, without what can only be read; the fixed words apart; and what is wrong with those."""
        if not isinstance(data, Mapping):
            raise serializers.ValidationError({"detail": ["Send an object with named fields."]})
        told = {name: value for name, value in data.items() if name not in self.fields or not self._only_read(name)}
        fixed: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        held = self.to_representation(self.instance) if isinstance(self.instance, Model) else None
        for name in sorted(self.fixed):
            value = told.pop(name, None)
            if held is not None:
                if value not in (None, held[name]):
                    errors[name] = ["This is set at creation and never changes."]
            elif isinstance(value, str) and value:
                fixed[name] = value
            else:
                errors[name] = ["This is needed, as text."]
        return told, fixed, errors

    def _only_read(self, name: str) -> bool:
        return self.fields[name].read_only and name not in self.fixed


class CommentSerializer(Words):
    """What is said with a decision; its readers are those whom it concerns."""

    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=10_000)
