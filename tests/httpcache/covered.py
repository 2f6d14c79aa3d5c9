"""``python -m tests.httpcache.covered [MODULE …]``: is each module of the core covered by its own test module?

Runs ``test_<module>.py`` alone for each and prints the lines inside its functions that no test came to. Standard library only; a
run of all takes a minute, so it is a command and no test.
"""

import os
import runpy
import sys
from collections.abc import Iterator
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import apps.httpcache

CORE = Path(apps.httpcache.__file__).parent
HERE = Path(__file__).resolve().parent


def modules() -> list[str]:
    """The names of the core's modules."""
    return sorted(path.stem for path in CORE.glob("*.py") if path.stem != "__init__")


def lines_of_functions(path: Path) -> set[int]:
    """The numbers of the lines that run when something is called, not when the module is read."""
    found: set[int] = set()
    for code in _nested(compile(path.read_text(), str(path), "exec")):
        found |= {line for _, _, line in code.co_lines() if line is not None}
    return found


def _nested(code: CodeType) -> Iterator[CodeType]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            if each.co_flags & CO_OPTIMIZED:  # a class's body, which runs when the module is read, is not
                yield each
            yield from _nested(each)


def lines_reached(path: Path, test: Path) -> set[int]:
    """The lines of ``path`` that the tests in ``test`` come to. Raises ``SystemExit`` when one fails."""
    import pytest

    reached: set[int] = set()
    name = str(path)

    def line(frame: FrameType, event: str, argument: Any) -> Any:
        reached.add(frame.f_lineno)
        return line

    def call(frame: FrameType, event: str, argument: Any) -> Any:
        return line(frame, event, argument) if frame.f_code.co_filename == name else None

    # What runs when the module is read has run: a copy of it is read once more, to see.
    sys.settrace(call)
    runpy.run_path(name)
    sys.settrace(None)

    class Tracing:
        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_protocol(self) -> Iterator[None]:
            sys.settrace(call)
            yield
            sys.settrace(None)

    if code := pytest.main(["-q", "--no-header", "-p", "no:cacheprovider", str(test)], [Tracing()]):
        raise SystemExit(code)
    return reached


def main(names: list[str]) -> int:
    """Exit status 1 where a line isn't covered."""
    missed = 0
    for name in names or modules():
        test = HERE / f"test_{name}.py"
        # Each in a process of its own: what one module's tests reach says nothing of another's.
        if (child := os.fork()) == 0:
            path = CORE / f"{name}.py"
            sys.stdout.flush()
            null = os.open(os.devnull, os.O_WRONLY)
            kept = os.dup(1)
            os.dup2(null, 1)
            left = sorted(lines_of_functions(path) - lines_reached(path, test))
            os.dup2(kept, 1)
            print(f"{name}: {'covered' if not left else f'not reached: {left}'}", flush=True)
            os._exit(bool(left))
        missed |= os.waitpid(child, 0)[1]
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
