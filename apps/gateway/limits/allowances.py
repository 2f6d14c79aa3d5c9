"""Rate limits and quotas, exact over all workers, without a request to Redis on a call's way.

A subscription's token bucket and quota live in Redis. A worker *borrows* some calls (an allowance), spends them
locally, and says with the next borrowing how many it spent. What is out is not in the bucket: ``level + outstanding <=
burst`` always holds, so in every interval T at most ``burst + rate × T`` calls pass, however many workers there are.
One Lua script does it, with Redis's clock.

- A loan ends ``LOAN`` seconds after the asking *began* by the worker's clock, and so before Redis takes it for spent.
- Reports are totals with a sequence number, not differences: one that was lost, or comes late, does no harm.
- Loans are about ``AHEAD`` seconds' worth of calls. Unspent ones go back soon after the calls stop, or when half of their
  time has passed.
- The last calls of a quota may be lent to another worker, or be spent there and not reported yet. A call waits for that, at
  most as long as a loan lasts, and is refused for the quota only when all of it is spent.
- While Redis is away or frozen, no call waits for it: each worker takes its *local share*, rate and burst divided by
  the workers last known, and flags those calls. What it spent by itself is reported when Redis is back.
"""

import asyncio
import logging
from collections.abc import Callable
from math import ceil
from time import monotonic
from typing import Any

from redis.exceptions import RedisError

from apps.wire import redis_names
from apps.wire.bounded_wait import bounded
from apps.wire.lua_scripts import read_script
from apps.wire.redis_client import connect_async
from apps.wire.snapshot import Plan

log = logging.getLogger(__name__)

LOAN = 2.0
"""Seconds that a loan lasts."""

AHEAD = 0.1
"""Seconds' worth of calls to borrow at once."""

TIMEOUT = 0.1
"""Seconds to wait for Redis before going on without it."""

PROBE = 0.5
"""Seconds between attempts to reach a Redis that didn't answer."""

SWEEP = 0.25
"""Seconds after which an unused loan goes back."""

FORGET = 60.0
"""Seconds after which an unused allowance is forgotten."""

RECHECK = 1.0
"""Seconds for which a refusal is believed at most: a quota may be raised, another worker may give back."""

SECONDS = {"hour": 3600, "day": 86400, "month": 30 * 86400}

NEARLY = 100
"""Calls left of a quota, below which workers report at once what they spent of it."""

AGAIN = 0.05
"""Seconds after which what others hold of a quota is asked for again."""

RATE, QUOTA, STALE, ELSEWHERE = 1, 2, 3, 4
"""Why nothing was lent; ``ELSEWHERE``: what is left of the quota is lent to other workers."""


class Allowance:
    """A worker's share of one subscription's limits. ``tokens`` are calls that it may pass until ``until``
    (monotonic).
    """

    __slots__ = (
        "_left_at",
        "_level",
        "_lines",
        "_local",
        "_local_at",
        "_seen",
        "_seen_at",
        "_was_spent",
        "borrower",
        "borrowing",
        "burst",
        "last_spend",
        "local_quota",
        "low",
        "plan",
        "quota_ends",
        "quota_left",
        "refunded",
        "refused_until",
        "refused_why",
        "reported",
        "retry_at",
        "seq",
        "spent",
        "subscription",
        "tokens",
        "until",
        "waiting",
    )

    def __init__(self, subscription: int, plan: Plan, borrower: str, now: float) -> None:
        self.subscription = subscription
        self.plan = plan
        self.borrower = borrower
        self.burst = 0 if plan.rate is None else plan.burst or max(1, ceil(plan.rate))
        self.tokens = 0
        self.until = 0.0
        self.low = 0
        self.spent = 0
        self.refunded = 0
        self.reported = 0
        """Of ``spent``, what Redis knows."""
        self.seq = 0
        self.last_spend = now
        self.waiting = 0
        self.borrowing: asyncio.Task[None] | None = None
        self.refused_until = 0.0
        self.refused_why = 0
        self.retry_at = 0.0
        self.quota_left = -1
        self.quota_ends = now + SECONDS[plan.quota_period] if plan.quota is not None else now
        self.local_quota = -1
        self._level = float(self.burst)
        self._left_at = now
        self._local = -1.0
        self._local_at = now
        self._seen = 0.0
        self._seen_at = now
        self._was_spent = 0
        policies, limits = [], []
        if plan.rate is not None:
            policies.append(f'"rate";q={self.burst};w={max(1, ceil(self.burst / plan.rate))}')
            limits.append('"rate";r=%d;t=%d')
        if plan.quota is not None:
            policies.append(f'"quota";q={plan.quota};w={SECONDS[plan.quota_period]}')
            limits.append('"quota";r=%d;t=%d')
        lines = f"ratelimit-policy: {', '.join(policies)}\r\nratelimit: {', '.join(limits)}\r\n"
        self._lines = lines.encode()

    def take(self, now: float) -> bool:
        """Spend one call of the loan, if one is left."""
        if self.tokens > 0 and now < self.until:
            self.tokens -= 1
            self.spent += 1
            self.last_spend = now
            return True
        return False

    def take_local(self, now: float, workers: int) -> bool:
        """Spend one call of the local share: rate and burst by the number of workers, and what is known of the
        quota.
        """
        plan = self.plan
        if self.local_quota < 0 and self.quota_left >= 0:
            self.local_quota = -(-self.quota_left // workers)
        if plan.quota is not None and self.local_quota == 0 and now < self.quota_ends:
            self.refused_why, self.retry_at = QUOTA, self.quota_ends
            return False
        if plan.rate is not None:
            most = max(1.0, self.burst / workers)
            if self._local < 0:
                self._local = most
            else:
                self._local = min(most, self._local + (now - self._local_at) * plan.rate / workers)
            self._local_at = now
            if self._local < 1:
                self.refused_why, self.retry_at = RATE, now + (1 - self._local) * workers / plan.rate
                return False
            self._local -= 1
        if self.local_quota > 0:
            self.local_quota -= 1
        self.spent += 1
        self.last_spend = now
        return True

    def refund(self) -> None:
        """A call that was passed does not count against the quota after all."""
        self.refunded += 1

    def lines(self, now: float) -> bytes:
        """``RateLimit-Policy`` and ``RateLimit`` (draft-ietf-httpapi-ratelimit-headers) as field lines.

        What is left is what this worker knows: the bucket at the last borrowing, refilled since, and its own loan.
        """
        plan = self.plan
        held = self.tokens if now < self.until else 0
        numbers: tuple[int, ...] = ()
        if plan.rate is not None:
            left = min(self.burst, int(self._level + (now - self._left_at) * plan.rate) + held)
            numbers = (left, ceil((self.burst - left) / plan.rate))
        if plan.quota is not None:
            quota = plan.quota if self.quota_left < 0 else self.quota_left + held
            numbers += (quota, max(0, ceil(self.quota_ends - now)))
        return self._lines % numbers

    def wanted(self, now: float, workers: int) -> int:
        """How many calls to borrow: those that wait, and ``AHEAD`` seconds' worth of what was seen lately."""
        elapsed = now - self._seen_at
        if elapsed > 0.001:
            recent = (self.spent - self._was_spent) / elapsed
            weight = min(1.0, elapsed / AHEAD)
            self._seen += (recent - self._seen) * max(weight, 0.3)
            self._seen_at, self._was_spent = now, self.spent
        ahead = ceil(self._seen * AHEAD)
        if self.plan.rate is not None:
            ahead = min(ahead, self.burst // (2 * workers))
        return max(1, self.waiting, ahead)

    def lent(self, reply: list[int], began: float, now: float) -> None:
        """Take what Redis answered to an asking that ``began`` then."""
        lent, level, why, wait, left, ends = reply
        if why == STALE:
            return
        if now >= self.until:
            self.tokens = 0  # the former loan ended meanwhile
        self.tokens += lent
        self.until = began + LOAN
        self.low = self.tokens // 2 if self.tokens > 1 else -1  # slow callers borrow one by one
        self._level, self._left_at = level / 1000, now
        self._local = -1.0
        self.local_quota = -1
        if self.plan.quota is not None:
            self.quota_left, self.quota_ends = left, now + ends
        if why:
            self.refused_why = why
            self.retry_at = now + wait / 1000
            self.refused_until = now + min(wait / 1000, RECHECK) if why != ELSEWHERE else 0.0
        else:
            self.refused_until, self.refused_why = 0.0, 0

    def is_to_report(self, now: float) -> bool:
        """Whether Redis is to hear of this allowance though no call asks: what isn't spent goes back, when calls have stopped
        or the loan is half over; and what is spent of a quota that is nearly used up is waited for elsewhere.
        """
        unused = now - self.last_spend >= SWEEP
        if self.tokens:
            return unused or self.until - now < LOAN / 2
        return unused and self.spent != self.reported and 0 <= self.quota_left < NEARLY


class Allowances:
    """All allowances of a worker, and its line to Redis."""

    def __init__(self, redis_url: str, worker: str, workers: Callable[[], int]) -> None:
        """``worker`` is unique for ever; ``workers`` says how many gateway workers live."""
        self._worker = worker
        self._workers = workers
        self._client = connect_async(redis_url, timeout=TIMEOUT, max_connections=32)
        self._script: Any = self._client.register_script(read_script(__file__, "allowances"))
        self._table: dict[int, Allowance] = {}
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self.away = False
        """Redis didn't answer; local shares hold until it does."""

    @property
    def workers(self) -> int:
        """Gateway workers last known to live."""
        return max(1, self._workers())

    def start(self) -> None:
        """Start giving back what isn't used, and looking for a Redis that is away. In the event loop."""
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    async def stop(self) -> None:
        """Give everything back, within ``TIMEOUT``, and end."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=TIMEOUT)
        if not self.away:
            held = [allowance for allowance in self._table.values() if allowance.tokens]
            await asyncio.gather(*(self._ask(allowance, 0) for allowance in held))
        await self._client.aclose()

    def of(self, subscription: int, plan: Plan, now: float) -> Allowance:
        """The allowance of a subscription. A changed plan begins with nothing borrowed; what is out under the old
        one counts on.
        """
        allowance = self._table.get(subscription)
        if allowance is not None and allowance.plan is plan:
            return allowance
        if allowance is not None and allowance.plan == plan:
            allowance.plan = plan
            return allowance
        if allowance is None:
            self._count += 1
            allowance = Allowance(subscription, plan, f"{self._worker}.{self._count}", now)
        else:
            former, allowance = allowance, Allowance(subscription, plan, allowance.borrower, now)
            allowance.seq, allowance.spent, allowance.refunded = former.seq, former.spent, former.refunded
            allowance.reported = former.reported
        self._table[subscription] = allowance
        return allowance

    def refill_soon(self, allowance: Allowance) -> None:
        """Borrow more in the background, once at a time."""
        if allowance.borrowing is None and not self.away:
            self._start(allowance)

    async def borrow(self, allowance: Allowance) -> None:
        """Borrow; callers of the same allowance share one asking, which goes on if they leave. Waits for what others hold of a
        quota, for as long as a loan lasts.

        Never fails: afterwards there are tokens, a refusal, or ``away``.
        """
        ends = monotonic() + LOAN
        while True:
            task = allowance.borrowing
            if task is None or task.done():
                task = self._start(allowance)
            await asyncio.shield(task)
            if allowance.refused_why != ELSEWHERE or allowance.tokens or self.away:
                return
            if (now := monotonic()) >= ends:
                allowance.refused_until = allowance.retry_at = now + RECHECK
                return
            await asyncio.sleep(AGAIN)

    def _start(self, allowance: Allowance) -> "asyncio.Task[None]":
        asking = self._ask(allowance, allowance.wanted(monotonic(), self.workers), max(1, allowance.waiting))
        task = allowance.borrowing = asyncio.get_running_loop().create_task(asking)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._borrowed(allowance, task))
        return task

    def _borrowed(self, allowance: Allowance, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if allowance.borrowing is task:
            allowance.borrowing = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("limits: borrowing failed", exc_info=error)
            self.away = True

    async def _ask(self, allowance: Allowance, want: int, need: int = 0) -> None:
        """Report, and borrow ``want`` calls, of which ``need`` are for calls that wait."""
        began, spent = monotonic(), allowance.spent
        if began >= allowance.until:
            allowance.tokens = 0
        if not want:
            allowance.tokens = 0  # given back: not to be spent while the report is on its way
        allowance.seq += 1
        plan = allowance.plan
        arguments = (
            allowance.borrower,
            allowance.seq,
            spent,
            allowance.tokens,
            allowance.refunded,
            "%.6f" % (began - allowance.last_spend),
            want,
            LOAN,
            "" if plan.rate is None else repr(plan.rate),
            allowance.burst,
            "" if plan.quota is None else plan.quota,
            plan.quota_period,
            need,
            self.workers,
        )
        name = f"{redis_names.ALLOWANCES}{allowance.subscription}"
        try:
            reply = await bounded(self._script(keys=[name], args=arguments), TIMEOUT)
        except (RedisError, OSError, TimeoutError) as error:
            if not self.away:
                log.warning("limits: Redis doesn't answer (%s); local shares hold", type(error).__name__)
            self.away = True
            return
        allowance.reported = spent
        allowance.lent(reply, began, monotonic())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(PROBE if self.away else SWEEP)
            if self.away:
                await self._probe()
                continue
            now = monotonic()
            for subscription, allowance in list(self._table.items()):
                if allowance.borrowing is not None:
                    continue
                if allowance.is_to_report(now):
                    await self._ask(allowance, 0)
                elif now - allowance.last_spend > FORGET and self._table.get(subscription) is allowance:
                    del self._table[subscription]

    async def _probe(self) -> None:
        try:
            await bounded(self._client.ping(), TIMEOUT)
        except (RedisError, OSError, TimeoutError):
            return
        self.away = False
        log.warning("limits: Redis answers again")
