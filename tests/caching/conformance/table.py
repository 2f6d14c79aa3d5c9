"""What a check is: steps that a caller takes through a cache, what the origin says at each, and what must come of it.

The checks are named as those of the independent suite for RFC 9111 (``http-tests/cache-tests``), so that its results and ours
can be laid side by side; the steps are written here in our own form. A check is *required*, *optimal* or a *question* (either
answer is allowed). One whose preparation doesn't work counts as failed, and so does one that ``needs`` a failed one.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

REQUIRED, OPTIMAL, QUESTION = "required", "optimal", "question"

STORED, FETCHED, BY_TAG, BY_DATE = "stored", "fetched", "by tag", "by date"
"""How an answer came: from the cache, from the origin, after a conditional call by ``ETag`` or by ``Last-Modified``."""

ANY = object()
"""Any status, or any text."""

DATED = frozenset({"date", "expires", "last-modified", "if-modified-since"})
"""Fields whose number is seconds from the origin's present."""


@dataclass(frozen=True)
class Field:
    """A field of an answer. ``value`` is text, or seconds from now. The caller must get a ``checked`` one as it is."""

    name: str
    value: Any
    checked: bool = True


@dataclass(frozen=True)
class More:
    """A field whose number must be larger than ``than``."""

    name: str
    than: int


@dataclass(frozen=True)
class Step:
    """One call. ``prepares``: everything expected of it is preparation; ``given`` names single expectations that are."""

    asks: tuple[tuple[str, Any], ...] = ()
    method: str = "GET"
    body: str | None = None
    below: str = ""
    query: str = ""
    old_dates: bool = False
    # the origin
    says: tuple[Field, ...] = ()
    status: int | None = None
    content: str | None = None
    interim: tuple[tuple[int, tuple[tuple[str, str], ...]], ...] = ()
    breaks_off: bool = False
    after: int = 0
    own_locations: bool = False
    # what must come of it
    comes: str | None = None
    answers: Any = None
    text: Any = None
    reads: bool = True
    has: tuple[Any, ...] = ()
    lacks: tuple[str, ...] = ()
    hears: tuple[tuple[int, tuple[tuple[str, str], ...]], ...] | None = None
    origin_gets: tuple[tuple[str, str], ...] = ()
    origin_method: str | None = None
    prepares: bool = False
    given: frozenset[str] = frozenset()
    pauses: bool = False


@dataclass(frozen=True)
class Check:
    """One behaviour. ``section`` is where the rule stands (of RFC 9111, unless it names another)."""

    name: str
    kind: str
    section: str
    steps: tuple[Step, ...]
    needs: tuple[str, ...] = ()


def fields(*pairs: tuple[str, Any]) -> tuple[Field, ...]:
    """Fields that the caller must get as they are."""
    return tuple(pair if isinstance(pair, Field) else Field(*pair) for pair in pairs)


def quiet(name: str, value: Any) -> Field:
    """A field that may come out otherwise, or not at all."""
    return Field(name, value, False)


def cc(value: str) -> tuple[str, str]:
    """A ``Cache-Control`` field."""
    return ("Cache-Control", value)


NOW = ("Date", 0)


def says(*pairs: Any, **more: Any) -> Step:
    """A first call that prepares: the origin's answer has these fields."""
    return Step(says=fields(*pairs), **{"prepares": True, **more})


def paused(*pairs: Any, **more: Any) -> Step:
    """The same, and three seconds pass."""
    return says(*pairs, **{"pauses": True, **more})


def fresh(*pairs: Any, **more: Any) -> Step:
    """An answer with a day of freshness, three seconds ago."""
    return paused(cc("max-age=100000"), NOW, *pairs, **more)


def soon_stale(*pairs: Any, **more: Any) -> Step:
    """An answer that is stale since a second."""
    return paused(cc("max-age=2"), NOW, ("Template-A", "1"), *pairs, **more)


def stale(*pairs: Any, **more: Any) -> Step:
    """An answer that was stale when it came."""
    return paused(("Expires", -5000), ("Last-Modified", -100000), NOW, *pairs, **more)


def then(comes: str | None = None, **more: Any) -> Step:
    """A call whose answer must come that way."""
    return Step(comes=comes, **more)


def some(seed: str) -> str:
    """A value that means nothing, always the same for ``seed``."""
    return "v" + hashlib.sha256(seed.encode()).hexdigest()[:14]


def required(name: str, section: str, *steps: Step, needs: str = "") -> Check:
    """What a cache must do, or must not."""
    return Check(name, REQUIRED, section, steps, tuple(needs.split()))


def optimal(name: str, section: str, *steps: Step, needs: str = "") -> Check:
    """What a good cache does."""
    return Check(name, OPTIMAL, section, steps, tuple(needs.split()))


def question(name: str, section: str, *steps: Step, needs: str = "") -> Check:
    """What a cache may do either way."""
    return Check(name, QUESTION, section, steps, tuple(needs.split()))
