"""The stages of a call, one module and one function each, and what a stage declares about itself.

A stage is called with the gateway and the exchange, and answers in one of three ways: ``None`` (go on), a response (the call
ends here), or ``Need`` (something must be waited for; then the same stage is asked again).

What a stage declares decides when it runs: the pipeline remembers heads that were let through, and runs of the stages only
those whose outcome may be another one for the next call with the same head. A stage that declares nothing runs on every call.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from apps.gateway.answers import Whole
from apps.gateway.exchange import Exchange

if TYPE_CHECKING:
    from apps.gateway.gateway import Gateway


@dataclass(slots=True, frozen=True)
class Need:
    """What a stage can't get without waiting. ``wait`` raises nothing but ``ClientLeft``: the stage finds out by itself
    when it is asked again.
    """

    wait: Callable[[], Awaitable[None]]


class DependsOn(Enum):
    """What the outcome of a stage depends on, beside the configuration."""

    HEAD = "head"
    """The request head alone, with the address of a trusted proxy as part of it. Letting a call through is remembered with its
    head, until the configuration changes.
    """
    ADDRESS = "address"
    """The head and the client's address: remembered with both."""
    BODY = "body"
    """The head and the body: it runs on every call that has a body. A call with a body is not remembered."""
    CALL = "call"
    """Anything else: it runs on every call."""


Run = Callable[["Gateway", Exchange], "Whole | Need | None"]

FOREVER = float("inf")


def _ok(x: Exchange) -> str:
    return "ok"


def _forever(x: Exchange) -> float:
    return FOREVER


@dataclass(slots=True, frozen=True)
class Stage:
    """A step of a call, with what it declares."""

    name: str
    """What traces call it; recorded, so it stays."""
    run: Run
    depends_on: DependsOn = DependsOn.CALL
    until: Callable[[Exchange], float] = _forever
    """Until when (Unix seconds) a call that was let through would be let through again, where the clock has a say in it."""
    describe: Callable[[Exchange], str] = _ok
    """What it decided about a call that it didn't refuse, in a few words for "explain this call"; empty: not worth a line."""


Step = tuple[Run, str, Callable[[Exchange], str]]
"""What runs of a stage in a call: ``run``, ``name``, ``describe``. A tuple, because a hit takes microseconds."""


def stage(
    depends_on: DependsOn = DependsOn.CALL,
    *,
    until: Callable[[Exchange], float] = _forever,
    describe: Callable[[Exchange], str] = _ok,
) -> Callable[[Run], Stage]:
    """Make a function a stage, named as the function is."""
    return lambda run: Stage(run.__name__, run, depends_on, until, describe)
