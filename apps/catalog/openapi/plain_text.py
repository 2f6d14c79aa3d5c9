"""Markdown as the plain words that stand in it, for places that hold one line."""

import re

_CODE = re.compile(r"^(?:```|~~~).*?^(?:```|~~~)[^\n]*$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^ {0,3}#{1,6}(?:\s.*)?$|^.*\n(?:=+|-{2,}) *$", re.MULTILINE)
_IMAGE = re.compile(r"!\[[^\]]{0,300}\]\([^)]{0,1000}\)")
_LINK = re.compile(r"\[([^\]]{1,300})\]\([^)]{0,1000}\)")
_TAG = re.compile(r"<[^<>]{0,1000}>")
_LEADING = re.compile(r"^ {0,3}(?:[-*+>]|[0-9]{1,9}[.)])\s+", re.MULTILINE)
_MARKS = re.compile(r"[*_`~]{1,3}(?=\S)|(?<=\S)[*_`~]{1,3}")
_END = re.compile(r"(?<=[.!?。])\s|(?<=。)")
ENOUGH = 20_000
"""Characters in which the first sentence is looked for."""


def first_sentence(markdown: str) -> str:
    """The first sentence of ``markdown`` that is no heading, without its marks; the heading's words if there is no other."""
    text = _CODE.sub("\n", markdown[:ENOUGH])
    return _first(_HEADING.sub("\n\n", text)) or _first(re.sub(r"^[ #]+", "", text, flags=re.MULTILINE))


def _first(text: str) -> str:
    for mark, words in ((_IMAGE, ""), (_LINK, r"\1"), (_TAG, ""), (_LEADING, ""), (_MARKS, "")):
        text = mark.sub(words, text)
    for paragraph in re.split(r"\n\s*\n", text):
        words = " ".join(paragraph.split())
        if any(character.isalnum() for character in words):
            return _END.split(words, maxsplit=1)[0].strip()
    return ""
