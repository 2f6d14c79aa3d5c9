"""One transaction of ingestion: rows of the call log, figures, and the account of what came, together or not at all."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.db import DatabaseError, InterfaceError, OperationalError, transaction

from apps.analytics import bulk_insert
from apps.analytics.choices import DIMENSIONS, Level, LossCause, Period
from apps.analytics.contract_reports import count_faults
from apps.analytics.figures import Figures, decode, encode
from apps.analytics.intervals import Intervals
from apps.analytics.models import CallRecord, Incarnation, Ingestion, Interval, Loss, RollUp, SetAside, roll_up_id
from apps.analytics.stream import Batch
from apps.analytics.time_windows import down
from apps.gateway.records.spool import Frame, frames, is_incarnation, worker_of
from apps.wire import call_records

#: Statements name at most this many keys at once: SQLite's bound on variables is far away.
_CHUNK = 500
_COLUMNS = tuple(each.name for each in CallRecord._meta.concrete_fields if each.name != "id")
_TEXTS = [(each.name, each.max_length) for each in CallRecord._meta.concrete_fields if each.max_length]
_NUMBERS = (
    *("revision", "key_id", "status", "duration", "upstream_duration", "upstream_status"),
    *("request_bytes", "response_bytes", "attempts"),
)
_AT, _FLAGS, _TRACE = (_COLUMNS.index(name) for name in ("at", "flags", "trace"))
_NAMES = ("api", "tenant", "application", "operation")
_ROLL_UP_COLUMNS = ("id", "period", "bucket", "level", *_NAMES, "synthetic", "calls", "packed")
#: Flags of rows that no figure counts.
_IN_NO_FIGURE = frozenset((call_records.WARM_UP, call_records.SAMPLED))
_TALLIED = 1000  # counts in a tally: several times as many as there are problems
_KEPT_ASIDE = 20  # of a transaction: enough to see what is wrong
_LONGEST = 255  # of a flag, and of a decision in a trace
_NUMBERS_END = 2**53  # of frames, sizes and the like: what a double holds, and a database's bigint
_Decoded = list[tuple[Frame, call_records.SpooledRecord | Exception]]


@dataclass
class IngestedBatch:
    """What a transaction did: what is settled of each incarnation it touched, new rows, and when each key was last used."""

    settled: dict[str, Intervals]
    calls: int = 0
    set_aside: int = 0
    keys: dict[int, datetime] = field(default_factory=dict)


@dataclass
class _Item:
    """A call on its way to a row, and the frame that it came in."""

    call: call_records.SpooledCallRecord
    incarnation: str
    frame: Frame


@transaction.atomic
def ingest_batch(batches: Sequence[Batch], *, unreadable: Exception | None = None) -> IngestedBatch:
    """Settle the frames of ``batches``: those that the database has already are passed over, whatever order they come in.

    At most 1,000 frames should come at once. With ``unreadable`` every frame is set aside for that reason. Raises ``DatabaseError``
    when the database is away, and whatever an unforeseen record can bring about; then nothing happened.
    """
    _lock()
    came = [(batch, _decoded(batch, unreadable)) for batch in batches]
    account = SettledNumbers.of(_nodes(came))
    items: list[_Item] = []
    tallies: list[call_records.TallyRecord] = []
    faults: list[call_records.ResponseFaultRecord] = []
    for batch, decoded in came:
        for frame, record in decoded:
            if frame.number in account.settled[batch.incarnation]:
                continue
            if isinstance(record, Exception):
                account.set_aside(batch.incarnation, frame, record)
                continue
            account.settle(batch.incarnation, frame.number, record.at)
            if isinstance(record, call_records.LossRecord):
                account.lose(record)
            elif isinstance(record, call_records.TallyRecord):
                if account.settle_first(record):
                    tallies.append(record)
            elif isinstance(record, call_records.ResponseFaultRecord):
                faults.append(record)
            elif record.kind != call_records.BEGUN:
                items.append(_Item(record, batch.incarnation, frame))
    calls = _insert(_without_known_endings(items), account)
    count_faults(calls, faults)
    add_figures((call for call in calls if not _IN_NO_FIGURE.intersection(call.flags)), tallies)
    account.save()
    keys: dict[int, float] = {}
    for call in calls:
        if call.key_id:
            keys[call.key_id] = max(call.at, keys.get(call.key_id, 0.0))
    return IngestedBatch(account.settled, len(calls), account.refused, {key: moment(at) for key, at in keys.items()})


class SettledNumbers:
    """Which numbers of which incarnations are settled, while a transaction adds to it."""

    def __init__(self, nodes: dict[str, str]) -> None:
        self.settled: dict[str, Intervals] = {life: Intervals() for life in nodes}
        self.refused = 0
        self._nodes = nodes
        self._before: dict[str, list[Interval]] = {life: [] for life in nodes}
        self._starts: dict[str, dict[int, datetime]] = {life: {} for life in nodes}
        self._losses: list[Loss] = []
        self._aside: list[SetAside] = []

    @classmethod
    def of(cls, nodes: dict[str, str]) -> "SettledNumbers":
        """The account of these incarnations as the database has it; ``nodes`` says where each lives. One query."""
        account = cls(nodes)
        for interval in Interval.objects.filter(incarnation__in=nodes).order_by("first"):
            life = interval.incarnation_id
            account.settled[life].add(interval.first, interval.last)
            account._before[life].append(interval)
            account._starts[life][interval.first] = interval.first_at
        return account

    def settle(self, life: str, number: int, at: float) -> None:
        """This number has come."""
        self._settle(life, number, number, moment(at))

    def settle_first(self, tally: call_records.TallyRecord) -> bool:
        """Whether this tally has not come yet, if it was carried over from another place: then its first number has, too."""
        if not tally.incarnation:
            return True
        if tally.number in self.settled[tally.incarnation]:
            return False
        self.settle(tally.incarnation, tally.number, tally.at)
        return True

    def lose(self, loss: call_records.LossRecord) -> None:
        """These numbers won't come. Those that have come all the same don't count."""
        at = moment(loss.at)
        for first, last in self.settled[loss.incarnation].missing(loss.first, loss.last):
            self._settle(loss.incarnation, first, last, at)
            self._lose(loss.incarnation, first, last, loss.cause, at)

    def set_aside(self, life: str, frame: Frame, error: Exception) -> None:
        """This number has come, but can't become a row."""
        now = datetime.now(UTC)
        self.refused += 1
        self._settle(life, frame.number, frame.number, now)
        self._lose(life, frame.number, frame.number, LossCause.UNREADABLE, now)
        if len(self._aside) < _KEPT_ASIDE:
            text = f"{type(error).__name__}: {error}".replace("\0", "")
            self._aside.append(SetAside(incarnation=life, number=frame.number, error=text[:500], record=frame.record))

    def save(self) -> None:
        """Write it. A handful of queries, whatever the number of records."""
        now = datetime.now(UTC)
        Incarnation.objects.bulk_create(
            [
                Incarnation(id=life, node=node[:255], worker=worker_of(life), last_at=now)
                for life, node in self._nodes.items()
            ],
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["last_at"],
        )
        gone, kept = [], []
        for life, settled in self.settled.items():
            before = {interval.first: interval for interval in self._before[life]}
            previous = 0
            for first, last in settled:
                missing = first - previous - 1
                old = before.pop(first, None)
                if old is None or (old.last, old.missing_before) != (last, missing):
                    at = self._starts[life][first]
                    kept.append(
                        Interval(incarnation_id=life, first=first, last=last, first_at=at, missing_before=missing)
                    )
                previous = last
            gone += [interval.pk for interval in before.values()]
        for chunk in _chunks(gone):
            Interval.objects.filter(pk__in=chunk).delete()
        Interval.objects.bulk_create(
            kept,
            update_conflicts=True,
            unique_fields=["incarnation", "first"],
            update_fields=["last", "first_at", "missing_before"],
        )
        Loss.objects.bulk_create(self._losses)
        SetAside.objects.bulk_create(self._aside)

    def _settle(self, life: str, first: int, last: int, at: datetime) -> None:
        self.settled[life].add(first, last)
        self._starts[life][first] = at

    def _lose(self, life: str, first: int, last: int, cause: str, at: datetime) -> None:
        # A gateway of another version may name one that this version doesn't know.
        cause = cause if cause in LossCause.values else LossCause.NEVER_CAME.value
        previous = self._losses[-1] if self._losses else None
        if previous and (previous.incarnation, previous.last + 1, previous.cause) == (life, first, cause):
            previous.last = last
            previous.count += last - first + 1
        else:
            loss = Loss(incarnation=life, first=first, last=last, count=last - first + 1, cause=cause, at=at)
            self._losses.append(loss)


def moment(at: float) -> datetime:
    """A moment from Unix seconds. Raises ``ValueError`` for one that no calendar has."""
    try:
        return datetime.fromtimestamp(at, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"{at} is no time") from error


def _lock() -> None:
    """Another process that ingests waits here until this transaction has ended."""
    if not Ingestion.objects.filter(pk=1).update(at=datetime.now(UTC)):
        Ingestion.objects.get_or_create(pk=1)
        Ingestion.objects.filter(pk=1).update(at=datetime.now(UTC))


def _decoded(batch: Batch, unreadable: Exception | None) -> _Decoded:
    """The frames of a batch with what is in them, or why that can't be read."""
    decoded: _Decoded = []
    for frame in frames(batch.frames):
        if not 0 < frame.number < _NUMBERS_END:
            continue
        try:
            if unreadable:
                raise unreadable
            record = call_records.decode(frame.record)
            _check(record)
            decoded.append((frame, record))
        except (msgspec.MsgspecError, ValueError) as error:
            decoded.append((frame, error))
    return decoded


def _nodes(came: Iterable[tuple[Batch, _Decoded]]) -> dict[str, str]:
    """Where each incarnation lives that a batch names: the agent of a node reports the losses of others there."""
    nodes = {}
    for batch, decoded in came:
        nodes[batch.incarnation] = batch.node
        for _, record in decoded:
            if isinstance(record, call_records.LossRecord | call_records.TallyRecord) and record.incarnation:
                nodes.setdefault(record.incarnation, batch.node)
    return nodes


def _check(record: call_records.SpooledRecord) -> None:
    """Raises ``ValueError`` for what has the right types and still makes no sense; cleans what a caller chose."""
    moment(record.at)
    if isinstance(record, call_records.LossRecord):
        if not is_incarnation(record.incarnation) or not 0 < record.first <= record.last < _NUMBERS_END:
            raise ValueError(f"{record} is no loss")
        return
    if isinstance(record, call_records.TallyRecord):
        _check_tally(record)
        return
    if isinstance(record, call_records.ResponseFaultRecord):
        record.call_id, record.api = _text(record.call_id, 32), _text(record.api, 64)
        record.operation = _text(record.operation, 311)
        return
    if record.kind not in (call_records.CALL, call_records.BEGUN, call_records.ENDED):
        raise ValueError(f"{record.kind!r} is no kind of record")
    _clean(record)
    for name in _NUMBERS:
        if not 0 <= getattr(record, name) < _NUMBERS_END:  # not true of NaN either
            raise ValueError(f"{name} is {getattr(record, name)}")


def _check_tally(tally: call_records.TallyRecord) -> None:
    came_from_elsewhere = is_incarnation(tally.incarnation) and 0 < tally.number < _NUMBERS_END
    if len(tally.counts) > _TALLIED or (tally.incarnation and not came_from_elsewhere):
        raise ValueError("This is no tally")
    for status, code, *numbers in tally.counts:
        if len(code) > _LONGEST or "\0" in code or not all(0 <= number < _NUMBERS_END for number in (status, *numbers)):
            raise ValueError("This is no tally")


def _row(call: call_records.SpooledCallRecord) -> list[Any]:
    """The values of a row, in the order of its columns."""
    values = [getattr(call, name) for name in _COLUMNS]
    values[_AT] = moment(call.at)
    values[_FLAGS] = [_text(flag, _LONGEST) for flag in call.flags]
    values[_TRACE] = [[_text(stage, _LONGEST), _text(decision, _LONGEST), ms] for stage, decision, ms in call.trace]
    return values


def _clean(call: call_records.SpooledCallRecord) -> None:
    """Cut texts to what their columns hold, and replace the NUL that PostgreSQL refuses: a caller chose some of them."""
    for name, longest in _TEXTS:
        value = getattr(call, name)
        if len(value) > longest or "\0" in value:
            setattr(call, name, _text(value, longest))


def _text(value: str, longest: int) -> str:
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}")[:longest]


def insert_calls(calls: Iterable[call_records.SpooledCallRecord]) -> None:
    """Rows of the call log, and nothing else: raises what the database says of any of them."""
    bulk_insert.insert(CallRecord, _COLUMNS, [_row(call) for call in calls])


def _without_known_endings(items: list[_Item]) -> list[_Item]:
    """A call ends once: recovery may have ended one whose real end was shipped before its segment was deleted."""
    endings = [item.call.call_id for item in items if item.call.kind == call_records.ENDED]
    known: set[str] = set()
    for chunk in _chunks(endings):
        known |= set(CallRecord.objects.filter(call_id__in=chunk).values_list("call_id", flat=True))
    kept = []
    for item in items:
        if item.call.kind == call_records.ENDED:
            if item.call.call_id in known:
                continue
            known.add(item.call.call_id)
        kept.append(item)
    return kept


def _insert(items: list[_Item], account: SettledNumbers) -> list[call_records.SpooledCallRecord]:
    """Insert the calls' rows, and return those that are in. One that the database refuses is found by halving and set aside."""
    if not items:
        return []
    try:
        with transaction.atomic():
            insert_calls(item.call for item in items)
            return [item.call for item in items]
    except (OperationalError, InterfaceError):  # the database's trouble, not a row's
        raise
    except (DatabaseError, ValueError, OverflowError) as error:
        if len(items) == 1:
            account.set_aside(items[0].incarnation, items[0].frame, error)
            return []
        half = len(items) // 2
        return _insert(items[:half], account) + _insert(items[half:], account)


Names = tuple[str, str, str, str]
"""API, tenant, application and operation of a call; unknown ones are empty."""


def add_figures(
    calls: Iterable[call_records.SpooledCallRecord], tallies: Iterable[call_records.TallyRecord] = ()
) -> None:
    """Add the calls to the figures of their minutes, hours and days, at every level. Two queries per 500 rows of figures."""
    by_minute: dict[tuple[int, Names], Figures] = defaultdict(Figures)
    for call in calls:
        by_minute[down(call.at, Period.MINUTE), (call.api, call.tenant, call.application, call.operation)].count(call)
    for tally in tallies:
        for counts in tally.counts:
            by_minute[down(tally.at, Period.MINUTE), ("", "", "", "")].tally(*counts)
    store_figures(by_minute)


def store_figures(
    counted: Mapping[tuple[int, Names], Figures], *, periods: Iterable[Period] = Period, synthetic: bool = False
) -> None:
    """Add figures of single buckets of the shortest of ``periods``, by their start, to the rows of all of them at every level."""
    by_level: dict[tuple[int, Level, tuple[str, ...]], Figures] = defaultdict(Figures)
    for (start, names), figures in counted.items():
        for level, dimensions in DIMENSIONS.items():
            kept = tuple(name if of in dimensions else "" for of, name in zip(_NAMES, names, strict=True))
            by_level[start, level, kept].add(figures)
    changes: dict[uuid.UUID, tuple[list[Any], list[Figures]]] = {}
    for (start, level, kept), figures in by_level.items():
        for period in periods:
            bucket = down(start, period)
            key = roll_up_id(period, bucket, level, kept, synthetic=synthetic)
            if key not in changes:
                changes[key] = [key, period, moment(bucket), level, *kept, synthetic], []
            changes[key][1].append(figures)
    for chunk in _chunks(list(changes)):
        totals = {
            key: decode(packed) for key, packed in RollUp.objects.filter(pk__in=chunk).values_list("pk", "packed")
        }
        rows = []
        for key in chunk:
            row, added = changes[key]
            total = totals.get(key) or Figures()
            for figures in added:
                total.add(figures)
            rows.append([*row, total.calls, encode(total)])
        bulk_insert.insert(RollUp, _ROLL_UP_COLUMNS, rows, conflict="id", update=("calls", "packed"))


def _chunks(keys: list[Any]) -> Iterable[list[Any]]:
    return (keys[start : start + _CHUNK] for start in range(0, len(keys), _CHUNK))
