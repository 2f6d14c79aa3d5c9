"""The stages of a call, one module and one class each, and what a stage declares about itself.

A stage is made with the parts of the worker that it uses. It is called with the call, and answers in one of three ways:
``None`` (go on), a response (the call ends here), or ``Need`` (something must be waited for; then the same stage is asked again).

What a stage declares decides when it runs: the pipeline remembers heads that were let through, and runs of the stages only
those whose outcome may be another one for the next call with the same head. A stage that declares nothing runs on every call.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from apps.gateway.call.call import Call
from apps.gateway.call.responses import WholeResponse


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


FOREVER = float("inf")


class Stage:
    """A step of a call. What it declares stands in its class."""

    name: str
    """What traces call it; recorded, so it stays."""
    depends_on = DependsOn.CALL

    def __call__(self, x: Call) -> WholeResponse | Need | None:
        """Let the call through, answer it, or say what is needed for that."""
        raise NotImplementedError

    def until(self, x: Call) -> float:
        """Until when (Unix seconds) a call that was let through would be let through again, where the clock has a say in it."""
        return FOREVER

    def describe(self, x: Call) -> str:
        """What it decided about a call that it didn't refuse, in a few words for "explain this call"; empty: not worth a line."""
        return "ok"


Step = tuple[Callable[[Call], WholeResponse | Need | None], str, Callable[[Call], str]]
"""What runs of a stage in a call: itself, ``name``, ``describe``. A tuple, because a hit takes microseconds."""
