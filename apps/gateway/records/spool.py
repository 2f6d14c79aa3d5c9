"""Call records on disk: appended by each worker before the response leaves, shipped by the node agent.

A worker's life is an *incarnation*. Its files in the spool folder:

- ``ID.lock``: who it is (JSON: node, worker, pid). The worker holds an ``flock`` on it for life; the kernel frees it at its death,
  whatever killed it. After recovery the agent renames it to ``ID.ended``.
- ``ID.tally``: calls that no API was found for and that no frame counts yet (see ``unknown_calls``).
- ``ID-NNNNNN.spool``: segments of frames. A frame is length, CRC-32, frame number, record; numbers count from 1 without gaps over
  all segments of the incarnation. What a crash cut off fails its length or its CRC and is dropped; its number is
  then missing.

One ``os.write`` per record and nothing else on a call's way: no lock, no await, no fsync (the agent does that for everybody).
Standard library and msgspec only.
"""

import errno
import fcntl
import json
import os
import secrets
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from apps.wire.call_records import LossRecord, encode

SEGMENT_BYTES = 4 * 2**20
SEGMENT_SECONDS = 300.0  # paths of calls should not lie on disk for weeks because traffic is low
LARGEST_RECORD = 2**20
RETRY_SECONDS = 0.05  # how often a full disk is tried again: calls shouldn't pay for it
AGENT = 1023  # the agent's own number among the workers of a node

HEADER = struct.Struct("<IIQ")  # length of the record; CRC-32 of the record, seeded with its number (folded); number
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, whose order is that of the numbers
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
_INCARNATION_DIGITS = 18


def _base32(value: int, digits: int) -> str:
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(5 * (digits - 1), -1, -5))


def new_incarnation(node: str, worker: int, now: float) -> str:
    """A name for one life of one worker: 18 characters, in order of start, which discloses nothing.

    Milliseconds (9), a hash of the node's name (4), the worker (2), chance (3).
    """
    hashed = crc32(node.encode()) & 0xFFFFF
    return (
        _base32(int(now * 1000), 9) + _base32(hashed, 4) + _base32(worker & 1023, 2) + _base32(secrets.randbits(15), 3)
    )


def is_incarnation(text: str) -> bool:
    """Whether this has the form of an incarnation's name."""
    return len(text) == _INCARNATION_DIGITS and all(character in _ALPHABET for character in text)


def worker_of(incarnation: str) -> int:
    """The worker's number on its node."""
    return _PAIRS.index(incarnation[13:15])


def segment_path(folder: Path, incarnation: str, segment: int) -> Path:
    """Where a segment lies; segments count from 1."""
    return folder / f"{incarnation}-{segment:06d}.spool"


def frame(number: int, record: bytes) -> bytes:
    """One frame, as it is in a segment and in the stream."""
    return HEADER.pack(len(record), crc32(record, (number ^ number >> 32) & 0xFFFFFFFF), number) + record


class Frame(NamedTuple):
    """A record, its number, and where its frame ends."""

    number: int
    record: bytes
    end: int


def frames(data: bytes, offset: int = 0) -> Iterator[Frame]:
    """The whole and sound frames of ``data`` from ``offset`` on; stops at the first that is neither."""
    while offset + HEADER.size <= len(data):
        length, checksum, number = HEADER.unpack_from(data, offset)
        end = offset + HEADER.size + length
        # A length of 0 is what a hole in a file looks like after a power cut.
        if not 0 < length <= LARGEST_RECORD or end > len(data):
            return
        record = data[offset + HEADER.size : end]
        if crc32(record, (number ^ number >> 32) & 0xFFFFFFFF) != checksum:
            return
        yield Frame(number, record, end)
        offset = end


class SpoolWriter:
    """The spool of one worker, for its life. Calls are served whatever the disk says; what can't be written is counted.

    ``written`` and ``lost`` count records since the start. A loss is written down as a ``LossRecord`` once writing works again.
    """

    def __init__(
        self,
        folder: Path,
        node: str,
        worker: int,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        segment_seconds: float = SEGMENT_SECONDS,
    ) -> None:
        """Never raises: a folder that can't be written to now is tried again with later records."""
        self.folder = folder
        self.node = node
        self.worker = worker
        self.incarnation = new_incarnation(node, worker, time.time())
        self.written = 0
        self.lost = 0
        self._segment_bytes = segment_bytes
        self._segment_seconds = segment_seconds
        self._number = 0  # of the last frame, written or lost
        self._segment = 0
        self._descriptor = -1
        self._lock = -1
        self._room = 0
        self._until = 0.0
        self._lost_from = 0  # first number of the loss that isn't written down yet
        self._lost_at = 0.0
        self._cause = ""
        self._retry_at = 0.0
        self._call = 0
        self._call_prefix = self.incarnation + "0000"
        try:
            self._next_segment()
        except OSError:
            self._descriptor = -1

    def next_call_id(self) -> str:
        """An id for a call: the incarnation (node and worker are in it) and a number. 26 characters, unique for ever, sortable."""
        self._call = number = self._call + 1
        if not number & 0xFFFFF:
            self._call_prefix = self.incarnation + _base32(number >> 20, 4)
        return self._call_prefix + _PAIRS[number >> 10 & 1023] + _PAIRS[number & 1023]

    def append(self, record: bytes) -> bool:
        """Write one encoded record. False: it could not be written, and is counted as lost."""
        number = self._number + 1
        data = frame(number, record)
        if self._lost_from or len(record) > LARGEST_RECORD or len(data) > self._room or time.monotonic() > self._until:
            return self._append_with_care(record)
        self._number = number
        return self._write(data)

    @property
    def next_number(self) -> int:
        """The number that the next record will have."""
        return self._number + (2 if self._lost_from else 1)

    def offer(self, record: bytes) -> bool:
        """Write a record that can wait, or whose absence is no loss. False: it isn't there, and isn't counted as lost."""
        if self._lost_from and time.monotonic() < self._retry_at:
            return False
        data, number = self._after_a_loss(), self.next_number
        data += frame(number, record)
        try:
            if len(data) > self._room or time.monotonic() > self._until:
                self._next_segment()
            written = os.write(self._descriptor, data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                self._abandon_segment()
            self._retry_at = time.monotonic() + RETRY_SECONDS
            return False
        if written != len(data):
            # A reader may have seen the first frame of the two.
            self._number = number if self._lost_from else self._number
            self._abandon_segment()
            return False
        self._number = number
        self._room -= len(data)
        self._lost_from = 0
        self.written += 1
        return True

    def close(self) -> None:
        """The worker's last act: its lock is freed, and the agent takes over its files."""
        self._abandon_segment()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _append_with_care(self, record: bytes) -> bool:
        """The rare ways: the first record, a new segment, writing again after a loss."""
        now = time.monotonic()
        if len(record) > LARGEST_RECORD or (self._lost_from and now < self._retry_at):
            self._number += 1
            return self._lose(self._cause if self._lost_from else "spool_error")
        data, number = self._after_a_loss(), self.next_number
        data += frame(number, record)
        # The numbers are used up even if the writing fails: a reader may have seen the first frame of a half-written pair.
        self._number = number
        if len(data) > self._room or now > self._until:
            try:
                self._next_segment()
            except OSError as error:
                return self._failed(error)
        return self._write(data)

    def _after_a_loss(self) -> bytes:
        """The frame that says what was lost before the next record; nothing when nothing was."""
        if not self._lost_from:
            return b""
        loss = LossRecord(self.incarnation, self._lost_from, self._number, self._cause, self._lost_at)
        return frame(self._number + 1, encode(loss))

    def _write(self, data: bytes) -> bool:
        """Append frames that end with ``self._number``."""
        try:
            if os.write(self._descriptor, data) != len(data):
                raise OSError(errno.EFBIG, "cut short")
        except OSError as error:
            return self._failed(error)
        self._room -= len(data)
        self._lost_from = 0
        self.written += 1
        return True

    def _failed(self, error: OSError) -> bool:
        """A write failed. The segment is given up unless it is merely full around it: its tail may be half a frame."""
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            self._abandon_segment()
        self._retry_at = time.monotonic() + RETRY_SECONDS
        return self._lose("disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "spool_error")

    def _lose(self, cause: str) -> bool:
        if not self._lost_from:
            self._lost_from = self._number
            self._lost_at = time.time()
        self._cause = cause
        self.lost += 1
        return False

    def _abandon_segment(self) -> None:
        """No more frames into this file: a half-written frame stays its tail, which readers drop."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._room = 0

    def _next_segment(self) -> None:
        """Go on in a new file. Raises ``OSError``; then there is none."""
        self._abandon_segment()
        if self._lock < 0:
            self._take_lock()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(segment_path(self.folder, self.incarnation, self._segment + 1), flags, 0o600)
        self._segment += 1
        self._room = self._segment_bytes
        self._until = time.monotonic() + self._segment_seconds

    def _take_lock(self) -> None:
        # Locked under another name and then renamed: no process ever sees the lock file of a living worker unlocked.
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self.folder / f"{self.incarnation}.draft"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            who = json.dumps({"node": self.node, "worker": self.worker, "pid": os.getpid()}).encode()
            if os.write(descriptor, who) != len(who):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(draft))
            draft.rename(self.folder / f"{self.incarnation}.lock")
        except OSError:
            os.close(descriptor)
            draft.unlink(missing_ok=True)
            raise
        self._lock = descriptor
