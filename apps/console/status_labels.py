"""One meaning, one colour, one shape, one word: for badges, tables and charts alike."""

from typing import NamedTuple


class StatusLabel(NamedTuple):
    """``name`` is the class ``m-…`` and the CSS variable ``--c-…``; ``icon`` the shape; ``outline`` marks what has ended."""

    name: str
    icon: str
    outline: bool = False


_STATES: dict[str, StatusLabel] = {
    "draft": StatusLabel("draft", "circle-dashed"),
    "published": StatusLabel("active", "circle-check"),
    "active": StatusLabel("active", "circle-check"),
    "approved": StatusLabel("active", "circle-check"),
    "up": StatusLabel("active", "circle-check"),
    "submitted": StatusLabel("pending", "hourglass"),
    "pending": StatusLabel("pending", "hourglass"),
    "needs_info": StatusLabel("pending", "message-question"),
    "late": StatusLabel("pending", "clock"),
    "deprecated": StatusLabel("pending", "alert-triangle"),
    "suspended": StatusLabel("suspended", "player-pause"),
    "degraded": StatusLabel("suspended", "alert-triangle"),
    "revoked": StatusLabel("ended", "ban", True),
    "rejected": StatusLabel("ended", "circle-x", True),
    "retired": StatusLabel("ended", "ban", True),
    "down": StatusLabel("error", "circle-x"),
    "away": StatusLabel("error", "circle-x"),
    "expired": StatusLabel("draft", "clock", True),
    "cancelled": StatusLabel("draft", "x", True),
    "inactive": StatusLabel("draft", "ban", True),
    "queued": StatusLabel("pending", "hourglass"),
    "running": StatusLabel("info", "refresh"),
    "done": StatusLabel("active", "circle-check"),
    "failed": StatusLabel("error", "circle-x"),
    "fresh": StatusLabel("hit", "bolt"),
    "stale": StatusLabel("stale", "clock"),
    "purged": StatusLabel("ended", "flame", True),
    "unknown": StatusLabel("draft", "help", True),
}

_RESULTS: dict[str, StatusLabel] = {
    "HIT": StatusLabel("hit", "bolt"),
    "REVALIDATED": StatusLabel("revalidated", "refresh"),
    "STALE": StatusLabel("stale", "clock"),
    "MISS": StatusLabel("miss", "arrow-right"),
    "BYPASS": StatusLabel("bypass", "route"),
    "REFUSED": StatusLabel("error", "ban"),
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


def of_state(state: str) -> StatusLabel:
    """The meaning of a state, of whatever workflow."""
    return _STATES.get(state, StatusLabel("draft", "circle"))


def word(state: str) -> str:
    """A state as readers see it."""
    return _WORDS.get(state) or state.replace("_", " ").capitalize()


def of_result(result: str) -> StatusLabel:
    """The meaning of a cache result."""
    return _RESULTS.get(result, StatusLabel("draft", "circle"))


def of_status(status: int) -> StatusLabel:
    """The meaning of an HTTP status; 0 is no response."""
    if 200 <= status < 400:
        return StatusLabel("active", "circle-check")
    if 400 <= status < 500:
        return StatusLabel("pending", "alert-triangle")
    return StatusLabel("error", "circle-x")
