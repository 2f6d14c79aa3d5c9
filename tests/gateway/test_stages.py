"""What a stage declares decides how often it runs, wherever it is put among the others."""

from typing import Any

import pytest

from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import refuse
from apps.gateway.gateway import Gateway
from apps.gateway.pipeline.stages import DependsOn, Stage
from tests.gateway.house import KEY, Door, Origin, Published, api, ok
from tests.support.waiting import until

STAGES = 8
"""As many as a worker has."""

PLACES = range(STAGES + 1)
OF_ONE_CALL = {"call_id", "request_id", "began", "at", "trace", "stages", "stage", "head_memo", "body"}
CALLS = 5


class Counting(Stage):
    """A stage of the test's own: it counts its calls, by client, and refuses where it is told to."""

    name = "counting"

    def __init__(self, depends_on: DependsOn | None, until: float | None = None) -> None:
        self.clients: list[str] = []
        self.refuses: Any = lambda x: False
        if depends_on is not None:
            self.depends_on = depends_on
        self._until = until

    def until(self, x: Call) -> float:
        return super().until(x) if self._until is None else self._until

    def __call__(self, x: Call) -> Any:
        if x.target.startswith(b"/products/warm"):
            return None
        self.clients.append(x.client)
        return refuse(x, Problem.FORBIDDEN) if self.refuses(x) else None

    def put(self, door: Door, place: int) -> None:
        stages = door.gateway.stages
        door.gateway.pipeline = door.gateway.through((*stages[:place], self, *stages[place:]))


@pytest.fixture
async def items(lane: Door, origin: Origin) -> Door:
    """A door whose worker knows the key already, so that no stage has to be asked twice."""
    origin.paths["/items"] = ok(b"items", "cache-control: max-age=600")
    origin.paths["/warm"] = ok(b"warm", "cache-control: no-store")
    await lane.call("/products/warm")
    return lane


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("depends_on", "runs"),
    [(DependsOn.HEAD, 1), (DependsOn.ADDRESS, 1), (DependsOn.BODY, 0), (DependsOn.CALL, CALLS), (None, CALLS)],
)
async def test_a_stage_runs_as_often_as_it_declares(
    items: Door, place: int, depends_on: DependsOn | None, runs: int
) -> None:
    counting = Counting(depends_on)
    counting.put(items, place)
    answers = [await items.call("/products/items") for _ in range(CALLS)]
    # A stage isn't asked again for the first one, which waited for the shared tier.
    assert [answer.cache for answer in answers] == ["MISS"] + ["HIT"] * (CALLS - 1)
    assert len(counting.clients) == runs


@pytest.mark.parametrize("place", PLACES)
async def test_a_stage_for_bodies_runs_on_each_call_with_one(items: Door, place: int) -> None:
    counting = Counting(DependsOn.BODY)
    counting.put(items, place)
    for _ in range(CALLS):
        await items.call("/products/items", method="POST", body=b"x")
    assert len(counting.clients) == CALLS


@pytest.mark.parametrize("place", PLACES)
async def test_a_stage_that_depends_on_the_address_runs_for_each_other_address(items: Door, place: int) -> None:
    counting = Counting(DependsOn.ADDRESS)
    counting.refuses = lambda x: x.client == "127.0.0.3"
    counting.put(items, place)
    head = f"GET /products/items HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\n\r\n".encode()
    statuses = [(await items.raw(head, client=f"127.0.0.{last}")).status for last in (1, 1, 2, 3, 3, 1, 3, 2, 1)]
    assert statuses == [200, 200, 200, 403, 403, 200, 403, 200, 200]
    assert [client for client in counting.clients if client == "127.0.0.3"] == ["127.0.0.3"] * 3


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("depends_on", [DependsOn.CALL, None])
async def test_a_remembered_head_goes_past_no_stage_that_depends_on_more(
    items: Door, place: int, depends_on: DependsOn | None
) -> None:
    counting = Counting(depends_on)
    counting.put(items, place)
    assert (await items.call("/products/items")).status == 200
    assert (await items.call("/products/items")).cache == "HIT"
    counting.refuses = lambda x: True
    assert (await items.call("/products/items")).status == 403
    counting.refuses = lambda x: False
    assert (await items.call("/products/items")).cache == "HIT"


@pytest.mark.parametrize("place", PLACES)
async def test_a_refusal_is_never_remembered(items: Door, place: int) -> None:
    counting = Counting(DependsOn.HEAD)
    counting.refuses = lambda x: True
    counting.put(items, place)
    assert [(await items.call("/products/items")).status for _ in range(CALLS)] == [403] * CALLS
    assert len(counting.clients) == CALLS


@pytest.mark.parametrize("place", PLACES)
async def test_what_holds_until_a_moment_is_asked_again_after_it(
    items: Door, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 1_900_000_000.0
    monkeypatch.setattr("apps.gateway.server.http1.time", lambda: clock)
    monkeypatch.setattr("apps.gateway.pipeline.pipeline.time", lambda: clock)
    counting = Counting(DependsOn.HEAD, until=clock + 10)
    counting.put(items, place)
    for at, asked in ((clock, 1), (clock + 9.9, 1), (clock + 10, 2), (clock + 11, 3)):
        clock = at
        assert (await items.call("/products/items")).status == 200
        assert len(counting.clients) == asked


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("depends_on", [DependsOn.HEAD, DependsOn.ADDRESS])
async def test_another_configuration_is_another_question(
    items: Door, published: Published, origin: Origin, place: int, depends_on: DependsOn
) -> None:
    counting = Counting(depends_on)
    counting.put(items, place)
    await items.call("/products/items")
    await items.call("/products/items")
    published.change(api("products", upstreams=origin.url, revision=2))
    await until(lambda: items.gateway.config.part("api:products").revision == 2)
    await items.call("/products/items")
    assert len(counting.clients) == 2


async def test_what_stages_find_out_about_a_head_is_remembered(items: Door) -> None:
    """Each attribute that they set is there on the next call with the head too."""
    seen: list[dict[str, Any]] = []

    class Look(Stage):
        name = "look"

        def __call__(self, x: Call) -> None:
            seen.append({name: value for name, value in vars(x).items() if name not in OF_ONE_CALL})

    items.gateway.pipeline = items.gateway.through((Look(), *items.gateway.stages))
    for _ in range(3):
        await items.call("/products/items", x_forwarded_host="elsewhere")
    first, by_fields, by_bytes = seen
    assert first == by_fields == by_bytes


async def test_what_a_stage_of_a_newcomer_finds_out_is_remembered_too(items: Door) -> None:
    """And nothing of another call: neither its client nor what its server gave it."""
    seen: list[dict[str, Any]] = []

    class Find(Stage):
        name = "find"
        depends_on = DependsOn.HEAD

        def __call__(self, x: Call) -> None:
            x.colour = "red"

    class Look(Stage):
        name = "look"

        def __call__(self, x: Call) -> None:
            seen.append(vars(x).copy())

    items.gateway.pipeline = items.gateway.through((Find(), Look(), *items.gateway.stages))
    head = f"GET /products/items HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\n\r\n".encode()
    for client in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
        await items.raw(head, client=client)
    assert [each["colour"] for each in seen] == ["red"] * 3
    assert [each["client"] for each in seen] == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    assert len({each["call_id"] for each in seen}) == 3
    assert all(each["request_id"] == each["call_id"] for each in seen)


async def test_each_stage_says_what_it_depends_on(gateway: Gateway) -> None:
    assert len(gateway.stages) == STAGES
    assert {each.name: each.depends_on.name for each in gateway.stages} == {
        "route": "HEAD",
        "authenticate": "HEAD",
        "authorize": "HEAD",
        "addresses": "ADDRESS",
        "validate_head": "HEAD",
        "plan_cache": "HEAD",
        "limit": "CALL",
        "validate": "BODY",
    }
