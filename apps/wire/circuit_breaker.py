"""A circuit breaker: after a few failures no call waits for what is away, but for one now and then that looks
whether it is back.
"""


class Breaker:
    """Times are seconds on the monotonic clock, passed in.

    Closed, everything goes through. ``threshold`` failures in a row open it: nothing goes through until ``pause`` has
    passed, then one probe does (half-open). A success closes it; a failed probe opens it for twice as long,
    ``longest`` at most. Calls that fail together fail once: one that began before the last failure that counted tells
    nothing new.
    """

    __slots__ = (
        "_counted_at",
        "_failures",
        "_longest",
        "_open_until",
        "_pause",
        "_probing_until",
        "_shortest",
        "_threshold",
        "opened",
    )

    PROBE = 2.0
    """Seconds after which a probe whose outcome wasn't reported is taken for lost."""

    def __init__(self, threshold: int = 3, pause: float = 0.5, longest: float = 5.0) -> None:
        self._threshold = threshold
        self._shortest = self._pause = pause
        self._longest = longest
        self._failures = 0
        self._counted_at = 0.0
        self._open_until: float | None = None
        self._probing_until = 0.0
        self.opened = 0

    @property
    def is_open(self) -> bool:
        """Whether calls are being held back."""
        return self._open_until is not None

    @property
    def is_calm(self) -> bool:
        """Whether the last call went well, or none was made yet."""
        return self._failures == 0

    def allows(self, now: float) -> bool:
        """Whether a call may go through; the one that is let through half-open is the probe, and must report."""
        if self._open_until is None:
            return True
        if now < self._open_until or now < self._probing_until:
            return False
        self._probing_until = now + self.PROBE
        return True

    def succeeded(self) -> None:
        """A call went well."""
        self._failures = 0
        self._open_until = None
        self._probing_until = 0.0
        self._pause = self._shortest

    def failed(self, now: float, began: float | None = None) -> None:
        """A call that ``began`` then failed or took too long."""
        if self._open_until is None and self._failures and began is not None and began < self._counted_at:
            return
        self._counted_at = now
        self._failures += 1
        if self._open_until is not None:
            if now >= self._open_until:
                self._pause = min(self._pause * 2, self._longest)
                self._open_until = now + self._pause
                self._probing_until = 0.0
        elif self._failures >= self._threshold:
            self._open_until = now + self._pause
            self.opened += 1
