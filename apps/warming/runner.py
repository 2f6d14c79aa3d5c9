"""Working on warm-ups: a call when it is due, what became of it, and how far it is, for the worker that goes on after a crash.

A process claims warm-ups for some seconds at a time and lets go of them again. It says that it lives by ``beat_at``: of one that
was killed, another takes over when that is ``LEASE`` seconds ago. What counts as done is always a beginning of the list without
gaps, so that the next one goes on there and nothing is left out; a few calls may be made twice, and find their responses stored.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Min, Q
from django.utils import timezone

from apps.analytics.most_called import most_called
from apps.caching.warm_up import MOST
from apps.catalog.models import API
from apps.warming.choices import UNFINISHED, WarmUpState
from apps.warming.gateway_calls import AT_ONCE as CALLS
from apps.warming.gateway_calls import FAILED, FRESH, PASSED, STORED, CallOutcome
from apps.warming.models import WarmUp
from apps.warming.targets import Targets, WarmUpCall

LEASE = 15.0
"""Seconds without a word after which a warm-up is free for another process."""

SAVE_EVERY = 1.0
"""Seconds between two savings: how old a progress bar is, and how long a cancelled warm-up goes on."""

AT_ONCE = 8
"""Calls of one warm-up that may be under way."""

RUNS = 16
"""Warm-ups that a process works on at a time."""

LOOK_EVERY = 5.0
"""Seconds between two looks at what came meanwhile."""

LATE = 0.05
"""Seconds of lost time that are made up for; so a rate holds over any longer span."""

GIVE_UP_AFTER = 20
"""Calls in a row that don't reach the gateway."""

SOON = timedelta(seconds=1)
"""A warm-up whose next call is due within this is claimed already."""

LAST_DAY = timedelta(hours=24)
PROBLEMS_KEPT = 20

Submit = Callable[[str, WarmUpCall, Mapping[str, str]], "Future[CallOutcome]"]
_COUNTED = (STORED, FRESH, PASSED, FAILED)


class CallPace:
    """When the next call may be made, at ``rate`` calls a second. Times are of one clock, in seconds."""

    def __init__(self, rate: float, first: float) -> None:
        self._interval = 1.0 / rate
        self.next = first

    def take(self, now: float) -> bool:
        """Whether a call may be made now; if so, it is taken for made."""
        if now < self.next:
            return False
        self.next = max(self.next + self._interval, now - LATE)
        return True


class WarmUpRun:
    """One claimed warm-up of a tenant's API. ``lost`` when it is this process's no more: over, cancelled, or taken by another."""

    def __init__(self, row: WarmUp, tenant: int | None, worker: str, now: float, first: float) -> None:
        self.row = row
        self.tenant = tenant
        self.lost = False
        self._worker = worker
        self._calls = [WarmUpCall(*each) for each in row.targets]
        self._next = row.done
        self._under_way: dict[Future[CallOutcome], int] = {}
        self._outcomes: dict[int, CallOutcome] = {}
        self._unreached = 0
        self._saved_at = now
        self.pace = CallPace(row.rate, first)

    def go_on(self, submit: Submit, now: float) -> bool:
        """Make the next call if it is due; whether it was."""
        if due := self.waits_for_pace and self.pace.take(now):
            future = submit(self.row.api_slug, self._calls[self._next], self.row.headers)
            self._under_way[future] = self._next
            self._next += 1
        return due

    def collect(self) -> None:
        """Take note of what has come back."""
        for future in [future for future in self._under_way if future.done()]:
            index = self._under_way.pop(future)
            outcome = self._outcomes[index] = future.result()
            self._unreached = 0 if outcome.reached else self._unreached + 1
        row = self.row
        while (outcome_of_next := self._outcomes.pop(row.done, None)) is not None:
            call = self._calls[row.done]
            row.done += 1
            setattr(row, outcome_of_next.kind, getattr(row, outcome_of_next.kind) + 1)
            if outcome_of_next.why and len(row.problems) < PROBLEMS_KEPT:
                row.problems = [*row.problems, [call.url, outcome_of_next.why]]
            if self._unreached >= GIVE_UP_AFTER:
                row.note = outcome_of_next.why

    @property
    def under_way(self) -> Sequence["Future[CallOutcome]"]:
        """Calls that haven't come back."""
        return list(self._under_way)

    @property
    def is_done(self) -> bool:
        """Whether every call was made and came back, or there is no use in going on."""
        return self.row.done >= len(self._calls) or self._gives_up

    @property
    def waits_for_pace(self) -> bool:
        """Whether it is only time that keeps it from making the next call."""
        return self._next < len(self._calls) and len(self._under_way) < AT_ONCE and not self._gives_up

    @property
    def _gives_up(self) -> bool:
        return self._unreached >= GIVE_UP_AFTER

    def save(self, now: float, *, release: bool = False) -> None:
        """Write how far it is, or its end. ``release``: let go of it, for the next worker."""
        row, at = self.row, timezone.now()
        self._saved_at = now
        row.beat_at = at
        if self.is_done and not self._under_way:
            row.state = WarmUpState.FAILED if self._gives_up or row.failed == row.done > 0 else WarmUpState.DONE
            row.ended_at, row.targets, row.worker = at, [], ""
        elif release:
            row.worker, row.beat_at = "", None
            row.due_at = at + timedelta(seconds=self.pace.next - now) if self.pace.next > now else None
        held = WarmUp.objects.filter(pk=row.pk, worker=self._worker, state=WarmUpState.RUNNING)
        changed = {name: getattr(row, name) for name in (_SAVED_AT_THE_END if row.is_over else _SAVED)}
        if not held.update(**changed) or row.is_over or release:
            self.lost = True

    def saves_at(self) -> float:
        """When to save next."""
        return self._saved_at + SAVE_EVERY


_SAVED = ("done", *_COUNTED, "problems", "note", "worker", "beat_at", "due_at")
_SAVED_AT_THE_END = (*_SAVED, "state", "ended_at", "targets")


def claim(
    worker: str, *, beside: Sequence[WarmUpRun] = (), only: WarmUp | None = None, clock: float | None = None
) -> list[WarmUpRun]:
    """Claim what there is to do: of each API the oldest unfinished warm-up, if no worker runs it and its next call is due.

    Each tenant in turn, as long as it has room ``beside`` what the process works on already. What a warm-up means is looked up
    when it is first claimed. ``clock`` is the monotonic time.
    """
    now = timezone.now()
    mono = time.monotonic() if clock is None else clock
    unfinished = WarmUp.objects.filter(state__in=UNFINISHED)
    oldest = unfinished.order_by().values("api_slug").annotate(first=Min("id")).values_list("first", flat=True)
    free = Q(worker="") | Q(beat_at__lt=now - timedelta(seconds=LEASE))
    due = Q(due_at=None) | Q(due_at__lte=now + SOON)
    rows = unfinished.filter(free, due, pk__in=list(oldest)).order_by("pk")
    if only is not None:
        rows = rows.filter(pk=only.pk)
    waiting = dict(rows.values_list("pk", "api_slug"))
    tenant_of = dict(API.objects.filter(slug__in=set(waiting.values())).values_list("slug", "tenant"))
    chosen = _in_turn({pk: tenant_of.get(slug) for pk, slug in waiting.items()}, beside)
    claimed = []
    for row in WarmUp.objects.filter(pk__in=chosen).order_by("pk"):
        first = mono + max(0.0, (row.due_at - now).total_seconds() if row.due_at else 0.0)
        taken = WarmUp.objects.filter(free, pk=row.pk, state__in=UNFINISHED).update(
            worker=worker, beat_at=now, state=WarmUpState.RUNNING, started_at=row.started_at or now, due_at=None
        )
        if not taken:
            continue  # another was faster
        row.refresh_from_db()
        if row.total is None and not _looked_up(row, now):
            continue
        claimed.append(WarmUpRun(row, tenant_of.get(row.api_slug), worker, mono, first))
    return claimed


def _in_turn(waiting: Mapping[int, int | None], beside: Sequence[WarmUpRun]) -> list[int]:
    """Of ``waiting`` (tenants by number of warm-up) those for which there is room."""
    busy = Counter(run.tenant for run in beside)
    theirs: dict[int | None, deque[int]] = {}
    for pk, tenant in waiting.items():
        theirs.setdefault(tenant, deque()).append(pk)
    chosen, turn = [], deque(theirs)
    while turn:
        tenant = turn.popleft()
        if theirs[tenant] and _has_room(busy, tenant, RUNS):
            chosen.append(theirs[tenant].popleft())
            busy[tenant] += 1
            turn.append(tenant)
    return chosen


def _has_room(busy: "Counter[int | None]", tenant: int | None, places: int) -> bool:
    """Whether ``tenant`` may take one more place: it has fewer than are free, so that some are left for tenants that have none.

    Dynamic thresholds, as switches share their memory: Choudhury and Hahne, 1998.
    """
    return busy[tenant] < places - busy.total()


def _looked_up(row: WarmUp, now: datetime) -> bool:
    """Write down which calls a warm-up means; False when it can't be: then it has failed."""
    api = API.objects.select_related("tenant", "cache_policy").filter(slug=row.api_slug).first()
    try:
        if api is None:
            raise ValueError("The API is gone.")
        calls = _calls_of(api, row, now)
    except ValueError as refusal:
        row.state, row.note, row.ended_at, row.worker = WarmUpState.FAILED, str(refusal)[:300], now, ""
        row.save(update_fields=["state", "note", "ended_at", "worker"])
        return False
    row.targets, row.total = [list(call) for call in calls], len(calls)
    if not calls:
        row.note = "It wasn't called in the last day."
    row.save(update_fields=["targets", "total", "note"])
    return True


def _calls_of(api: API, row: WarmUp, now: datetime) -> list[WarmUpCall]:
    targets = Targets(api)
    calls = dict.fromkeys(targets.calls(row.urls))
    if row.top:
        scheme = targets.scheme
        for called in most_called(api=api.slug, top=row.top, since=now - LAST_DAY):
            try:
                calls.update(dict.fromkeys(targets.of(f"{scheme}://{called.host}{called.path}")))
            except ValueError:
                continue  # it was this API's path then, and isn't any more
    return list(calls)[:MOST]


def work(
    runs: Iterable[WarmUpRun],
    submit: Submit,
    *,
    until: float,
    clock: Callable[[], float] = time.monotonic,
    rest: Callable[[float, Sequence["Future[Any]"]], None] | None = None,
    saved: Callable[[WarmUp], object] | None = None,
    more: Callable[[Sequence[WarmUpRun]], Iterable[WarmUpRun]] = lambda beside: (),
) -> None:
    """Work on claimed warm-ups until the clock says ``until`` or they are over, then wait for what is under way and let go.

    ``rest(seconds, futures)`` waits until one of the futures is done, those seconds at most. ``saved`` is called after each saving.
    ``more`` claims what came meanwhile, beside those that it is given.
    """
    rest = rest or _rest
    active = list(runs)
    look_at = clock() + LOOK_EVERY
    while active:
        now = clock()
        stopping = now >= until
        if not stopping and now >= look_at:
            look_at = now + LOOK_EVERY
            active += more(active)
        for run in active:
            run.collect()
        held_back = set() if stopping else _make_calls(active, submit, now)
        for run in active:
            over = run.is_done and not run.under_way
            released = stopping and not run.under_way
            if over or released or now >= run.saves_at():
                run.save(now, release=released and not over)
                if saved is not None:
                    saved(run.row)
        active = [run for run in active if not run.lost]
        if active:
            ready = [run for run in active if run.tenant not in held_back]
            rest(_idle(active, ready, clock(), until), [future for run in active for future in run.under_way])


def _make_calls(active: Iterable[WarmUpRun], submit: Submit, now: float) -> "set[int | None]":
    """Make the calls that are due, one of each warm-up in turn; the tenants that have no room for more."""
    busy: Counter[int | None] = Counter()
    for run in active:
        busy[run.tenant] += len(run.under_way)
    held_back, turn = set(), deque(active)
    while turn:
        run = turn.popleft()
        if not _has_room(busy, run.tenant, CALLS):
            held_back.add(run.tenant)
        elif run.go_on(submit, now):
            busy[run.tenant] += 1
            turn.append(run)
    return held_back


def _idle(active: Iterable[WarmUpRun], ready: Iterable[WarmUpRun], now: float, until: float) -> float:
    """Seconds until there is something to do besides collecting: to save, or a call of those that are ``ready``."""
    moments = [run.saves_at() for run in active]
    if now < until:
        moments += [until, *(run.pace.next for run in ready if run.waits_for_pace)]
    return max(0.0, min(moments) - now)


def _rest(seconds: float, futures: Sequence["Future[Any]"]) -> None:
    if futures:
        wait(futures, timeout=seconds, return_when=FIRST_COMPLETED)
    else:
        time.sleep(seconds)
