"""The environment's variables. A value that can't be used ends the start with one sentence that names the variable.

Every variable of an installation is read here (a test enumerates them), through a parser (``apimgr.parsers``): a function
from the variable's text to its value, which raises ``ValueError`` with a sentence that says what is allowed.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn, TypeVar

T = TypeVar("T")
Parser = Callable[[str], T]


def read(
    name: str,
    default: T,
    parse: Parser[T],
    *,
    is_secret: bool = False,
    environment: Mapping[str, str] | None = None,
) -> T:
    """The value of the variable ``name``, or of the file that ``name_FILE`` names; ``default`` where it is missing or empty.

    A file's last newline is not part of the value. Ends the process with one sentence where the value can't be used; that
    sentence doesn't repeat it if it ``is_secret``: parsers of secrets name their text as ``repr`` has it or not at all.
    """
    text = text_of(name, os.environ if environment is None else environment)
    if not text:
        return default
    try:
        if any(ord(character) < 32 or ord(character) == 127 for character in text):
            raise ValueError(f"{text!r} holds a line break or another control character, which no value does.")
        return parse(text)
    except ValueError as error:
        refuse(name, str(error).replace(repr(text), "its value, which isn't shown,") if is_secret else str(error))


def read_list(name: str, default: list[str], check: Callable[[str], object]) -> list[str]:
    """The parts of a variable, separated by commas; ``check`` raises ``ValueError`` for one that can't be used. A variable that
    is there and empty is the empty list.
    """
    found = os.environ.get(name)
    if found is not None and not found.strip() and f"{name}_FILE" not in os.environ:
        return []
    return read(name, default, lambda text: _parts(text, check))


def text_of(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """What the variable holds, or the file that ``name_FILE`` names; empty: neither is set. Ends the process with one
    sentence where both are, and where the file is empty or can't be read.
    """
    text, path = environment.get(name, ""), environment.get(f"{name}_FILE", "")
    if not path:
        return text
    if text:
        refuse(name, f"it is set, and {name}_FILE too: set one of them.")
    try:
        text = Path(path).read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        refuse(f"{name}_FILE", f"{path!r} can't be read ({why}): name a file that holds the value.")
    if not text:
        refuse(f"{name}_FILE", f"{path!r} is empty: name a file that holds the value.")
    return text


def refuse(name: str, sentence: str) -> NoReturn:
    """End the process with exit status 1, and say on the standard error what is wrong with a variable."""
    raise SystemExit(f"{name}: {sentence}")


def _parts(text: str, check: Callable[[str], object]) -> list[str]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for part in parts:
        check(part)
    return parts
