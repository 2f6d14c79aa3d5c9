"""Was it as it should be: a check's answers and what the origin saw, against what its steps expect."""

from dataclasses import dataclass, field
from email.utils import formatdate

from tests.caching.conformance.table import (
    ANY,
    BY_DATE,
    BY_TAG,
    DATED,
    FETCHED,
    STORED,
    Check,
    More,
    Step,
)

BODILESS = frozenset({204, 304})
PASSED = "passed"


@dataclass
class Answer:
    """What the caller got. Names of ``fields`` are lower-case, repeated ones joined as a caller's library would."""

    status: int
    fields: dict[str, str]
    text: str
    interim: list[tuple[int, dict[str, str]]] = field(default_factory=list)


@dataclass
class Seen:
    """A request as the origin saw it, and the checked fields of its answer to it."""

    number: int
    method: str
    fields: dict[str, str]
    said: list[tuple[str, str]]


class Missed(AssertionError):
    """Something isn't as expected. ``prepared``: the behaviour itself was wrong, not what had to precede it."""

    def __init__(self, prepared: bool, what: str) -> None:
        super().__init__(what if prepared else f"(preparing) {what}")


def value_of(name: str, value: object, now: float, *, old_dates: bool = False) -> str:
    """A field's value as text: numbers of dated fields are seconds from the origin's ``now``."""
    if name.lower() not in DATED or not isinstance(value, int):
        return str(value)
    text = formatdate(int(now + value), usegmt=True)
    if not old_dates:
        return text
    day, number, month, year, clock, zone = text.split(" ")
    long = {"Mon": "Mon", "Tue": "Tues", "Wed": "Wednes", "Thu": "Thurs", "Fri": "Fri", "Sat": "Satur", "Sun": "Sun"}
    return f"{long[day[:3]]}day, {number}-{month}-{year[2:]} {clock} {zone}"


def judge(check: Check, answers: list[Answer], seen: list[Seen], token: str) -> None:
    """Raises ``Missed`` for the first thing that isn't as the check expects."""
    for number, (step, answer) in enumerate(zip(check.steps, answers, strict=True), 1):
        _judge_answer(step, number, answer, token)
    _judge_requests(check, answers, seen)


def _judge_answer(step: Step, number: int, answer: Answer, token: str) -> None:
    def must(holds: bool, what: str, expected: str = "") -> None:
        if not holds:
            raise Missed(
                not (step.prepares or expected == "always" or expected in step.given), f"step {number}: {what}"
            )

    got = answer.fields
    asked = got.get("request-numbers", "").split()
    must(len(asked) == len(set(asked)), "the origin was asked twice", "always")
    counted = got.get("server-request-count")
    if step.comes == STORED and not (answer.status == 304 and counted is None):
        must(counted is not None and int(counted) < number, "it is not from the cache", "comes")
    if step.comes == FETCHED:
        must(counted is not None and int(counted) == number, "it is from the cache", "comes")

    if step.answers is not None:
        must(step.answers is ANY or answer.status == step.answers, f"status {answer.status}", "answers")
    elif step.status is not None:
        must(answer.status == step.status, f"status {answer.status}", "always")
    else:
        must(answer.status != 599, "the origin got no condition", "comes")
        must(answer.status == 200, f"status {answer.status}", "always")

    for wanted in step.has:
        if isinstance(wanted, More):
            value = got.get(wanted.name.lower(), "")
            must(value.isdigit() and int(value) > wanted.than, f"{wanted.name} is {value or 'absent'}", "has")
        elif isinstance(wanted, str):
            must(wanted.lower() in got, f"{wanted} is absent", "has")
        else:
            name, value = wanted[0], wanted[1]
            expected = value_of(name, value, float(got.get("server-now", 0)))
            must(got.get(name.lower()) == expected, f"{name} is {got.get(name.lower())!r}, not {expected!r}", "has")
    for name in step.lacks:
        must(name.lower() not in got, f"{name} is there", "lacks")
    for place, (status, fields) in enumerate(step.hears or ()):
        must(len(answer.interim) > place, f"interim answer {status} did not come", "hears")
        must(answer.interim[place][0] == status, f"interim answer {answer.interim[place][0]}", "hears")
        for name, _ in fields:
            must(name in answer.interim[place][1], f"interim answer without {name}", "hears")

    if step.reads:
        if step.text is not None:
            must(step.text is ANY or answer.text == step.text, f"text {answer.text!r}", "text")
        elif step.content is not None:
            must(answer.text == step.content, f"text {answer.text!r}", "always")
        elif answer.status not in BODILESS and step.method != "HEAD":
            must(answer.text == token, f"text {answer.text!r}", "always")


def _judge_requests(check: Check, answers: list[Answer], seen: list[Seen]) -> None:
    place = 0
    for number, (step, answer) in enumerate(zip(check.steps, answers, strict=True), 1):
        if step.comes == STORED:
            continue
        request = seen[place] if place < len(seen) else None
        place += 1

        def must(holds: bool, what: str, expected: str, step: Step = step, number: int = number) -> None:
            if not holds:
                prepared = not (step.prepares or expected == "always" or expected in step.given)
                raise Missed(prepared, f"step {number}: {what}")

        if step.comes == FETCHED:
            must(request is not None and request.number == number, "the origin was not asked", "comes")
        condition = {BY_TAG: "if-none-match", BY_DATE: "if-modified-since"}.get(step.comes or "")
        if condition:
            must(request is not None and condition in request.fields, f"the origin got no {condition}", "comes")
        for name, value in step.origin_gets:
            got = request.fields.get(name.lower()) if request is not None else None
            must(got == value, f"the origin got {name}: {got!r}", "origin_gets")
        for name, value in request.said if request is not None else ():
            if name.lower() != "date":
                got = answer.fields.get(name.lower())
                must(got == value, f"{name} is {got!r}, not {value!r}", "always")
        if step.origin_method is not None:
            method = request.method if request is not None else None
            must(method == step.origin_method, f"the origin saw {method}", "origin_method")
