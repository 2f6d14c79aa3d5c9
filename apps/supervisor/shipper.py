"""Ships the spool of a node to the stream of call records, and deletes what the database has settled.

What was pushed stays in the spool until the database says that it has it. A batch that is neither settled nor in the stream any
more was lost by Redis and is pushed again; that some are pushed twice does no harm (see ``apps.analytics.batch_ingestion``).
"""

import json
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import redis

from apps.analytics import stream
from apps.analytics.intervals import Intervals
from apps.gateway.records import unknown_calls
from apps.gateway.records.spool import AGENT, Frame, SpoolWriter, frame, segment_path
from apps.gateway.records.spool_reader import Segment, SpooledIncarnation, SpoolFolder
from apps.wire import call_records, redis_names
from apps.wire.redis_client import AWAY

_RESENT_AT_ONCE = 100
_log = logging.getLogger(__name__)


@dataclass
class _Pushed:
    """A batch in the stream: where it lies in the spool, which numbers it has, when it was pushed (monotonic)."""

    entry: bytes
    life: SpooledIncarnation
    segment: Segment
    start: int
    end: int
    numbers: Intervals
    oldest: float  # Unix time of its first record
    when: float


@dataclass
class _Progress:
    """What is known of one incarnation besides its files."""

    settled: Intervals = field(default_factory=Intervals)
    last: int = 0  # greatest number read
    begun: dict[str, tuple[int, call_records.SpooledCallRecord]] = field(
        default_factory=dict
    )  # call id -> segment, record
    asked: bool = False


class Shipper:
    """One per node. ``work`` does everything once and never raises for a Redis that is away."""

    def __init__(self, folder: Path, client: redis.Redis, node: str, budget: int) -> None:
        """``budget`` bounds the folder, in bytes: over it the oldest segments are deleted, and counted as lost."""
        self.look_seconds = 0.5  # how often it is asked what the database has settled
        self.tell_seconds = 1.0
        self.patience = 1.0  # how long a pushed batch may be unsettled before it is looked for in the stream
        self.folder = SpoolFolder(folder)
        self.lost = 0
        self.away_since: float | None = None  # Unix time
        self._path = folder
        self._client = client
        self._node = node
        self._budget = budget
        self._progress: dict[str, _Progress] = {}
        self._pushed: deque[_Pushed] = deque()
        self._own: SpoolWriter | None = None
        self._looked = self._told = float("-inf")

    def work(self) -> bool:
        """Ship what is new, delete what is settled, end what has died. Whether Redis did its part."""
        self.folder.scan()
        try:
            self._look()
            self._ship()
            self._tell()
            self.away_since = None
        except AWAY as error:
            if self.away_since is None:
                _log.warning("Call records stay in the spool: Redis is away (%s)", error)
                self.away_since = time.time()
        self._recover()
        self._delete()
        self._keep_to_budget()
        return self.away_since is None

    def close(self) -> None:
        """Let go of every file."""
        if self._own:
            self._own.close()
        self.folder.close()

    def _of(self, life: SpooledIncarnation) -> _Progress:
        return self._progress.setdefault(life.incarnation, _Progress())

    def _look(self) -> None:
        """Ask what is settled, and whether what isn't is still in the stream."""
        now = time.monotonic()
        lives = list(self.folder.lives.values())
        if now - self._looked < self.look_seconds and all(self._of(life).asked for life in lives):
            return
        for _ in range(_RESENT_AT_ONCE):
            oldest = self._pushed[0] if self._pushed and now - self._pushed[0].when > self.patience else None
            gone, settled = stream.look(
                self._client, [oldest.entry] if oldest else [], [life.incarnation for life in lives]
            )
            for life in lives:
                progress = self._of(life)
                progress.asked = True
                if life.incarnation in settled:
                    progress.settled.update(settled[life.incarnation])
            self._pushed = deque(each for each in self._pushed if not self._is_settled(each))
            if not oldest or oldest.entry not in gone or not self._pushed or self._pushed[0] is not oldest:
                break
            self._send_again(self._pushed.popleft())
        self._looked = now

    def _is_settled(self, pushed: _Pushed) -> bool:
        settled = self._of(pushed.life).settled
        return all(settled.covers(first, last) for first, last in pushed.numbers)

    def _send_again(self, pushed: _Pushed) -> None:
        found = pushed.segment.between(pushed.start, pushed.end)
        if found:
            try:
                self._push(pushed.life, pushed.segment, pushed.start, found)
            except AWAY:
                self._pushed.appendleft(pushed)
                raise
        else:
            self._declare_lost(pushed.life, pushed.numbers, pushed.oldest)

    def _ship(self) -> None:
        """Push what was written, each worker's in order and a batch of each in turn, as far as the stream has room."""
        room = stream.BOUND - self._client.xlen(redis_names.CALLS)
        unread = [(life, segment) for life in self.folder.lives.values() for segment in life.segments]
        while unread and room > 0:
            again, seen = [], set()
            for life, segment in unread:
                if room <= 0 or life.incarnation in seen:
                    again.append((life, segment))
                    continue
                found = segment.read(stream.BATCH_BYTES)[: stream.BATCH_FRAMES]
                if not found:
                    continue
                seen.add(life.incarnation)
                room -= self._push(life, segment, segment.offset, found)
                self._note(life, segment, found)
                segment.offset = found[-1].end
                again.append((life, segment))
            unread = again

    def _push(self, life: SpooledIncarnation, segment: Segment, start: int, found: list[Frame]) -> bool:
        """Push those frames that aren't settled yet. Whether there were any."""
        settled = self._of(life).settled
        fresh = [each for each in found if each.number not in settled]
        if not fresh:
            return False
        batch = stream.Batch(
            life.incarnation, life.node or self._node, b"".join(frame(each.number, each.record) for each in fresh)
        )
        entry, _ = stream.push(self._client, batch)
        numbers = Intervals((each.number, each.number) for each in fresh)
        oldest = _time_of(fresh[0].record)
        self._pushed.append(_Pushed(entry, life, segment, start, found[-1].end, numbers, oldest, time.monotonic()))
        return True

    def _note(self, life: SpooledIncarnation, segment: Segment, found: list[Frame]) -> None:
        """Remember which streamed responses have begun and not ended."""
        progress = self._of(life)
        progress.last = max(progress.last, found[-1].number)
        for each in found:
            head = each.record[:12]
            if b"begun" in head or b"ended" in head:
                record = _decoded(each.record)
                if not isinstance(record, call_records.SpooledCallRecord):
                    continue
                if record.kind == call_records.BEGUN:
                    progress.begun[record.call_id] = segment.number, record
                else:
                    progress.begun.pop(record.call_id, None)

    def _recover(self) -> None:
        """End the calls of dead workers that they could not end, in a last segment of theirs, and note what was torn."""
        for life in list(self.folder.lives.values()):
            if life.live or life.ended or not life.is_read():
                continue
            progress = self._of(life)
            number, out = max(progress.last, progress.settled.last), []
            last = life.segments[-1] if life.segments else None
            if last and last.size() > last.offset:
                number += 1
                torn = call_records.LossRecord(life.incarnation, number, number, "torn", last.path.stat().st_mtime)
                number += 1
                out.append(frame(number, call_records.encode(torn)))
            for _, record in progress.begun.values():
                number += 1
                ended = msgspec.structs.replace(record, kind=call_records.ENDED, code="gateway_crash")
                out.append(frame(number, call_records.encode(ended)))
            try:
                tally = unknown_calls.tally_path(self._path, life.incarnation)
                if counted := unknown_calls.left_behind(tally, max(progress.last, progress.settled.last)):
                    number += 1
                    unknown_calls.mark(tally, counted, number)
                    out.append(frame(number, call_records.encode(counted)))
                if out:
                    path = segment_path(self._path, life.incarnation, (last.number if last else 0) + 1)
                    draft = path.with_suffix(".draft")
                    draft.write_bytes(b"".join(out))
                    draft.rename(path)
                self.folder.end(life)
            except OSError as error:  # a full disk: later
                _log.warning("A dead worker's spool can't be ended yet: %s", error)

    def _delete(self) -> None:
        """Delete the segments of which the database has everything, and forget incarnations of which nothing is left."""
        for life in list(self.folder.lives.values()):
            progress = self._of(life)
            pinned = {segment for segment, _ in progress.begun.values()}
            waiting = {each.segment.number for each in self._pushed if each.life is life}
            for segment in list(life.segments):
                if not life.is_closed(segment) or (not life.live and not life.ended):
                    continue
                if segment.number not in pinned | waiting and not segment.read():
                    segment.path.unlink(missing_ok=True)
                    life.segments.remove(segment)
            if life.ended and not life.segments:
                self._forget(life)

    def _forget(self, life: SpooledIncarnation) -> None:
        try:
            self._client.hdel(redis_names.CALLS_TAKEN, life.incarnation)
            self._client.hdel(redis_names.CALLS_WRITTEN, life.incarnation)
        except AWAY:
            return
        self.folder.forget(life)
        self._progress.pop(life.incarnation, None)

    def _keep_to_budget(self) -> None:
        """Over the budget, delete the oldest closed segments and say what was in them."""
        sizes = {
            (life.incarnation, segment.number): segment.size()
            for life in self.folder.lives.values()
            for segment in life.segments
        }
        excess = sum(sizes.values()) - self._budget
        for life in sorted(self.folder.lives.values(), key=lambda each: each.incarnation):
            for segment in [each for each in life.segments if life.is_closed(each)]:
                if excess <= 0:
                    return
                excess -= sizes[life.incarnation, segment.number]
                self._drop(life, segment)

    def _drop(self, life: SpooledIncarnation, segment: Segment) -> None:
        progress = self._of(life)
        numbers, oldest = Intervals(), 0.0
        tallies: list[call_records.TallyRecord] = []
        while found := segment.read():
            oldest = oldest or _time_of(found[0].record)
            for each in found:
                if each.number in progress.settled:
                    continue
                record = _decoded(each.record)
                if isinstance(record, call_records.TallyRecord) and not record.incarnation:
                    record.incarnation, record.number = life.incarnation, each.number
                    tallies.append(record)
                else:
                    numbers.add(each.number)
            progress.last = max(progress.last, found[-1].number)
            segment.offset = found[-1].end
        segment.path.unlink(missing_ok=True)
        life.segments.remove(segment)
        self._carry_over(tallies)
        progress.begun = {call: begun for call, begun in progress.begun.items() if begun[0] != segment.number}
        self._declare_lost(life, numbers, oldest)

    def _carry_over(self, tallies: list[call_records.TallyRecord]) -> None:
        """Keep what is counted in a segment that goes: a few bytes, which stand for any number of calls."""
        for tally in tallies:
            self._own = self._own or SpoolWriter(self._path, self._node, AGENT)
            self._own.append(call_records.encode(tally))

    def _declare_lost(self, life: SpooledIncarnation, numbers: Intervals, at: float) -> None:
        """Have the database told, by way of the agent's own spool, that these records won't come."""
        if not numbers:
            return
        self._own = self._own or SpoolWriter(self._path, self._node, AGENT)
        for first, last in numbers:
            self._own.append(
                call_records.encode(
                    call_records.LossRecord(life.incarnation, first, last, "over_budget", at or time.time())
                )
            )
        self.lost += numbers.count()
        _log.warning("%d call records were deleted unshipped: the spool is over its budget", numbers.count())

    def _tell(self) -> None:
        """Say in Redis what is in the spool, for completeness, which compares what has come with what was written."""
        now = time.monotonic()
        if now - self._told < self.tell_seconds:
            return
        written: dict[Any, Any] = {}
        unshipped = 0
        for life in self.folder.lives.values():
            progress = self._of(life)
            last, oldest = progress.last, 0.0
            for each in self._pushed:
                if each.life is life:
                    oldest = each.oldest
                    break
            for segment in life.segments:
                behind = segment.size() - segment.offset
                unshipped += behind
                if behind:
                    last = max(last, segment.last_number())
                    waiting = segment.read(4096)
                    oldest = oldest or (_time_of(waiting[0].record) if waiting else 0.0)
            written[life.incarnation] = json.dumps([last, oldest, time.time()])
        said = {
            "at": time.time(),
            "spool_bytes": sum(each.size() for life in self.folder.lives.values() for each in life.segments),
            "budget_bytes": self._budget,
            "unshipped_bytes": unshipped,
            "unsettled_batches": len(self._pushed),
            "workers": sum(life.live for life in self.folder.lives.values()),
            "lost": self.lost,
        }
        pipeline = self._client.pipeline(transaction=False)
        if written:
            pipeline.hset(redis_names.CALLS_WRITTEN, mapping=written)
        pipeline.hset(redis_names.AGENTS, self._node, json.dumps(said))
        pipeline.execute()
        self._told = now


def _decoded(record: bytes) -> call_records.SpooledRecord | None:
    try:
        return call_records.decode(record)
    except msgspec.MsgspecError:
        return None


def _time_of(record: bytes) -> float:
    """When this was recorded, 0 when it can't be read: then the database will set it aside."""
    decoded = _decoded(record)
    return decoded.at if decoded else 0.0
