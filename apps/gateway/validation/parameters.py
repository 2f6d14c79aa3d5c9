"""Parameters of a call's path, query and head, read as the document's styles have them (OpenAPI 3.1.1 §4.8.12.4): ``simple``,
``form``, ``spaceDelimited`` and ``pipeDelimited``, of single values and lists.

A text stands for the value that its schema's type says. Parameters that the document doesn't name are let through.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from apps.gateway.validation.faults import MOST_FAULTS, Fault, pointer
from apps.gateway.validation.validators import Validators
from apps.httpcache import Headers
from apps.wire.snapshot import Contract, OperationContract, ParameterRule

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,308})\Z")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,308})(?:\.[0-9]{1,308})?(?:[eE][-+]?[0-9]{1,3})?\Z")
_CONSTANTS: dict[str, dict[str, bool | None]] = {
    "boolean": {"true": True, "false": False},
    "null": {"": None, "null": None},
}


def parameter_faults(
    validators: Validators,
    contract: Contract,
    operation: OperationContract,
    path: bytes,
    query: bytes | None,
    headers: Headers,
) -> list[Fault]:
    """What is wrong with a call's parameters. ``path`` is below the listen path and falls under the operation's."""
    rules = operation.parameters
    if not rules:
        return []
    given = {
        "path": _of_path(operation.path, path),
        "query": _of_query(query, {rule.name for rule in rules if rule.place == "query"}),
        "header": _of_head(headers, {rule.name.encode() for rule in rules if rule.place == "header"}),
    }
    found: list[Fault] = []
    for rule in rules:
        texts = given[rule.place].get(rule.name)
        if texts is not None:
            found += _faults(validators, contract, rule, texts)
        elif rule.required and rule.place != "path":
            found.append(_fault(rule, "It is missing.", "required"))
        if len(found) >= MOST_FAULTS:
            break
    return found[:MOST_FAULTS]


def _faults(validators: Validators, contract: Contract, rule: ParameterRule, given: Sequence[bytes]) -> list[Fault]:
    many = "array" in rule.types
    try:
        texts = [text.decode() for each in given for text in _parts_of(each, rule, many)]
    except UnicodeDecodeError:
        return [_fault(rule, "It is not UTF-8.", "utf8")]
    if many:
        meant: list[Any] = [[next(_meant(each, rule.items)) for each in texts]]
    elif len(texts) > 1:
        return [_fault(rule, "It stands there more than once.", "once")]
    else:
        meant = list(_meant(texts[0], rule.types))
    if any(validators.allows(contract, rule.schema, value) for value in meant):
        return []
    parts = len(texts) if many else 1
    return validators.faults(contract, rule.schema, meant[0], parts, rule.place, (rule.place, rule.name))


def _parts_of(given: bytes, rule: ParameterRule, many: bool) -> list[bytes]:
    """What stands in one field, decoded. A comma between items isn't encoded, unlike one in an item; other separators are."""
    decode = bytes if rule.place == "header" else unquote_to_bytes
    if not many or not rule.separator:
        return [decode(given)]
    if not given:
        return []
    if rule.separator == ",":
        return [decode(each.strip()) for each in given.split(b",")]
    return decode(given).split(rule.separator.encode())


def _meant(text: str, types: Sequence[str]) -> Iterator[Any]:
    """The values that a text may stand for, the text itself last; no ``types``: any."""
    any_of = types or ("integer", "number", "boolean", "null")
    if ("integer" in any_of or "number" in any_of) and _INTEGER.match(text):
        yield int(text)
    elif ("number" in any_of or "integer" in any_of) and _NUMBER.match(text):
        number = float(text)
        if math.isfinite(number):
            yield number
    for kind, constants in _CONSTANTS.items():
        if kind in any_of and text in constants:
            yield constants[text]
    yield text


def _fault(rule: ParameterRule, detail: str, broken: str) -> Fault:
    return Fault(rule.place, pointer(rule.place, rule.name), detail, broken)


def _of_path(template: str, path: bytes) -> dict[str, list[bytes]]:
    """Of placeholders that are a segment of their own; others aren't taken apart."""
    found = {}
    for wanted, segment in zip(template.split("/"), path.split(b"/"), strict=False):
        if wanted[:1] == "{" and wanted[-1:] == "}" and "{" not in wanted[1:]:
            found[wanted[1:-1]] = [segment]
    return found


def _of_query(query: bytes | None, names: set[str]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    if query and names:
        for pair in query.replace(b"+", b" ").split(b"&"):
            name, _, value = pair.partition(b"=")
            named = unquote_to_bytes(name).decode("utf-8", "replace")
            if named in names:
                found.setdefault(named, []).append(value)
    return found


def _of_head(headers: Headers, names: set[bytes]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for name, value in headers if names else ():
        if name in names:
            found.setdefault(name.decode("latin-1"), []).append(value)
    return {name: [b",".join(values)] for name, values in found.items()}
