"""JSON as it is read before anything is validated: well-formed (RFC 8259), in UTF-8, each name once in its object (RFC 7493 §2.3),
and within the API's bounds.

Parsing, counting and comparing are done by compiled code. Bounds are held against counts of the text first, which are enough for
nearly every body; only what could be beyond one is taken apart.
"""

import gc
from typing import Any

import msgspec

from apps.gateway.validation.faults import Fault
from apps.wire.snapshot import Validation

_encode = msgspec.json.encode


class NotTaken(Exception):
    """The text isn't JSON that is taken; ``fault`` says why."""

    def __init__(self, detail: str, rule: str) -> None:
        super().__init__(detail)
        self.fault = Fault("body", "/body", detail, rule)


def read(text: bytes, bounds: Validation) -> tuple[Any, int]:
    """The value of ``text``, and how many parts it has at most. Raises ``NotTaken``."""
    # Those in strings are counted too: where that is within a bound, so is what is outside of them.
    levels, colons = text.count(b"{") + text.count(b"["), text.count(b":")
    parts = levels + text.count(b",") + 1
    if levels > bounds.depth or colons > bounds.names or len(text) > bounds.text:
        _hold(text, bounds)
    try:
        value = _decode(text)
        written = _encode(value)
    except RecursionError:
        raise NotTaken("It is nested too deep.", "depth") from None
    except msgspec.ValidationError:
        raise NotTaken("A number is larger than can be read.", "number") from None
    except (msgspec.MsgspecError, ValueError):
        raise NotTaken("It is not JSON in UTF-8.", "json") from None
    # Of two values of one name the later one is read. It is written with as many colons, unless one was escaped.
    same = colons == written.count(b":") if b"\\u" not in text else _names(text) == _names(written)
    if not same:
        raise NotTaken("A name stands twice in an object.", "names_once")
    if parts > bounds.items and _has_longer_list(value, bounds.items):
        raise NotTaken(f"A list has more than {bounds.items} items.", "items")
    return value, parts


def _decode(text: bytes) -> Any:
    """The value of a text, made without the garbage collector: JSON has no cycles, and for each few thousand lists in it all that a
    worker holds would be looked through, while all its calls wait. Raises ``msgspec.MsgspecError`` and ``RecursionError``.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return msgspec.json.decode(text)
    finally:
        if collects:
            gc.enable()


def _hold(text: bytes, bounds: Validation) -> None:
    """Hold what may be beyond a bound against all of them. Raises ``NotTaken``."""
    pieces = _pieces(text)
    around = b"".join(pieces[::2])
    if _is_deeper(around, bounds.depth):
        raise NotTaken(f"It is nested deeper than {bounds.depth} levels.", "depth")
    if around.count(b":") > bounds.names:
        raise NotTaken(f"It has more than {bounds.names} names.", "names")
    if max(map(len, pieces[1::2]), default=0) > bounds.text:
        raise NotTaken(f"A string has more than {bounds.text} bytes.", "text")


def _pieces(text: bytes) -> list[bytes]:
    """What of JSON is outside of its strings, and in turn what is inside of them, quotes and backslashes left out."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return text.split(b'"')


def _names(text: bytes) -> int:
    return b"".join(_pieces(text)[::2]).count(b":")


_SQUARE = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(range(256)).translate(None, b"{}[]")


def _is_deeper(around: bytes, levels: int) -> bool:
    """Whether brackets are left when the innermost ones were taken away so many times."""
    brackets = around.translate(_SQUARE, _OTHERS)
    for _ in range(levels):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _has_longer_list(value: Any, items: int) -> bool:
    waiting = [value] if type(value) in (list, dict) else []
    while waiting:
        each = waiting.pop()
        if type(each) is list and len(each) > items:
            return True
        inside = each.values() if type(each) is dict else each
        waiting += [one for one in inside if type(one) is list or type(one) is dict]
    return False
