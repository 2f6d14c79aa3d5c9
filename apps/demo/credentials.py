"""The demo's passwords, keys and port, kept so that every start can show a call that works."""

import os
from pathlib import Path

import msgspec

FILE = "demo.json"


class Person(msgspec.Struct, frozen=True):
    """A user who may sign in."""

    email: str
    role: str
    tenant: str


class Credentials(msgspec.Struct, frozen=True):
    """What the demo's seed made. ``keys`` maps ``tenant/application`` to its secret; ``call`` is a path that ``caller`` may get."""

    password: str
    people: list[Person]
    keys: dict[str, str]
    caller: str
    call: str
    origin_port: int

    @property
    def key(self) -> str:
        """The key of the call that ``up`` shows."""
        return self.keys[self.caller]


def keep(data: Path, credentials: Credentials) -> None:
    """Write them for the owner of ``data`` alone."""
    path = data / FILE
    draft = path.with_suffix(".draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(credentials))
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def kept(data: Path) -> Credentials | None:
    """What an earlier start made; ``None`` without a demo."""
    try:
        return msgspec.json.decode((data / FILE).read_bytes(), type=Credentials)
    except FileNotFoundError:
        return None
