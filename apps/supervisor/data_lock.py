"""One supervisor per data directory: two would start two servers on the same files."""

import fcntl
import os
from pathlib import Path


class DataDirectoryInUse(Exception):
    """Another ``up`` runs with this data directory; the message names its process."""


class DataLock:
    """Held from construction until ``release`` or the process's end: the kernel frees it, however the process ends."""

    def __init__(self, data: Path) -> None:
        self._file = os.open(data / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 32, 0).decode(errors="replace").strip()
            os.close(self._file)
            raise DataDirectoryInUse(
                f"`manage.py up` already runs with the data directory {data}, as process {holder or 'unknown'}. "
                "Stop it first, or set APIMGR_DATA to another directory."
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another ``up`` have the directory."""
        os.close(self._file)


def holder(data: Path) -> int | None:
    """The process id of the ``up`` that runs with this data directory, if one does."""
    try:
        lock = DataLock(data)
    except DataDirectoryInUse:
        text = (data / "up.lock").read_text().strip()
        return int(text) if text.isdigit() else None
    lock.release()
    return None
