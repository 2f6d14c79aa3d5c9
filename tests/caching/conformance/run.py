"""All checks through real gateways on real sockets, as a caller with Node's ``fetch`` and an origin on Node would make them.

The checks run side by side, each with an address of its own. Where one lets three seconds pass, it waits for the others to have
come to their next pause too; then the clock of the whole process is moved. So a run takes as long as its calls do.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from apps.httpcache import Policy
from tests.caching.conformance import freshness, reuse, storing
from tests.caching.conformance.judge import PASSED, Answer, Missed, Seen, judge, value_of
from tests.caching.conformance.table import BY_DATE, BY_TAG, OPTIMAL, REQUIRED, Check, Step
from tests.gateway.house import Origin as Listening
from tests.gateway.house import api, read_body
from tests.httpcache.build import NOW
from tests.httpcache.on_sockets import Site, _serves
from tests.support.waiting import until

CHECKS: tuple[Check, ...] = (*freshness.CHECKS, *storing.CHECKS, *reuse.CHECKS)

PAUSE = 3
"""Seconds that pass where a check pauses."""

AT_ONCE = 40
"""Checks whose calls are under way at one time."""

NO_CONDITION = 599
"""What the origin answers where it should have got a condition."""

SLUG = "checked"

POLICY = Policy(api=SLUG, store_set_cookie=True)
"""What an API gets without a word about caching, but for cookies."""


class Origin:
    """The origin's side of one check: what it says at each step, and what it saw."""

    def __init__(self, check: Check, token: str) -> None:
        self.steps, self.token = check.steps, token
        self.seen: list[Seen] = []

    async def __call__(self, origin, head, reader, writer) -> None:
        first, *lines = head.split(b"\r\n")[:-2]
        await read_body(head, reader)
        method, target, _ = first.decode().split(" ")
        got: dict[str, str] = {}
        for line in lines:
            name, _, value = line.decode("latin-1").partition(":")
            name, value = name.lower(), value.strip()
            got[name] = f"{got[name]}, {value}" if name in got else value
        number = int(got["req-num"])
        step, before = self.steps[number - 1], self.steps[number - 2] if number > 1 else None
        if step.after:
            passing = self.passes(step.after)
            if passing is not None:
                await passing
        now = time.time()
        for status, fields in step.interim:
            told = "".join(f"{name}: {value}\r\n" for name, value in fields)
            writer.write(f"HTTP/1.1 {status} Interim\r\n{told}\r\n".encode())
        status = self._status(step, before, got, now)
        said = [(each.name, self._value(step, each, target, now), each.checked) for each in step.says]
        checked: dict[str, list[str]] = {}
        for name in (each.name for each in step.says if each.checked):
            checked[name] = [value for known, value, _ in said if known == name]
        self.seen.append(Seen(number, method, got, [(name, ", ".join(values)) for name, values in checked.items()]))
        if step.breaks_off:
            writer.close()
            return
        named = {each.name.lower() for each in step.says}
        content = (self.token if step.content is None else step.content).encode()
        answer = [
            f"HTTP/1.1 {status} Said",
            f"Server-Base-Url: {target}",
            f"Server-Request-Count: {len(self.seen)}",
            f"Client-Request-Count: {number}",
            f"Server-Now: {now}",
            *(f"{name}: {value}" for name, value, _ in said),
            f"Request-Numbers: {' '.join(str(each.number) for each in self.seen)}",
        ]
        if "content-type" not in named:
            answer.append("Content-Type: text/plain")
        if "date" not in named:
            answer.append(f"Date: {value_of('date', 0, now)}")
        if "connection" not in named:
            answer.append("Connection: keep-alive")
        if status not in (204, 304) and not named & {"content-length", "transfer-encoding"}:
            answer.append(f"Content-Length: {len(content)}")
        if method == "HEAD" or status in (204, 304):
            content = b""
        writer.write("\r\n".join([*answer, "", ""]).encode("latin-1") + content)
        if "transfer-encoding" in named:
            writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.drain()

    @staticmethod
    def passes(seconds: int) -> Awaitable[None] | None:
        """Time that the origin takes. The runner says how it passes."""

    def _status(self, step: Step, before: Step | None, got: dict[str, str], now: float) -> int:
        if step.comes not in (BY_TAG, BY_DATE) or before is None:
            return step.status or 200
        for name, condition in (("last-modified", "if-modified-since"), ("etag", "if-none-match")):
            validator = next((each for each in reversed(before.says) if each.name.lower() == name), None)
            if validator is None or condition not in got:
                continue
            if isinstance(validator.value, int) or got[condition] == validator.value:
                return 304
        return NO_CONDITION

    def _value(self, step: Step, field, target: str, now: float) -> str:
        if step.own_locations and field.name in ("Location", "Content-Location"):
            return f"{target}/{field.value}" if field.value else target
        return value_of(field.name, field.value, now)


@dataclass
class Result:
    """What came of a check: ``passed``, or what was missed."""

    check: Check
    said: str

    @property
    def passed(self) -> bool:
        return self.said == PASSED


class Results:
    """What came of all checks. One that needs a failed one failed too."""

    def __init__(self, results: list[Result]) -> None:
        self.by_name = {each.check.name: each for each in results}
        for each in results:
            if each.passed and (missing := self._missing(each.check)):
                each.said = f"needs {missing}"

    def _missing(self, check: Check) -> str:
        for need in check.needs:
            if not self.by_name[need].passed or self._missing(self.by_name[need].check):
                return need
        return ""

    def failed(self, kind: str) -> dict[str, str]:
        return {name: each.said for name, each in self.by_name.items() if each.check.kind == kind and not each.passed}

    def passed(self, kind: str) -> int:
        return sum(each.passed for each in self.by_name.values() if each.check.kind == kind)

    def __str__(self) -> str:
        of = {kind: sum(each.check.kind == kind for each in self.by_name.values()) for kind in (REQUIRED, OPTIMAL)}
        return ", ".join(f"{kind} {self.passed(kind)}/{total}" for kind, total in of.items())


def run(site: Site, checks: tuple[Check, ...] = CHECKS) -> Results:
    """All ``checks`` through the site's gateways, whose clock moves on. Calls go to them in turn."""
    site.traveller.move_to(NOW)
    site.published.change(
        api(SLUG, policy=POLICY, authentication=("none",), upstreams=site.listening.url + "/origin", retries=1)
    )
    return site.run(_run(site, checks))


async def _run(site: Site, checks: tuple[Check, ...]) -> Results:
    for door in site.doors:
        await until(partial(_serves, door, SLUG))
    ports = [door.port for door in site.doors]
    quick = [check for check in checks if not any(step.after for step in check.steps)]
    slow = [check for check in checks if check not in quick]
    results: list[Result] = []
    for group in (quick, slow):
        runs = [_Run(ports, site.listening, check, partial(_told, site)) for check in group]
        if group is slow:
            for each in runs:
                each.origin.passes = site.traveller.shift
        turns = asyncio.Semaphore(AT_ONCE)
        while any(not each.ended for each in runs):
            await asyncio.gather(*(each.until_pause(turns) for each in runs if not each.ended))
            # What was refreshed in the background belongs to the time before the pause.
            await until(lambda: not any(door.gateway.coalescer._running for door in site.doors))
            site.traveller.shift(PAUSE)
        results += [Result(each.check, each.verdict()) for each in runs]
    return Results(results)


async def _told(site: Site) -> None:
    """Wait until all workers know of the last invalidation: a busy test machine may need longer than an answer waits."""
    clock = max(door.gateway.store.purges.clock for door in site.doors)
    await until(lambda: all(door.gateway.store.purges.clock >= clock for door in site.doors))


async def run_live(port: int, origin: Listening, checks: tuple[Check, ...] = CHECKS) -> Results:
    """All checks through a gateway that runs elsewhere, under the real clock.

    It needs an API under ``/checked/`` without authentication, ``store_set_cookie`` on, whose upstream is ``/origin``
    of ``origin``.
    """
    turns = asyncio.Semaphore(AT_ONCE)

    async def through(check: Check) -> Result:
        run = _Run([port], origin, check)
        run.origin.passes = asyncio.sleep
        while not run.ended:
            await run.until_pause(turns)
            await asyncio.sleep(PAUSE)
        return Result(check, run.verdict())

    return Results(list(await asyncio.gather(*map(through, checks))))


class _Run:
    """One check under way."""

    def __init__(
        self, ports: list[int], listening: Listening, check: Check, told: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.ports, self.check, self.told = ports, check, told
        self.token = f"{len(check.name):04}-{check.name}".lower()[:36].ljust(36, "0")
        self.origin = Origin(check, self.token)
        self.answers: list[Answer] = []
        self.broken = ""
        for step in check.steps:
            below = f"/{step.below}" if step.below else ""
            listening.paths[f"/origin/{check.name}{below}"] = self.origin

    @property
    def ended(self) -> bool:
        return bool(self.broken) or len(self.answers) == len(self.check.steps)

    async def until_pause(self, turns: asyncio.Semaphore) -> None:
        async with turns:
            while not self.ended:
                step = self.check.steps[len(self.answers)]
                try:
                    async with asyncio.timeout(30):
                        self.answers.append(await self._call(step, len(self.answers) + 1))
                except (OSError, asyncio.IncompleteReadError, ValueError, TimeoutError) as error:
                    self.broken = f"(preparing) the call failed: {error!r}"
                if step.method not in ("GET", "HEAD") and self.told is not None:
                    await self.told()
                if step.pauses:
                    return

    def verdict(self) -> str:
        if self.broken:
            return self.broken
        try:
            judge(self.check, self.answers, self.origin.seen, self.token)
        except Missed as missed:
            return str(missed)
        return PASSED

    async def _call(self, step: Step, number: int) -> Answer:
        port = self.ports[number % len(self.ports)]
        path = f"/{SLUG}/{self.check.name}"
        path += f"/{step.below}" if step.below else ""
        path += f"?{step.query}" if step.query else ""
        now = float(self.answers[-1].fields.get("server-now", 0)) if self.answers else 0.0
        asked = {
            "host": "api.test",
            "connection": "keep-alive",
            "pragma": "foo",
            "cache-control": "nothing-to-see-here",
        }
        for name, value in step.asks:
            text = value_of(name, value, now, old_dates=step.old_dates).strip()
            key = name.lower()
            asked[key] = f"{asked[key]}, {text}" if key in asked else text
        asked |= {"test-id": self.check.name, "req-num": str(number)}
        for name, value in (("accept", "*/*"), ("accept-language", "*"), ("sec-fetch-mode", "cors")):
            asked.setdefault(name, value)
        asked |= {"user-agent": "node", "accept-encoding": "identity" if "range" in asked else "gzip, deflate"}
        body = (step.body or "").encode()
        if step.body is not None:
            asked["content-length"] = str(len(body))
        lines = [f"{step.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in asked.items()), "", ""]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write("\r\n".join(lines).encode("latin-1") + body)
            return await _read_answer(reader, step.method)
        finally:
            writer.close()


async def _read_answer(reader: asyncio.StreamReader, method: str) -> Answer:
    interim: list[tuple[int, dict[str, str]]] = []
    while True:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        status = int(first.split(" ")[1])
        fields: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip(" \t")
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        if status >= 200:
            break
        interim.append((status, fields))
    body = b""
    if method != "HEAD" and status not in (204, 304):
        if fields.get("transfer-encoding") == "chunked":
            while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
        elif "content-length" in fields:
            body = await reader.readexactly(int(fields["content-length"]))
        else:
            body = await reader.read()
    return Answer(status, fields, body.decode("latin-1"), interim)
