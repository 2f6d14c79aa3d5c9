"""The shape of a cache policy's words, for the schema, made of the settings. ``apps.caching.document`` reads them."""

from collections.abc import Callable, Iterable
from typing import Any

from rest_framework import serializers

from apps.caching import settings as kinds
from apps.caching.models import SETTINGS
from apps.caching.settings import Kind, PolicySetting


class EntityTagWords(serializers.Serializer):
    """Where a JSON body names the entities that it shows, and the prefix that makes tags of them."""

    json = serializers.CharField(help_text="A path like items[*].id.")
    tag = serializers.CharField(help_text="A prefix like item:.")


def _names(**options: Any) -> serializers.Field:
    return serializers.ListField(child=serializers.CharField(), **options)


def _entity_tags(**options: Any) -> serializers.Field:
    return EntityTagWords(many=True, **options)


#: kind -> its field of the schema, and what its values look like, where the setting's own description doesn't say so
_FIELDS: dict[Kind, tuple[Callable[..., serializers.Field], str]] = {
    kinds.SWITCH: (serializers.BooleanField, ""),
    kinds.CHOICE: (serializers.CharField, ""),
    kinds.COUNT: (serializers.IntegerField, ""),
    kinds.RATIO: (serializers.FloatField, "Between 0 and 1."),
    kinds.DURATION: (serializers.CharField, "Like 60s, or a number of seconds."),
    kinds.SIZE: (serializers.CharField, "Like 8MiB, or a number of bytes."),
    kinds.NAMES: (_names, ""),
    kinds.METHODS: (_names, ""),
    kinds.ENTITY_TAGS: (_entity_tags, ""),
    kinds.DOWNSTREAM: (serializers.CharField, ""),
}


def _field(setting: PolicySetting) -> serializers.Field:
    made, usual = _FIELDS[setting.kind]
    if setting.kind is kinds.CHOICE:
        usual = f"{', '.join(setting.values[:-1])} or {setting.values[-1]}."
    options: dict[str, Any] = {"allow_null": True} if setting.column.null else {}
    if told := setting.description or f"{usual} {setting.help}".strip():
        options["help_text"] = told
    return made(required=False, **options)


class _Words(serializers.Serializer):
    """Fields of the settings that ``_settings`` picks; those of an object inside the policy, if it is one."""

    inside = ""

    def get_fields(self) -> dict[str, serializers.Field]:
        """Those that are declared, and one for each setting or object of settings."""
        fields = super().get_fields()
        for setting in self._settings():
            head, dot, tail = setting.path.rpartition(".")
            if head == self.inside:
                fields[tail] = _field(setting)
            elif dot and not self.inside and head not in fields:
                fields[head] = self._objects()[head](required=False)
        return fields

    def _settings(self) -> Iterable[PolicySetting]:
        return [each for each in SETTINGS.values() if each.of_operation]

    def _objects(self) -> dict[str, type[serializers.Serializer]]:
        return {"query": QueryWords, "limits": OperationLimitsWords, "downstream": DownstreamWords}


class _WordsOfAPI(_Words):
    """Those that only the API as a whole has, too."""

    def _settings(self) -> Iterable[PolicySetting]:
        return [each for each in SETTINGS.values() if each.name != "sensitivity"]

    def _objects(self) -> dict[str, type[serializers.Serializer]]:
        return super()._objects() | {"limits": LimitsWords}


class QueryWords(_Words):
    """Which query parameters are part of the cache key; what isn't keyed isn't forwarded."""

    inside = "query"


class OperationLimitsWords(_Words):
    """How much is stored, in bytes of body and in variants."""

    inside = "limits"


class LimitsWords(_WordsOfAPI):
    """How much is stored, the API as a whole too."""

    inside = "limits"


class DownstreamWords(_Words):
    """What caches behind the gateway may keep."""

    inside = "downstream"


class OperationWords(_Words):
    """The policy of some calls: those whose path and method fit. What it doesn't say is the API's own."""

    path = serializers.CharField(help_text="Like /items/{id} or /reports/**.")


class CacheWords(_WordsOfAPI):
    """How an API's responses are cached."""

    operations = OperationWords(many=True, required=False, help_text="The first that fits a call counts.")
    warm_up = serializers.DictField(required=False, help_text="What is fetched before anyone asks, and when.")
