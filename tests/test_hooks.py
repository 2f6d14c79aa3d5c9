"""How a lower room calls higher ones."""

import pytest

from apps.foundation.hooks import Hook


def test_each_function_is_called_in_the_order_of_registration_and_its_value_is_returned():
    hook: Hook[[int], int] = Hook()
    hook.register(lambda number: number + 1)
    hook.register(lambda number: number * 10)
    assert hook(2) == [3, 20]


def test_a_function_that_is_registered_twice_is_called_once():
    calls: list[str] = []
    hook: Hook[[str], None] = Hook()
    hook.register(calls.append)
    hook.register(calls.append)
    hook("here")
    assert calls == ["here"]


def test_a_hook_without_functions_returns_nothing():
    hook: Hook[[], int] = Hook()
    assert hook() == []


def test_what_a_function_raises_ends_the_call():
    hook: Hook[[], None] = Hook()
    calls: list[str] = []

    def fail() -> None:
        raise ValueError("no")

    hook.register(fail)
    hook.register(lambda: calls.append("never"))
    with pytest.raises(ValueError, match="no"):
        hook()
    assert calls == []
