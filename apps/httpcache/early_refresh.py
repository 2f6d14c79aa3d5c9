"""Refreshing ahead of the end, so that a hot key never expires under everybody at once.

XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015): each hit draws
a moment ahead of now, exponentially distributed with the time that a fetch takes, and refreshes if the response will
have expired by then. The hotter the key and the slower the upstream, the earlier a call does.
"""

from math import log

BETA = 1.0
"""More refreshes earlier; 1 is the optimum that the paper proves."""

_FARTHEST = 20.0
"""Fetch times ahead beyond which no draw falls (1 in 500 million)."""


def earliest(fresh_until: float, fetch_seconds: float) -> float:
    """The moment before which no hit refreshes early: a hit before it needs no draw."""
    return fresh_until - BETA * _FARTHEST * fetch_seconds


def refreshes(fresh_until: float, fetch_seconds: float, now: float, chance: float) -> bool:
    """Whether this hit refreshes. ``chance`` is uniform in (0, 1]; 1 never does."""
    return now - BETA * fetch_seconds * log(max(chance, 1e-12)) >= fresh_until
