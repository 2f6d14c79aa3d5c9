"""Validators of the schemas in contracts, each made when it is first needed and kept while it is used."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import jsonschema_rs
import msgspec

from apps.gateway.validation.faults import (
    LONGEST_DETAIL,
    LONGEST_NAME,
    MOST_FAULTS,
    Fault,
    pointer,
    short,
)
from apps.httpcache.bounded_table import Recent
from apps.wire.snapshot import PATTERN_BYTES, Contract, memory_of, with_needs

MEMORY = 32 * 2**20
"""Bytes of the validators that a worker keeps."""

FEW_PARTS, SOME_PARTS = 300, 5000
"""Of a value: up to so many everything that is wrong with it is looked for, up to so many the first thing. Telling one takes as
long as checking a thousand values, and where a schema has alternatives all their faults are told before the first.
"""

_PATTERNS = jsonschema_rs.RegexOptions(size_limit=PATTERN_BYTES, dfa_size_limit=PATTERN_BYTES)


class _Validator(NamedTuple):
    contract: Contract
    check: Any
    plain: bool
    size: int


class Validators:
    """Those of a worker."""

    def __init__(self) -> None:
        self._table: Recent[tuple[str, str], _Validator] = Recent(MEMORY, lambda _, each: each.size)

    def allows(self, contract: Contract, name: str, value: Any) -> bool:
        """Whether a value is as the definition ``name`` has it."""
        return name == "" or bool(self._of(contract, name).check.is_valid(value))

    def faults(
        self, contract: Contract, name: str, value: Any, parts: int, place: str, steps: tuple[str, ...]
    ) -> list[Fault]:
        """What is wrong with a value of so many ``parts`` that ``allows`` refused: as much of it as can be told in a few
        milliseconds. ``steps`` lead to the value.
        """
        validator = self._of(contract, name)
        if parts > (SOME_PARTS if validator.plain else FEW_PARTS):
            detail = "It is not as the document has it; in a value this large the place isn't looked for."
            return [Fault(place, pointer(*steps), detail, "schema")]
        most = MOST_FAULTS if parts <= FEW_PARTS else 1
        return list(islice(_told(validator.check, value, most, place, steps), most))

    def _of(self, contract: Contract, name: str) -> _Validator:
        key = (contract.slug, name)
        found = self._table.get(key)
        if found is None or found.contract is not contract:
            found = _made(contract, name)
            self._table.put(key, found)
        return found


def _made(contract: Contract, name: str) -> _Validator:
    needed = with_needs(name, {each.name: each for each in contract.definitions})
    defined = ",".join(f'"{each.name}":{each.schema}' for each in needed.values())
    # As values: of a text it would read numbers exactly, which those of a body aren't.
    schema = msgspec.json.decode(f'{{"$ref":"#/$defs/{name}","$defs":{{{defined}}}}}')
    check = jsonschema_rs.Draft202012Validator(
        schema,
        pattern_options=_PATTERNS,
        validate_formats=True,
        offline=True,
        mask="It",
    )
    plain = all(each.plain for each in needed.values())
    return _Validator(contract, check, plain, memory_of(needed.values()))


def _told(check: Any, value: Any, most: int, place: str, steps: tuple[str, ...]) -> Iterator[Fault]:
    for error in check.iter_errors(value) if most > 1 else _first(check, value):
        yield _fault(error, place, steps)


def _first(check: Any, value: Any) -> Iterator[Any]:
    try:
        check.validate(value)
    except jsonschema_rs.ValidationError as error:
        yield error


def _fault(error: Any, place: str, steps: tuple[str, ...]) -> Fault:
    rule = error.kind.name
    names = getattr(error.kind, "unexpected", None)
    if isinstance(names, list):  # the caller's own, any number of them
        first = f": {short(names[0], LONGEST_NAME)!r}" if names and isinstance(names[0], str) else ""
        detail = f"It has more than is allowed here{first}."
    elif rule == "propertyNames":
        detail = "A name isn't as it should be."
    else:
        detail = short(f"{error.message}.", LONGEST_DETAIL)
    return Fault(place, pointer(*steps, *error.instance_path), detail, rule)
