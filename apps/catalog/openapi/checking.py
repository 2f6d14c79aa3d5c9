"""Is it OpenAPI, and does every reference stay inside? Nothing is ever fetched or opened."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from jsonschema_path import SchemaPath
from jsonschema_path.accessors import SchemaAccessor
from openapi_spec_validator.shortcuts import get_validator_cls
from openapi_spec_validator.validation.exceptions import ValidatorDetectError

from apps.catalog.openapi.error_locations import DocumentRefused, at, short, target
from apps.catalog.openapi.loading import version_of

MOST_ERRORS = 10
MOST_LOOKUPS = 600_000
LONGEST_VERSION = 16

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_SAMPLES = frozenset({"example", "examples", "default", "enum", "const"})


def refuse_foreign_references(document: dict[str, Any]) -> None:
    """Every reference stays in the document and finds something there, whatever the validator would make of it."""
    found: list[str] = []

    def walk(value: Any, place: tuple[str, ...]) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                if key in _REFERENCES and isinstance(item, str):
                    if not _stays(key, item):
                        found.append(f"{at((*place, key))}: {short(item)!r} leaves the document; only #/… is allowed.")
                    elif key == "$ref" and not _SAMPLES.intersection(place) and target(document, item) is None:
                        found.append(f"{at((*place, key))}: {short(item)!r} is not in the document.")
                walk(item, (*place, key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                walk(item, (*place, str(index)))

    walk(document, ())
    if found:
        raise DocumentRefused(*found[:MOST_ERRORS])


def _stays(key: str, reference: str) -> bool:
    return reference.startswith("#/") or (key != "$ref" and reference.startswith("#"))


class _Bounded(SchemaAccessor):
    """Looks a limited number of parts up: the validator needs about 30 µs for each, while a user waits."""

    lookups = 0

    def get_resolved(self, parts: Sequence[Any]) -> Any:
        """The part at ``parts``, references followed."""
        self.lookups += 1
        if self.lookups > MOST_LOOKUPS:
            raise DocumentRefused("The document is too intricate to be checked: split it.")
        return super().get_resolved(parts)


class _Nowhere(Mapping[str, Callable[[str], Any]]):
    """Handlers of every URL scheme, all of which refuse: the second fence, should a reference get past the first."""

    def __contains__(self, scheme: object) -> bool:
        return True

    def __getitem__(self, scheme: str) -> Callable[[str], Any]:
        return self._refuse

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    @staticmethod
    def _refuse(url: str) -> Any:
        raise DocumentRefused(f"{short(url)!r} leaves the document.")


def validate(document: dict[str, Any]) -> None:
    if not isinstance(document.get("openapi", document.get("swagger")), str):
        raise DocumentRefused('The document has no field openapi: "3.…" or swagger: "2.0" (in quotes).')
    try:
        if len(version_of(document)) > LONGEST_VERSION:
            raise ValidatorDetectError
        kind = get_validator_cls(document)
    except ValidatorDetectError:
        raise DocumentRefused(
            f"Version {short(version_of(document))!r} is not known: OpenAPI 3.0, 3.1, 3.2 or Swagger 2.0."
        ) from None
    validator = kind(SchemaPath(_Bounded.from_schema(document, handlers=_Nowhere(), resolved_cache_maxsize=4096)))
    try:
        # Not validator.iter_errors(): it keeps every document that it has ever seen in a cache.
        errors = list(islice(validator.schema_validator.iter_errors(document), MOST_ERRORS))
        if not errors:
            errors = list(islice(validator.root_validator(validator.schema_path), MOST_ERRORS))
    except DocumentRefused:
        raise
    except RecursionError:
        raise DocumentRefused("References in the document go round in circles.") from None
    except Exception as error:
        # What the library raises on a broken document is not one family: unresolvable references, missing fields, …
        raise DocumentRefused(
            f"The document can't be checked: {short(str(error).partition(' within {')[0] or type(error).__name__)}"
        ) from None
    if errors:
        raise DocumentRefused(*(_sentence(error) for error in errors))


def _sentence(error: Any) -> str:
    best = error
    while best.context:  # of several alternatives, the one that fits best says what is wrong
        best = max(best.context, key=lambda inner: len(inner.absolute_path))
    place = at(tuple(str(part) for part in best.absolute_path))
    return f"{place}: {short(best.message)}"
