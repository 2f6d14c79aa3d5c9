"""The words of the declarative file, read and written: durations, rates, quotas, and objects as tables of readers.

``apply``, the REST API and revisions share them. A reader takes a plain value (what JSON or YAML gives) and returns what the
models hold; it raises ``ValueError`` with a sentence, or a ``ValidationError`` by path for what is inside it.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import ValidationError

Reader = Callable[[object], Any]
Errors = dict[str, list[str]]

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)\Z")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST_DURATION = 36525 * 86400.0
"""Seconds of a hundred years: more is no duration that any date can be reckoned with."""
_SIZE = re.compile(r"([0-9]{1,18}) ?(B|kB|KB|MB|GB|KiB|MiB|GiB)\Z")
_SIZES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_RATE = re.compile(r"([0-9]+)\s*/\s*(?:(second|sec|s|minute|min|m|hour|h|day|d)|([0-9.]+(?:ms|s|m|h|d)))\Z")
_RATE_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_QUOTA = re.compile(r"([0-9]+)\s*/\s*(hour|day|month)\Z")
_YES, _NO = frozenset({"true", "yes", "on"}), frozenset({"false", "no", "off"})


def read(data: object, table: Mapping[str, Reader]) -> dict[str, Any]:
    """What ``data``, an object, says, word by word: only the words that it has.

    Raises ``ValidationError`` by path (``cache.ttl``, ``upstreams.0.url``) with everything that is wrong, unknown words too.
    """
    if not isinstance(data, Mapping):
        raise ValueError("Expected an object with named fields.")
    errors: Errors = {}
    found: dict[str, Any] = {}
    for word, value in data.items():
        reader = table.get(word) if isinstance(word, str) else None
        if reader is None:
            errors[str(word)] = [f"Unknown word. Known ones: {', '.join(table)}."]
            continue
        found[word] = attempt(errors, word, reader, value)
    if errors:
        raise ValidationError(dict(errors))
    return found


def many(reader: Reader, at_most: int = 1000) -> Reader:
    """A reader of lists, each item read by ``reader``."""

    def read_many(value: object) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise ValueError("Expected a list.")
        if len(value) > at_most:
            raise ValueError(f"At most {at_most} items.")
        errors: Errors = {}
        items = [attempt(errors, str(index), reader, item) for index, item in enumerate(value)]
        if errors:
            raise ValidationError(dict(errors))
        return items

    return read_many


def attempt(errors: Errors, path: str, reader: Reader, value: object) -> Any:
    """What ``reader`` makes of ``value``; what is wrong with it is filed under ``path``, and the result is ``None``."""
    try:
        return reader(value)
    except ValidationError as error:
        for inner, messages in by_path(error).items():
            errors.setdefault(f"{path}.{inner}" if inner else path, []).extend(messages)
    except ValueError as error:
        errors.setdefault(path, []).append(str(error))
    return None


def by_path(error: ValidationError) -> Errors:
    """The messages of ``error`` by path; those of no field are under the empty path."""
    if not hasattr(error, "error_dict"):
        return {"": list(error.messages)}
    return {("" if path == "__all__" else path): list(messages) for path, messages in error.message_dict.items()}


def sentences(errors: Errors) -> list[str]:
    """All messages, each with its place in front."""
    return [f"{path}: {message}" if path else message for path, found in errors.items() for message in found]


def text(value: object) -> str:
    """Text that a database can hold. A whole number is taken as its digits (a slug like 2026)."""
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError("This holds characters that are none (NUL, or half of a pair).")
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError("Expected text: write it in quotes.")


def boolean(value: object) -> bool:
    """True or false, or one of the words for them."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _YES | _NO:
        return value.lower() in _YES
    raise ValueError("Expected true or false.")


def integer(value: object) -> int:
    """A whole number, not negative."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("Expected a whole number, 0 or more.")


def number(value: object) -> float:
    """A number, not negative."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    raise ValueError("Expected a number, 0 or more.")


def optional(reader: Reader) -> Reader:
    """A reader that takes null as "without"."""
    return lambda value: None if value is None else reader(value)


def one_of(words: list[str], not_yet: tuple[str, ...] = ()) -> Reader:
    """A reader of one of ``words``. ``not_yet``: words that are known, but not available."""

    def read_word(value: object) -> str:
        word = "off" if value is False else value
        if word in not_yet:
            raise ValueError(f"{word} is not available yet. Available: {', '.join(words)}.")
        if not isinstance(word, str) or word not in words:
            raise ValueError(f"Expected one of: {', '.join(words)}.")
        return word

    return read_word


def off(value: object) -> None:
    """Nothing but off: what else it could be is not available yet."""
    if value is not False and value != "off":
        raise ValueError("This is not available yet: the only value is off.")


def duration(value: object) -> float:
    """``500ms``, ``2s``, ``10m``, ``1h``, ``30d`` or a number of seconds, in seconds."""
    seconds = -1.0
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str) and (match := _DURATION.match(value.strip())):
        seconds = float(match[1]) * _UNITS[match[2]]
    if not 0 <= seconds <= LONGEST_DURATION:
        raise ValueError("Expected a duration like 500ms, 2s, 10m, 1h or 30d.")
    return float(seconds)


def duration_text(seconds: float) -> str:
    """The shortest usual way to write ``seconds``: 60s, 10m, 2h."""
    for unit, least in (("d", 2.0), ("h", 2.0), ("m", 2.0), ("s", 1.0)):
        amount = seconds / _UNITS[unit]
        if amount >= least and (amount.is_integer() or unit == "s"):
            return f"{amount:.12g}{unit}"
    return f"{seconds * 1000:.12g}ms" if seconds else "0s"


def size(value: object) -> int:
    """``8MiB``, ``512KiB``, ``20MB``, ``100B`` or a whole number of bytes, in bytes."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (match := _SIZE.match(value.strip())):
        return int(match[1]) * _SIZES[match[2]]
    raise ValueError("Expected a size like 8MiB, 512KiB or 20MB, or a whole number of bytes.")


def size_text(amount: int) -> str | int:
    """The shortest way to write ``amount``: 8MiB, 20MB; a number where no unit divides it."""
    units = [(unit, size) for unit, size in _SIZES.items() if size > 1 and amount and not amount % size]
    return min((f"{amount // size}{unit}" for unit, size in units), key=len, default=amount)


def rate(value: object) -> tuple[int, float]:
    """``100/s``, ``60/m``, ``5/10s``: calls, and the seconds that they are for."""
    match = _RATE.match(value.strip()) if isinstance(value, str) else None
    period = (_RATE_PERIODS[match[2][0]] if match[2] else duration(match[3])) if match else 0.0
    if not match or not period or not int(match[1]):
        raise ValueError("Expected a rate like 100/s, 60/m, 1000/h or 5/10s.")
    return int(match[1]), period


def rate_text(calls: int, period: float) -> str:
    """A rate as ``rate`` reads it."""
    for unit, seconds in _RATE_PERIODS.items():
        if period == seconds:
            return f"{calls}/{unit}"
    return f"{calls}/{duration_text(period)}"


def quota(value: object) -> tuple[int, str]:
    """``1000000/month`` (or hour, day): calls, and the calendar period."""
    match = _QUOTA.match(value.strip()) if isinstance(value, str) else None
    if not match:
        raise ValueError("Expected a quota like 1000/hour, 50000/day or 1000000/month.")
    return int(match[1]), match[2]
