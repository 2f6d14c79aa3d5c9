"""Which of an upstream's addresses is connected to (RFC 8305): attempts begin one after the other, the first that succeeds is used.

So an address that drops what is sent to it costs ``DELAY`` once, and not the connect timeout of every call.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import chain, zip_longest
from typing import TypeVar

DELAY = 0.25
"""Seconds after which the next address is tried beside those under way (RFC 8305 §5)."""

PLACES_KEPT = 4096
"""Hosts and ports whose addresses are remembered."""

C = TypeVar("C")
Place = tuple[str, str, int]


class AddressOrder:
    """In which order a place's addresses are tried: first the one that was connected to last, last the one that failed last."""

    def __init__(self) -> None:
        self._good: dict[Place, str] = {}
        self._bad: dict[Place, str] = {}

    def of(self, place: Place, addresses: Sequence[str]) -> list[str]:
        """``addresses`` in order; where nothing is known of them, as the resolver sorted them (RFC 6724), the families in
        turns (RFC 8305 §4).
        """
        if len(addresses) < 2:
            return list(addresses)
        first = [address for address in addresses if (":" in address) == (":" in addresses[0])]
        other = [address for address in addresses if address not in first]
        turns = [address for address in chain.from_iterable(zip_longest(first, other)) if address is not None]
        good, bad = self._good.get(place), self._bad.get(place)
        return sorted(turns, key=lambda address: 0 if address == good else 2 if address == bad else 1)

    def connected(self, place: Place, address: str) -> None:
        """A connection to this one was made."""
        self._good.pop(place, None)
        self._good[place] = address
        if self._bad.get(place) == address:
            del self._bad[place]
        if len(self._good) > PLACES_KEPT:
            del self._good[next(iter(self._good))]

    def failed(self, place: Place, address: str) -> None:
        """No connection to this one could be made, or one broke before it answered: the next attempt begins elsewhere."""
        if self._good.get(place) == address:
            del self._good[place]
        self._bad.pop(place, None)
        self._bad[place] = address
        if len(self._bad) > PLACES_KEPT:
            del self._bad[next(iter(self._bad))]


async def first_connection(
    addresses: Sequence[str], connect: Callable[[str], Awaitable[C]], close: Callable[[C], None]
) -> C:
    """The first of ``addresses`` that ``connect`` reaches; ``close`` ends what others reached at the same moment. Raises the last
    ``OSError`` when none can be reached.
    """
    if len(addresses) == 1:
        return await connect(addresses[0])
    left = list(reversed(addresses))
    under_way: set[asyncio.Task[C]] = set()
    reached: list[C] = []
    last = OSError("no address")
    try:
        while not reached and (left or under_way):
            if left:
                under_way.add(asyncio.ensure_future(connect(left.pop())))
            done, under_way = await asyncio.wait(
                under_way, timeout=DELAY if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for attempt in done:
                try:
                    reached.append(attempt.result())
                except OSError as error:  # ssl.SSLError is one
                    last = error
    finally:
        # Without waiting for the cancelled attempts: a call cancelled meanwhile would leak the connection that was made.
        for attempt in under_way:
            attempt.add_done_callback(partial(_close_late, close))
            attempt.cancel()
        for late in reached[1:]:
            close(late)
    if not reached:
        raise last
    return reached[0]


def _close_late(close: Callable[[C], None], attempt: "asyncio.Task[C]") -> None:
    """End what an attempt reached that is no longer wanted."""
    if not attempt.cancelled() and attempt.exception() is None:
        close(attempt.result())
