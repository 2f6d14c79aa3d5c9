"""Calls through the gateway, as the demo's applications would make them. Nothing is backdated.

Few things are asked for often and many seldom (Zipf's law), which is what makes a cache work; some calls fail, each in a way
that the dashboards and the call log tell apart.
"""

import asyncio
import itertools
import random
from dataclasses import dataclass, field

import httpx

from apps.demo.catalogue import CATEGORIES
from apps.demo.credentials import Credentials

RATE = 12.0  # calls a second, for the first MINUTES of a demo
MINUTES = 4.0
STEADY_RATE = 1.0  # for as long as it runs: enough for dashboards to move, too little to be felt
ITEMS = 300
AT_ONCE = 20  # calls that wait at the same time; beyond that a tick is left out
TIMEOUT = 10.0

QUESTIONS = (
    *("light tent", "waterproof jacket", "solar lantern", "steel bottle", "folding bicycle", "quiet stove"),
    *("bamboo bench", "warm blanket", "hammock garden", "compass sailing", "radio camping", "boots hiking"),
)


@dataclass(frozen=True)
class DemoCall:
    """One call to make; ``application`` empty: without a key."""

    path: str
    application: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    json: dict[str, int] | None = None


def _rank(chance: random.Random, count: int) -> int:
    """1 to ``count``, the n-th about n times as seldom as the first."""
    return chance.choices(range(1, count + 1), weights=[1 / rank for rank in range(1, count + 1)])[0]


def next_call(chance: random.Random) -> DemoCall:
    """The next call."""
    application = chance.choices(("acme/storefront", "globex/mobile", "globex/reports"), weights=(60, 32, 8))[0]
    language = {"accept-language": chance.choice(("en", "en", "de"))}
    item = _rank(chance, ITEMS)
    if application == "globex/reports":  # its plan is small: some of these are refused
        return DemoCall(f"/catalogue/items/{item}", application, headers=language)
    kinds = {
        "item": 45,
        "list": 12,
        "search": 15,
        "bestsellers": 9,
        "account": 5,
        "stock": 3,
        "delivery": 5,
        "order": 1,
        "unknown": 2,
        "stranger": 2,
        "nobody": 1,
    }
    kind = chance.choices([*kinds], weights=[*kinds.values()])[0]
    if kind == "list":
        return DemoCall(f"/catalogue/items?category={chance.choice(CATEGORIES)}", application, headers=language)
    if kind == "search":
        return DemoCall(f"/search/?q={QUESTIONS[_rank(chance, len(QUESTIONS)) - 1].replace(' ', '+')}", application)
    if kind == "bestsellers":  # globex's application waits for its approval: until then it is refused
        return DemoCall(f"/bestsellers/?category={chance.choice(CATEGORIES)}", application)
    if kind == "account":
        customer = f"Bearer customer-{_rank(chance, 5)}"
        return DemoCall("/account/", "acme/storefront", headers={"authorization": customer})
    if kind == "stock":
        return DemoCall(f"/catalogue/items/{item}/stock", application)
    if kind == "delivery":
        return DemoCall("/delivery/", application)
    if kind == "order":
        return DemoCall(f"/catalogue/items/{item}/orders", application, method="POST", json={"quantity": 1})
    if kind == "unknown":
        return DemoCall(f"/catalogue/items/{900_000 + item}", application)
    if kind == "stranger":
        return DemoCall(f"/catalogue/items/{item}", "", headers={"x-api-key": "a-key-that-nobody-has"})
    if kind == "nobody":
        return DemoCall(f"/catalogue/items/{item}", "")
    return DemoCall(f"/catalogue/items/{item}", application, headers=language)


async def send(
    gateway: str, credentials: Credentials, *, rate: float, minutes: float | None = None, seed: int | None = None
) -> int:
    """Make at most ``rate`` calls a second for ``minutes`` (without them until it is cancelled), ``AT_ONCE`` at most at a time.

    Returns how many were answered. An upstream that fails or is slow, and a gateway that is away, end nothing.
    """
    chance = random.Random(seed)  # noqa: S311 - simulated traffic, no secret
    loop = asyncio.get_running_loop()
    due, answered = loop.time(), 0
    count = None if minutes is None else int(rate * minutes * 60)
    running: set[asyncio.Task[bool]] = set()
    async with httpx.AsyncClient(base_url=gateway, timeout=TIMEOUT, trust_env=False) as client:
        for _ in itertools.islice(itertools.count(), count):
            await asyncio.sleep(max(0.0, due - loop.time()))
            due = max(due, loop.time() - 1) + 1 / rate  # never more than a second's calls are made up for
            finished = {task for task in running if task.done()}
            answered += sum(task.result() for task in finished)
            running -= finished
            if len(running) < AT_ONCE:
                running.add(asyncio.create_task(_make(client, credentials, next_call(chance))))
        answered += sum(await asyncio.gather(*running))
    return answered


async def _make(client: httpx.AsyncClient, credentials: Credentials, call: DemoCall) -> bool:
    headers = dict(call.headers)
    if call.application:
        headers["x-api-key"] = credentials.keys[call.application]
    try:
        await client.request(call.method, call.path, headers=headers, json=call.json)
    except httpx.HTTPError:  # the gateway is being restarted: that is no news here
        return False
    return True
