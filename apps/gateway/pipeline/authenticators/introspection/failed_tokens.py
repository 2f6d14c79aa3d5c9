"""How often one client may come with tokens that are worth nothing, before a server is asked about its tokens no more."""

from math import ceil

from apps.httpcache.bounded_table import Recent

RATE = 10.0
"""Failed tokens a second that a client may bring for ever."""

BURST = 100.0
"""Failed tokens that it may bring at once. What is above ``BURST`` by as much again counts no more."""

MEMORY = 2**20
"""Bytes of what is known of clients, which is some 3,000 of them. Who comes from more addresses than that is bounded by how
many questions a server is asked at once.
"""

_SIZE = 320


class FailedTokens:
    """A leaky bucket for each client (as ``client_key`` names it) that lately brought a failed token of a server (a slug); in one
    worker. Servers are told apart because one that takes back all tokens, a tenant's own perhaps, must not end calls with tokens of
    another. Times are seconds on the monotonic clock, passed in.
    """

    def __init__(self) -> None:
        self._owed: Recent[tuple[str, str], tuple[float, float]] = Recent(MEMORY, lambda client, _: _SIZE)

    def failed(self, server: str, client: str, now: float) -> None:
        """The client brought a token that is worth nothing."""
        self._owed.put((server, client), (min(self._left(server, client, now) + 1.0, 2 * BURST), now))

    def wait(self, server: str, client: str, now: float) -> int:
        """Seconds after which the server may be asked about a token of this client; 0: now."""
        over = self._left(server, client, now) + 1.0 - BURST
        return max(1, ceil(over / RATE)) if over > 0 else 0

    def _left(self, server: str, client: str, now: float) -> float:
        owed, since = self._owed.get((server, client)) or (0.0, now)
        return max(0.0, owed - (now - since) * RATE)
