"""The spool's two ends: what is appended is read, and what a crash or a full disk does is dropped, counted and bounded."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apps.gateway.records import spool as spool_module
from apps.gateway.records.spool import (
    LARGEST_RECORD,
    SpoolWriter,
    frame,
    frames,
    is_incarnation,
    segment_path,
    worker_of,
)
from apps.gateway.records.spool_reader import Segment, SpoolFolder
from apps.wire.call_records import LossRecord, SpooledRecord, decode, encode
from tests.analytics.records import NODE, record, write


def read_all(folder: Path, incarnation: str) -> list[tuple[int, SpooledRecord]]:
    """Number and record of every whole frame of an incarnation."""
    found = []
    scanned = SpoolFolder(folder)
    scanned.scan()
    for segment in scanned.lives[incarnation].segments:
        while more := segment.read():
            found += [(each.number, decode(each.record)) for each in more]
            segment.offset = more[-1].end
    scanned.close()
    return found


def test_what_is_appended_is_read_in_order_with_numbers_from_one(folder: Path, spool: SpoolWriter):
    ids = write(spool, 5)
    assert [(number, each.call_id) for number, each in read_all(folder, spool.incarnation)] == list(enumerate(ids, 1))
    assert (spool.written, spool.lost) == (5, 0)


def test_a_call_id_is_unique_sortable_short_and_names_its_incarnation(folder: Path, spool: SpoolWriter):
    ids = [spool.next_call_id() for _ in range(3000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {len(each) for each in ids} == {26}
    assert all(each.startswith(spool.incarnation) for each in ids)
    assert is_incarnation(spool.incarnation)
    assert worker_of(spool.incarnation) == 0


def test_call_ids_go_on_in_order_past_a_million(folder: Path, spool: SpoolWriter):
    spool._call = 2**20 - 2
    ids = [spool.next_call_id() for _ in range(4)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 4


def test_two_lives_of_one_worker_share_no_call_id(folder: Path):
    with_lives = [SpoolWriter(folder, NODE, 0) for _ in range(20)]
    assert len({writer.incarnation for writer in with_lives}) == 20
    for writer in with_lives:
        writer.close()


def test_a_tail_torn_at_any_byte_is_dropped_and_nothing_before_it(tmp_path: Path):
    first, second = frame(1, b"a" * 30), frame(2, b"b" * 40)
    for cut in range(len(second)):
        assert [each.number for each in frames(first + second[:cut])] == [1]
    assert [each.number for each in frames(first + second)] == [1, 2]


def test_a_frame_with_any_byte_changed_is_not_read():
    good = frame(7, b"a call")
    for place in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[place] ^= 1 << bit
            assert [(each.number, each.record) for each in frames(bytes(bad))] == []


def test_a_hole_of_zeros_after_a_power_cut_holds_no_frames():
    assert [each.number for each in frames(frame(1, b"a") + bytes(4096))] == [1]


def test_a_reader_waits_for_a_frame_that_is_still_being_written(folder: Path):
    path = segment_path(folder, "0" * 18, 1)
    folder.mkdir()
    whole = frame(1, b"x" * 100)
    path.write_bytes(whole[:50])
    segment = Segment(path, "0" * 18, 1)
    assert segment.read() == []
    path.write_bytes(whole)
    assert [each.number for each in segment.read()] == [1]


def test_a_frame_larger_than_a_reading_is_read(folder: Path, spool: SpoolWriter):
    write(spool, 1, path="/" + "x" * 1000)
    (segment,) = _segments(folder, spool.incarnation)
    assert len(segment.read(16)) == 1
    assert segment.last_number() == 1


def test_segments_turn_when_they_are_full_and_when_they_are_old(folder: Path):
    small = SpoolWriter(folder, NODE, 0, segment_bytes=600)
    ids = write(small, 6)
    assert len(_segments(folder, small.incarnation)) == 3
    assert [each.call_id for _, each in read_all(folder, small.incarnation)] == ids
    small.close()
    old = SpoolWriter(folder, NODE, 1, segment_seconds=0.0)
    write(old, 2)
    assert len(_segments(folder, old.incarnation)) == 3  # the first, which stayed empty, and one each
    old.close()


def test_a_living_worker_is_told_from_a_dead_one(folder: Path, spool: SpoolWriter):
    scanned = SpoolFolder(folder)
    scanned.scan()
    life = scanned.lives[spool.incarnation]
    assert (life.live, life.node) == (True, NODE)
    spool.close()
    scanned.scan()
    assert not life.live
    scanned.close()


def test_a_killed_worker_leaves_every_record_it_appended(folder: Path):
    script = (
        "import os, sys; from pathlib import Path; from apps.gateway.records.spool import SpoolWriter\n"
        f"w = SpoolWriter(Path({str(folder)!r}), 'n', 3)\n"
        "for i in range(500): w.append(b'record %d' % i)\n"
        "print(w.incarnation, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    incarnation = done.stdout.strip()
    scanned = SpoolFolder(folder)
    scanned.scan()
    life = scanned.lives[incarnation]
    assert not life.live
    assert [each.number for each in life.segments[0].read(2**20)] == list(range(1, 501))
    scanned.close()


def test_a_full_disk_loses_records_that_are_counted_and_told_of_when_it_has_room_again(
    folder: Path, spool: SpoolWriter, monkeypatch: pytest.MonkeyPatch
):
    write(spool, 2)
    full = True
    real = os.write

    def write_if_room(descriptor: int, data: bytes) -> int:
        if full and descriptor == spool._descriptor:
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(spool_module.os, "write", write_if_room)
    monkeypatch.setattr(spool_module, "RETRY_SECONDS", 0.0)
    assert [spool.append(encode(record(spool.next_call_id()))) for _ in range(3)] == [False] * 3
    full = False
    after = write(spool, 1)
    assert (spool.written, spool.lost) == (3, 3)
    numbers = read_all(folder, spool.incarnation)
    told = next(each for _, each in numbers if isinstance(each, LossRecord))
    assert told.cause == "disk_full"
    assert told.last - told.first + 1 >= 3
    assert set(range(told.first, told.last + 1)).isdisjoint(number for number, _ in numbers)
    assert numbers[-1][1].call_id == after[0]


def test_a_full_disk_is_not_tried_with_every_call(folder: Path, spool: SpoolWriter, monkeypatch: pytest.MonkeyPatch):
    tries = []

    def refuse(descriptor: int, data: bytes) -> int:
        tries.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool_module.os, "write", refuse)
    monkeypatch.setattr(spool_module, "RETRY_SECONDS", 3600.0)
    for _ in range(1000):
        spool.append(b"record")
    assert len(tries) == 1
    assert spool.lost == 1000


def test_a_frame_cut_short_by_a_limit_is_a_torn_tail_and_what_follows_is_readable(folder: Path):
    limit = 3000
    script = (
        "import resource; from pathlib import Path; from apps.gateway.records import spool\n"
        "spool.RETRY_SECONDS = 0.0\n"
        f"w = spool.SpoolWriter(Path({str(folder)!r}), 'n', 0)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))\n"
        "sent = [w.append(b'x' * 1000) for _ in range(10)]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "sent.append(w.append(b'y'))\n"
        "print(w.incarnation, w.written, w.lost, sent.count(True))"
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    incarnation, written, lost, sent = done.stdout.split()
    assert int(written) == int(sent) > 2
    assert int(lost) > 0
    assert int(written) + int(lost) == 11
    segments = _segments(folder, incarnation)
    records = [each for segment in segments for each in segment.read(2**20)]
    numbers = [each.number for each in records]
    assert records[-1].record == b"y"
    assert numbers == sorted(set(numbers))
    losses = [decode(each.record) for each in records if not each.record.startswith((b"x", b"y"))]
    told = {number for loss in losses for number in range(loss.first, loss.last + 1)}
    # Every number up to the last is a frame or is told of as lost: nothing goes missing silently.
    assert set(range(1, max(numbers) + 1)) == set(numbers) | told


def test_a_folder_that_cannot_be_written_to_loses_records_until_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spool_module, "RETRY_SECONDS", 0.0)
    folder = tmp_path / "spool"
    folder.write_text("in the way")
    writer = SpoolWriter(folder, NODE, 0)
    assert not writer.append(b"one")
    assert not writer.append(b"two")
    folder.unlink()
    assert writer.append(encode(record(writer.next_call_id())))
    ((_, told), (_, came)) = read_all(folder, writer.incarnation)
    assert (told.first, told.last, told.cause) == (1, told.last, "spool_error")
    assert came.status == 200
    assert (writer.written, writer.lost) == (1, 2)
    writer.close()


def test_a_record_larger_than_any_reader_takes_is_refused_and_counted(folder: Path, spool: SpoolWriter):
    assert not spool.append(bytes(LARGEST_RECORD + 1))
    write(spool, 1)
    (_, told), _ = read_all(folder, spool.incarnation)
    assert (told.first, told.last) == (1, 1)


def _segments(folder: Path, incarnation: str) -> list[Segment]:
    scanned = SpoolFolder(folder)
    scanned.scan()
    found = scanned.lives[incarnation].segments
    scanned.close()
    return found
