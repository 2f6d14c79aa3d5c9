"""What the REST API shows of a dataclass: all of it, as the class declares it. A field's help stands beside its type, as in
``size: Annotated[int, "Bytes of body."]``.
"""

import dataclasses
from datetime import datetime
from functools import cache
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from rest_framework import serializers

from apps.rest.fields import Measured

_FIELDS: dict[Any, type[serializers.Field]] = {
    str: serializers.CharField,
    int: serializers.IntegerField,
    float: Measured,
    bool: serializers.BooleanField,
    datetime: serializers.DateTimeField,
}


@cache
def serializer_of(kind: type) -> type[serializers.Serializer]:
    """The serializer of a dataclass, which is only shown. Of its fields' types are known: texts, numbers, truth values,
    times, other dataclasses, what may be ``None``, and tuples of any number of these. Raises ``KeyError`` for another.
    """
    types = get_type_hints(kind, include_extras=True)
    fields = {each.name: _field(types[each.name]) for each in dataclasses.fields(kind)}
    return type(f"{kind.__name__}Serializer", (serializers.Serializer,), {"__doc__": kind.__doc__, **fields})


def _field(hint: Any, **options: Any) -> serializers.Field:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _field(parts[0], help_text=parts[1], **options)
    if NoneType in parts:
        return _field(parts[0], allow_null=True, **options)
    if origin is tuple and dataclasses.is_dataclass(parts[0]):
        return _field(parts[0], many=True, **options)
    if origin is tuple:
        return serializers.ListField(child=_field(parts[0]), **options)
    return (serializer_of if dataclasses.is_dataclass(hint) else _FIELDS.__getitem__)(hint)(**options)
