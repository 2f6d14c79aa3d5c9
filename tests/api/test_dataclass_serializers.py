"""What REST shows of a dataclass is what the class declares."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Annotated

import pytest

from apps.explain.lookup import Explanation
from apps.fleet.selectors import GatewayWorker
from apps.rest.dataclass_serializers import serializer_of


@dataclass(frozen=True)
class Inner:
    """One of several."""

    name: str


@dataclass(frozen=True)
class Outer:
    """One of each type."""

    text: Annotated[str, "Some words."]
    number: int
    ratio: float
    true: bool
    at: datetime
    words: Annotated[tuple[str, ...], "Some more."]
    several: tuple[Inner, ...]
    one: Annotated[Inner | None, "Perhaps."]
    none: float | None = None


def test_every_field_is_shown_by_its_type():
    outer = Outer(
        "a", 1, 0.12345, True, datetime(2026, 1, 2, tzinfo=UTC), ("b", "c"), (Inner("d"), Inner("e")), Inner("f")
    )
    assert serializer_of(Outer)(outer).data == {
        "text": "a",
        "number": 1,
        "ratio": 0.123,
        "true": True,
        "at": "2026-01-02T00:00:00Z",
        "words": ["b", "c"],
        "several": [{"name": "d"}, {"name": "e"}],
        "one": {"name": "f"},
        "none": None,
    }


def test_the_help_of_a_field_and_what_may_be_null_are_as_declared():
    shown = serializer_of(Outer)().fields
    assert {name: str(field.help_text) for name, field in shown.items() if field.help_text} == {
        "text": "Some words.",
        "words": "Some more.",
        "one": "Perhaps.",
    }
    assert [name for name, field in shown.items() if field.allow_null] == ["one", "none"]
    assert serializer_of(Outer).__doc__ == Outer.__doc__


def test_a_type_that_it_does_not_know_is_refused_when_the_serializer_is_made():
    @dataclass
    class Odd:
        """Of a type that REST has no form for."""

        what: bytes

    with pytest.raises(KeyError):
        serializer_of(Odd)


@pytest.mark.parametrize("kind", [Explanation, GatewayWorker])
def test_the_shown_classes_have_serializers_of_all_their_fields(kind: type):
    assert set(serializer_of(kind)().fields) == {each.name for each in fields(kind)}
