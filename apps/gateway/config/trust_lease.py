"""The trust lease: how long a worker may answer for credentials without hearing from the control plane.

It runs from the last moment at which Redis confirmed that the worker knows all there is to know, against the
monotonic clock: setting the wall clock back extends no lease. The clock of another boot can't be compared
with this one's, so nothing is inherited across a boot.
"""

import math
from pathlib import Path

CLOSED_AFTER = 3.0
"""Seconds without a heartbeat's reply after which a lease of 0 ends: a few missed heartbeats tell an absent Redis from a busy
one."""

NEVER = -math.inf


def boot_id() -> str:
    """Which boot of this machine it is; empty where the system doesn't say, and then nothing can be inherited."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class TrustLease:
    """``seconds`` from ``contact``, the monotonic time at which the last confirmed exchange with Redis *began*."""

    __slots__ = ("contact", "ends", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = max(seconds, CLOSED_AFTER)
        self.contact = NEVER
        self.ends = NEVER

    def renew(self, contact: float) -> None:
        """Redis confirmed at ``contact`` that this worker is up to date. Never shortens: an older response may arrive
        late."""
        if contact > self.contact:
            self.contact = contact
            self.ends = contact + self.seconds

    def valid(self, now: float, limit: float | None = None) -> bool:
        """Whether a call with credentials may be answered at ``now`` (monotonic). ``limit`` is the plan's own
        shorter lease in seconds."""
        if limit is None or limit >= self.seconds:
            return now < self.ends
        return now < self.contact + max(limit, CLOSED_AFTER)

    def left(self, now: float, limit: float | None = None) -> float:
        """Seconds for which ``valid`` will still be true; 0 when it isn't."""
        if limit is None or limit >= self.seconds:
            return max(0.0, self.ends - now)
        return max(0.0, self.contact + max(limit, CLOSED_AFTER) - now)

    def inherit(self, contact: float, boot: str, now: float) -> bool:
        """Take over what is left of a lease that another process had in this same boot; says whether anything was.

        ``contact`` and ``boot`` come from the disk copy, and so the lease never outlives what that copy knows.
        """
        if not boot or boot != boot_id() or contact > now:
            return False
        self.renew(contact)
        return now < self.ends

    def __repr__(self) -> str:
        return f"TrustLease(contact={self.contact:.3f}, seconds={self.seconds:g})"
