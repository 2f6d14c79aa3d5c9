"""How a child process is started: a program, its arguments, and that it dies with its parent."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_LEASH = Path(__file__).with_name("parent_death.py")


@dataclass(frozen=True)
class Command:
    """A program to run. ``argv`` is what process lists show; ``environment`` is added to this process's own.

    ``nice`` lowers its priority, 0 to 19, for work that may wait while calls are answered.
    """

    executable: str
    argv: Sequence[str]
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    nice: int = 0

    def leashed(self) -> list[str]:
        """The arguments that start it so that it ends with the calling process. Call from the main thread.

        Linux ties a child to the *thread* that made it: prctl(2), PR_SET_PDEATHSIG.
        """
        leash = [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), str(self.nice)]
        return [*leash, self.executable, *self.argv]

    def full_environment(self) -> dict[str, str]:
        """This process's environment with the command's own on top."""
        return {**os.environ, **self.environment}


def manage(*arguments: str, root: Path, environment: Mapping[str, str] | None = None) -> Command:
    """``manage.py`` with ``arguments``, run by this very Python, unbuffered so that its log lines come at once."""
    return Command(
        executable=sys.executable,
        argv=[sys.executable, "manage.py", *arguments],
        cwd=root,
        environment={"PYTHONUNBUFFERED": "1", **(environment or {})},
    )
