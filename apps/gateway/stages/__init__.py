"""The steps of a call, one module and one function each.

Each is called with the gateway and the exchange and answers in one of three ways: ``None`` (go on), an answer (the
call ends here), or ``Need`` (something must be waited for; then the same step is asked again).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Need:
    """What a step can't get without waiting. ``wait`` raises nothing but ``ClientLeft``: the step finds out by itself
    when it is asked again.
    """

    wait: Callable[[], Awaitable[None]]
