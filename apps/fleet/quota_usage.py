"""How much of its quota a subscription has used, as the gateways last said. For the console and the REST API: never raises."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from apps.fleet import state
from apps.wire import redis_names
from apps.wire.redis_client import AWAY


class QuotaUse(NamedTuple):
    """``used`` calls of ``quota`` in the present calendar period (UTC). Loans that workers still hold count as used."""

    used: int
    quota: int

    @property
    def left(self) -> int:
        """Calls until the quota is spent."""
        return max(0, self.quota - self.used)


def period_now(period: str, now: datetime) -> str:
    """The present ``hour``, ``day`` or ``month`` as ``allowances.lua`` names it."""
    now = now.astimezone(UTC)
    if period == "month":
        return f"m{now.year}-{now.month}"
    length, letter = (3600, "h") if period == "hour" else (86400, "d")
    return f"{letter}{int(now.timestamp()) // length}"


def quotas_used(quotas: Mapping[int, tuple[int, str]], now: datetime) -> dict[int, QuotaUse]:
    """The use of each subscription's quota, ``quotas`` being ``{subscription: (calls, period)}``. Empty while Redis is away."""
    if not quotas:
        return {}
    try:
        with state.client().pipeline(transaction=False) as pipeline:
            for subscription in quotas:
                pipeline.hgetall(f"{redis_names.ALLOWANCES}{subscription}")
            hashes = pipeline.execute()
    except AWAY:
        return {}
    return {
        subscription: QuotaUse(_used(found, period_now(period, now)), quota)
        for (subscription, (quota, period)), found in zip(quotas.items(), hashes, strict=True)
    }


def _used(found: Mapping[bytes, bytes], period: str) -> int:
    used = int(found.get(b"used", 0)) if found.get(b"period") == period.encode() else 0
    loans = (value for name, value in found.items() if name.startswith(b"w:"))
    return used + sum(int(loan.split()[0]) for loan in loans)
