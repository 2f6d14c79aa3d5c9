"""One meaning, one colour, one shape, one word: for badges, tables and charts alike."""

from typing import NamedTuple


class Meaning(NamedTuple):
    """``name`` is the class ``m-…`` and the CSS variable ``--c-…``; ``icon`` the shape; ``outline`` marks what has ended."""

    name: str
    icon: str
    outline: bool = False


_STATES: dict[str, Meaning] = {
    "draft": Meaning("draft", "circle-dashed"),
    "published": Meaning("active", "circle-check"),
    "active": Meaning("active", "circle-check"),
    "approved": Meaning("active", "circle-check"),
    "up": Meaning("active", "circle-check"),
    "submitted": Meaning("pending", "hourglass"),
    "pending": Meaning("pending", "hourglass"),
    "needs_info": Meaning("pending", "message-question"),
    "late": Meaning("pending", "clock"),
    "deprecated": Meaning("pending", "alert-triangle"),
    "suspended": Meaning("suspended", "player-pause"),
    "degraded": Meaning("suspended", "alert-triangle"),
    "revoked": Meaning("ended", "ban", True),
    "rejected": Meaning("ended", "circle-x", True),
    "retired": Meaning("ended", "ban", True),
    "down": Meaning("error", "circle-x"),
    "away": Meaning("error", "circle-x"),
    "expired": Meaning("draft", "clock", True),
    "cancelled": Meaning("draft", "x", True),
    "inactive": Meaning("draft", "ban", True),
    "queued": Meaning("pending", "hourglass"),
    "running": Meaning("info", "refresh"),
    "done": Meaning("active", "circle-check"),
    "failed": Meaning("error", "circle-x"),
    "fresh": Meaning("hit", "bolt"),
    "stale": Meaning("stale", "clock"),
    "purged": Meaning("ended", "flame", True),
    "unknown": Meaning("draft", "help", True),
}

_RESULTS: dict[str, Meaning] = {
    "HIT": Meaning("hit", "bolt"),
    "REVALIDATED": Meaning("revalidated", "refresh"),
    "STALE": Meaning("stale", "clock"),
    "MISS": Meaning("miss", "arrow-right"),
    "BYPASS": Meaning("bypass", "route"),
    "REFUSED": Meaning("error", "ban"),
}

_WORDS = {"needs_info": "Needs info", "up": "Up"}


_PAST = {
    "submit": "handed it in",
    "ask": "asked back",
    "approve": "approved",
    "reject": "rejected",
    "cancel": "took it back",
}


def past(verb: str) -> str:
    """A step of a request as something that was done."""
    return _PAST.get(verb, verb)


def of_state(state: str) -> Meaning:
    """The meaning of a state, of whatever workflow."""
    return _STATES.get(state, Meaning("draft", "circle"))


def word(state: str) -> str:
    """A state as readers see it."""
    return _WORDS.get(state) or state.replace("_", " ").capitalize()


def of_result(result: str) -> Meaning:
    """The meaning of a cache result."""
    return _RESULTS.get(result, Meaning("draft", "circle"))


def of_status(status: int) -> Meaning:
    """The meaning of an HTTP status; 0 is no answer."""
    if 200 <= status < 400:
        return Meaning("active", "circle-check")
    if 400 <= status < 500:
        return Meaning("pending", "alert-triangle")
    return Meaning("error", "circle-x")
