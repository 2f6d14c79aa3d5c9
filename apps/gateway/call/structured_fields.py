"""Structured Fields (RFC 9651), as far as signatures and digests need them: dictionaries of byte sequences, and of inner lists
of strings with parameters. Pure; each byte is looked at once.
"""

import binascii
import re
from dataclasses import dataclass

MOST = 32
"""Members of a dictionary, and of an inner list; and parameters."""


class Token(str):
    """A token, which is no string."""

    __slots__ = ()


Bare = int | str | Token | bytes | bool

_KEY = re.compile(rb"[a-z*][a-z0-9_.*-]{0,63}")
_INTEGER = re.compile(rb"-?[0-9]{1,15}(?![0-9.])")
_STRING = re.compile(rb'"((?:[ !#-\[\]-~]|\\["\\])*+)"')
_TOKEN = re.compile(rb"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*+")
_BYTES = re.compile(rb":([A-Za-z0-9+/]*+=*+):")
_COMMA = re.compile(rb"[ \t]*+,[ \t]*+")
_BLANKS = re.compile(rb" *+")
_ESCAPED = re.compile(rb"\\(.)")


@dataclass(slots=True, frozen=True)
class InnerList:
    """Strings, each without parameters, and what is said of the list. ``text`` is its one form (§4.1.1.1), which is signed."""

    items: tuple[str, ...]
    parameters: dict[str, Bare]
    text: str


def dictionary(lines: list[bytes]) -> dict[str, Bare | InnerList] | None:
    """A dictionary over all the lines of its field; ``None`` where it is none, has a type that isn't read here, names a key twice
    or has more than 32 members. Parameters of a member that is no list are read over.
    """
    text = b", ".join(lines).strip(b" ")
    found: dict[str, Bare | InnerList] = {}
    at = 0
    while at < len(text):
        key = _KEY.match(text, at)
        if key is None or key[0].decode() in found or len(found) >= MOST:
            return None
        read = _member(text, key.end())
        if read is None:
            return None
        found[key[0].decode()], at = read
        if at == len(text):
            return found
        comma = _COMMA.match(text, at)
        if comma is None or comma.end() == len(text):
            return None
        at = comma.end()
    return found


def _member(text: bytes, at: int) -> tuple[Bare | InnerList, int] | None:
    value: Bare | InnerList = True
    if text[at : at + 1] == b"=":
        if text[at + 1 : at + 2] == b"(":
            return _inner_list(text, at + 1)
        read = _bare(text, at + 1)
        if read is None:
            return None
        value, at = read
    parameters = _parameters(text, at)
    return (value, parameters[1]) if parameters is not None else None


def _inner_list(text: bytes, at: int) -> tuple[InnerList, int] | None:
    items: list[str] = []
    at = _after_blanks(text, at + 1)
    while text[at : at + 1] != b")":
        item = _STRING.match(text, at)
        if item is None or len(items) >= MOST or text[item.end() : item.end() + 1] not in (b" ", b")"):
            return None
        items.append(_unescaped(item[1]))
        at = _after_blanks(text, item.end())
    parameters = _parameters(text, at + 1)
    if parameters is None:
        return None
    said = "".join(f";{name}{_written(value)}" for name, value in parameters[0].items())
    listed = " ".join(_quoted(item) for item in items)
    return InnerList(tuple(items), parameters[0], f"({listed}){said}"), parameters[1]


def _parameters(text: bytes, at: int) -> tuple[dict[str, Bare], int] | None:
    found: dict[str, Bare] = {}
    while text[at : at + 1] == b";":
        key = _KEY.match(text, _after_blanks(text, at + 1))
        if key is None or key[0].decode() in found or len(found) >= MOST:
            return None
        value: Bare = True
        at = key.end()
        if text[at : at + 1] == b"=":
            read = _bare(text, at + 1)
            if read is None:
                return None
            value, at = read
        found[key[0].decode()] = value
    return found, at


def _bare(text: bytes, at: int) -> tuple[Bare, int] | None:
    if text[at : at + 2] in (b"?0", b"?1"):
        return text[at + 1 : at + 2] == b"1", at + 2
    if integer := _INTEGER.match(text, at):
        return int(integer[0]), integer.end()
    if string := _STRING.match(text, at):
        return _unescaped(string[1]), string.end()
    if token := _TOKEN.match(text, at):
        return Token(token[0].decode()), token.end()
    binary = _BYTES.match(text, at)
    if binary is None:
        return None
    try:
        return binascii.a2b_base64(binary[1], strict_mode=True), binary.end()
    except binascii.Error:
        return None


def _written(value: Bare) -> str:
    """A parameter's value as it is written behind its name."""
    if value is True:
        return ""
    if value is False:
        return "=?0"
    if isinstance(value, bytes):
        return f"=:{binascii.b2a_base64(value, newline=False).decode()}:"
    return f"={value}" if isinstance(value, int | Token) else f"={_quoted(value)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _unescaped(text: bytes) -> str:
    return _ESCAPED.sub(rb"\1", text).decode()


def _after_blanks(text: bytes, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks is not None else at
