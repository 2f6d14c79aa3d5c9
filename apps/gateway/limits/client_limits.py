"""What one client may take of a worker: how slowly it may send and read, and how many connections it may hold.

A client that is slow on purpose ("Slowloris") pays with little more than patience. Apache's ``mod_reqtimeout`` asks 500 bytes
a second of a body after 20 seconds, Kestrel 240 in both directions after 5.
"""

import ipaddress
import logging
from collections.abc import Callable
from time import monotonic

from apps.egress.addresses import plain

log = logging.getLogger(__name__)

GRACE = 30.0
"""Seconds that a client may be waited for before the minimum rate counts; also the longest wait in which nothing moves."""

SPARE = 16
"""Refused connections of one client that get a response with the reason; more are ended without a response."""

SAID_AGAIN = 60.0
"""Seconds after which the log may name a client with too many connections again."""


class MinimumRate:
    """Whether a client keeps up with ``rate``, in bytes a second; 0: there is no minimum rate, only the longest wait.

    ``left`` is for how many seconds it may still be waited for. Waiting takes from it, bytes that move give back, and it is never
    more than ``GRACE``: no client saves up for a pause of an hour.
    """

    __slots__ = ("_rate", "left")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self.left = GRACE

    def waited(self, seconds: float, size: int) -> None:
        """``size`` bytes moved in ``seconds`` of waiting for the client."""
        if size and not self._rate:
            self.left = GRACE
        else:
            self.left = min(GRACE, self.left - seconds + (size / self._rate if size else 0.0))


class ClientConnections:
    """The connections of one worker by client: an IPv4 address, or an IPv6 network of 64 bits, which one client has to itself
    (RFC 6177). ``bound`` is how many each may have, and ``most`` how many all may, of which a bounded one has no more than
    half; 0: any number.
    """

    def __init__(self, bound: int, most: int = 0, clock: Callable[[], float] = monotonic) -> None:
        self.bound = min(bound, max(1, most // 2)) if most else bound
        self.most = most
        self.open = 0
        self.refused = 0
        self._clock = clock
        self._held: dict[str, int] = {}
        self._said_at = -SAID_AGAIN

    def take(self, client: str) -> int:
        """Count a connection from an address; by how many its client is above the bound now (more than ``SPARE`` where all
        clients together are above theirs).
        """
        key = client_key(client)
        held = self._held[key] = self._held.get(key, 0) + 1
        self.open += 1
        full = 0 < self.most < self.open
        if not full and (not self.bound or held <= self.bound):
            return 0
        self.refused += 1
        now = self._clock()
        if full:
            if now - self._said_at >= SAID_AGAIN:
                self._said_at = now
                log.warning(
                    "Clients hold all of the %s connections that this worker can have: a higher limit on open files allows more.",
                    self.most,
                )
            return SPARE + 1
        if now - self._said_at >= SAID_AGAIN:
            self._said_at = now
            log.warning(
                "%s has more than %s connections to this worker, and gets no more of them. A proxy belongs in "
                "TRUSTED_PROXIES; CONNECTIONS_PER_CLIENT sets the bound.",
                key,
                self.bound,
            )
        return held - self.bound

    def give(self, client: str) -> None:
        """A connection that was counted has ended."""
        key = client_key(client)
        self.open -= 1
        held = self._held.pop(key) - 1
        if held:
            self._held[key] = held

    def __len__(self) -> int:
        """How many clients there are."""
        return len(self._held)


def client_key(address: str) -> str:
    """What counts as one client. ``address`` is as a socket has it; of an IPv4 address in IPv6, the former. What is no
    address (a server's name for a Unix socket) is a client by itself.
    """
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if (inner := plain(parsed)) is not parsed:
        return str(inner)
    return f"{ipaddress.IPv6Address(int(parsed) >> 64 << 64)}/64"
