"""Values that an OpenAPI document suggests for a parameter."""

from collections.abc import Iterator, Mapping
from typing import Any


def example_of(parameter: Mapping[str, Any]) -> str:
    """What to put in a parameter's field at first, as text: its example, its default, or the first that it may be; empty: the
    document suggests nothing. Of OpenAPI 2.0, where the parameter is its own schema, 3.0 and 3.1.
    """
    return next((_text(value) for value in _suggested(parameter) if isinstance(value, str | int | float)), "")


def _suggested(parameter: Mapping[str, Any]) -> Iterator[Any]:
    schema = parameter.get("schema")
    examples = parameter.get("examples")
    yield parameter.get("example")
    if isinstance(examples, Mapping):  # of objects; a reference among them stays one
        yield from (each.get("value") for each in examples.values() if isinstance(each, Mapping))
    for part in (schema if isinstance(schema, Mapping) else {}, parameter):
        yield from (part.get(name) for name in ("example", "x-example", "default"))
        for several in (part.get("examples"), part.get("enum")):
            yield from several[:1] if isinstance(several, list) else ()


def _text(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
