"""What is wrong with a call, told without repeating what its caller sent."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from apps.wire.api_keys import without_secrets

MOST_FAULTS = 20
LONGEST_DETAIL, LONGEST_POINTER, LONGEST_NAME = 200, 300, 64
"""Characters of what is told of a fault, and of a name in it."""


class Fault(NamedTuple):
    """One thing that is wrong. ``place`` is ``path``, ``query``, ``header``, ``body`` or ``response``; ``pointer`` leads to the
    value (RFC 6901), from the place down; ``rule`` is what it breaks, like ``required`` or ``pattern``.
    """

    place: str
    pointer: str
    detail: str
    rule: str

    @property
    def summary(self) -> str:
        """For the call's record: the place, without the numbers of a list's items and without keys, and the rule."""
        steps = ["*" if step.isdecimal() else step for step in self.pointer.split("/")]
        return f"{without_secrets('/'.join(steps).encode()).decode()} {self.rule}"


def pointer(*steps: str | int) -> str:
    """The JSON pointer of these names and indexes, cut where it would be long."""
    return short("".join(f"/{_escaped(str(step))}" for step in steps[:32]), LONGEST_POINTER)


def _escaped(step: str) -> str:
    return short(step, LONGEST_NAME).replace("~", "~0").replace("/", "~1")


def short(text: str, longest: int) -> str:
    """``text``, cut."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def as_json(faults: Sequence[Fault] | Iterable[Fault]) -> bytes:
    """A list for a problem's ``errors``."""
    return msgspec.json.encode([{"in": each.place, "pointer": each.pointer, "detail": each.detail} for each in faults])
