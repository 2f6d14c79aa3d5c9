"""How a lower room calls a higher one that it must not import: it declares a hook, and the higher one registers a function."""

from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Hook(Generic[P, R]):
    """Functions of higher rooms, called where the hook is called. They register in the ``ready()`` of their ``AppConfig``."""

    def __init__(self) -> None:
        self._functions: list[Callable[P, R]] = []

    def register(self, function: Callable[P, R]) -> None:
        """Have ``function`` called too. Registering it again changes nothing."""
        if function not in self._functions:
            self._functions.append(function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> list[R]:
        """Call each in the order of registration; returns what each returned. What one raises ends the call."""
        return [function(*args, **kwargs) for function in self._functions]
