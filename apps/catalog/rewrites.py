"""The rules by which an API's upstreams get other paths than its callers write: how they are checked, and compiled for gateways.

A rule is ``{"from": …, "to": …}``, both paths below the listen path. ``{name}`` in ``from`` stands for any one segment, and in
``to`` for the same one; ``**`` at the end of both for all that follows, nothing too. The first rule that a path falls under counts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from apps.httpcache.normalise import normalise_target
from apps.wire.snapshot import Rewrite

MOST = 50
LONGEST = 500
"""Characters of a path in a rule."""

REST = "**"


class _Path(NamedTuple):
    """Segments as texts, or ``{name}``, and whether more may follow."""

    segments: tuple[str, ...]
    rest: bool


def check_rewrite(rules: object) -> list[dict[str, str]]:
    """Rules that can be compiled. Raises ``ValueError`` with a sentence."""
    if not isinstance(rules, list):
        raise ValueError("A list of rules, each with from and to.")
    if len(rules) > MOST:
        raise ValueError(f"At most {MOST} rules.")
    kept: list[dict[str, str]] = []
    for rule in rules:
        if not isinstance(rule, Mapping) or set(rule) != {"from", "to"}:
            raise ValueError("Each rule has from and to, like from: /old/{id} and to: /new/{id}.")
        _compiled(rule)
        if any(each["from"] == rule["from"] for each in kept):
            raise ValueError(f"{rule['from']} is there already: only the first rule would count.")
        kept.append({"from": rule["from"], "to": rule["to"]})
    return kept


def compile_rewrite(rules: Sequence[Mapping[str, str]]) -> tuple[Rewrite, ...]:
    """The rules as gateways go by them."""
    return tuple(map(_compiled, rules))


def _compiled(rule: Mapping[str, Any]) -> Rewrite:
    wanted, made = _path(rule["from"]), _path(rule["to"])
    names = [segment for segment in wanted.segments if _is_name(segment)]
    if len(set(names)) < len(names):
        raise ValueError(f"{rule['from']} has a name twice.")
    if unknown := [segment for segment in made.segments if _is_name(segment) and segment not in names]:
        raise ValueError(f"{rule['to']} has {unknown[0]}, which {rule['from']} has not.")
    if made.rest and not wanted.rest:
        raise ValueError(f"{rule['to']} ends with **, and {rule['from']} does not.")
    return Rewrite(
        segments=tuple(None if _is_name(segment) else segment for segment in wanted.segments),
        to=tuple(wanted.segments.index(each) if _is_name(each) else each for each in made.segments),
        rest=wanted.rest,
        passes_rest=made.rest,
    )


def _path(text: object) -> _Path:
    if not isinstance(text, str) or not text.startswith("/") or len(text) > LONGEST:
        raise ValueError(f"{text!r}: a path in a rule starts with a slash and has at most {LONGEST} characters.")
    *front, last = text[1:].split("/")
    if "" in front:
        raise ValueError(f"{text}: between two slashes there is a segment.")
    rest = last == REST
    return _Path(tuple(map(_segment, front if rest else [*front, last])), rest)


def _segment(text: str) -> str:
    """A segment in the form in which gateways compare paths."""
    if not text or (_is_name(text) and len(text) > 2 and not set("{}*").intersection(text[1:-1])):
        return text
    target = None if set("{}*?#").intersection(text) else normalise_target(b"/" + text.encode())
    if target is None or target.path.count(b"/") != 1 or len(target.path) < 2:
        raise ValueError(f"{text!r} can't be a segment: write text, {{name}} for a whole one, or ** at the end.")
    return target.path[1:].decode("latin-1")


def _is_name(segment: str) -> bool:
    return segment[:1] == "{" and segment[-1:] == "}"
