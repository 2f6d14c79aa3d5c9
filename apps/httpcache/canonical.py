"""JSON in one form, the JSON Canonicalization Scheme (RFC 8785), so that bodies that mean the same share a key.

It is only for JSON about whose meaning all readers agree. Whatever two parsers may read in two ways is *doubtful* and
refused here, and is keyed by its bytes instead: names that occur twice, numbers that a double can't hold exactly, lone
surrogates, ``NaN``, bytes that are no UTF-8, and what is nested or large beyond measure.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

MAX_BYTES = 32 * 1024
"""Bytes of a body up to which it is put in one form: mostly 3 ms, and 15 for the worst."""

MAX_DEPTH = 64
"""Levels of nesting; parsers elsewhere give up at very different ones."""

_LONGEST_NUMBER = 64
_EXACT = 2**53
_quoted = json.encoder.encode_basestring  # escapes as RFC 8785 §3.2.2.2 wants: the short forms, then lower-case \u00xx


class Doubtful(ValueError):
    """Two readers may not agree on what this text says."""


def _no_constant(name: str) -> NoReturn:
    raise Doubtful(f"{name} is no JSON")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Doubtful("a name occurs twice")
    return found


def _fraction(literal: str) -> float:
    """The double that a literal means, if no reader with more digits could tell the two apart."""
    value = float(literal)
    if len(literal) > _LONGEST_NUMBER or value in (float("inf"), float("-inf")):
        raise Doubtful("a number is beyond a double")
    if Decimal(repr(value)) != Decimal(literal):
        raise Doubtful("a number has more digits than a double")
    return value


_decoder = json.JSONDecoder(object_pairs_hook=_pairs, parse_float=_fraction, parse_constant=_no_constant)


def parse(text: bytes) -> Any:
    """What JSON text says. Raises ``Doubtful``, also for what is no JSON at all."""
    if len(text) > MAX_BYTES:
        raise Doubtful("too large")
    try:
        return _decoder.decode(text.decode("utf-8"))
    except Doubtful:
        raise
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise Doubtful(str(error)) from None


def number(value: float) -> str:
    """A number as ECMAScript writes it (RFC 8785 §3.2.2.3, ECMA-262 Number::toString)."""
    if value == 0:
        return "0"
    # Python's shortest digits are ECMAScript's; as ``d.ddde±dd`` they are easy to take apart.
    mantissa, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
    sign, text = mantissa.startswith("-"), mantissa.lstrip("-").replace(".", "")
    point = int(exponent) + 1  # the value is 0.text times ten to the power of point
    if 0 < point <= 21:
        text = text.ljust(point, "0") if len(text) <= point else f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{text}"
    else:
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        text = f"{text[0]}{fraction}e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return f"-{text}" if sign else text


def _integer(value: int) -> str:
    if -_EXACT <= value <= _EXACT:
        return str(value)
    try:
        nearest = float(value)
    except OverflowError:
        raise Doubtful("a number is beyond a double") from None
    if Decimal(repr(nearest)) != value:
        raise Doubtful("a number has more digits than a double")
    return number(nearest)


def _written(value: Any, depth: int) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return number(value)
    if depth >= MAX_DEPTH:
        raise Doubtful("nested too deep")
    if isinstance(value, list):
        return f"[{','.join([_written(each, depth + 1) for each in value])}]"
    # Names in the order of their UTF-16 code units (§3.2.3), which isn't that of their characters.
    names = sorted(value, key=lambda name: name.encode("utf-16-be"))
    return f"{{{','.join([f'{_quoted(name)}:{_written(value[name], depth + 1)}' for name in names])}}}"


def serialize(value: Any) -> bytes:
    """The one form of what ``parse`` gave. Raises ``Doubtful``."""
    try:
        return _written(value, 0).encode("utf-8")
    except UnicodeEncodeError:
        raise Doubtful("a lone surrogate") from None


def canonical(text: bytes) -> bytes | None:
    """JSON text in its one form; ``None`` where it is doubtful."""
    try:
        return serialize(parse(text))
    except Doubtful:
        return None
