"""``python -m benchmarks.memory [MIX MEBIBYTES]``: what a worker takes of the machine's memory.

First its tier of 64 MiB with several mixes of sizes. Each mix is filled in a process of its own, with three times as much as fits,
so that memory is given back and taken again; then the process's resident memory is compared with what the tier says of itself.

Then a whole worker under attack: large responses called again and again, ever new heads, targets, keys, statuses and purges.
What it grew by is held against the bounds that its tables say (``apps.gateway.memory``), which are printed; the exit status is
1 where it grew by more.
"""

import asyncio
import gc
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "apimgr.settings")

from apps.cachestore.fair_share import Account
from apps.cachestore.local import Local
from apps.gateway import memory
from apps.gateway.call.call import Call
from apps.gateway.gateway import Gateway, Options
from apps.gateway.server.malloc import keep_large_blocks_apart
from apps.httpcache import ANONYMOUS, Policy, Request, ResponseHead, Store, StoredResponse, on_response, plan_request
from apps.wire.events import Position
from apps.wire.snapshot import API, HeaderRules, Upstream

MEBIBYTES = 64
MIXES = {
    "nothing but heads": (lambda draw: 0, 1),
    "1 kB": (lambda draw: 1000, 1),
    "1 kB, every caller another": (lambda draw: 1000, 10**9),
    "0 to 50 kB": (lambda draw: draw.randint(0, 50_000), 20),
    "10 B to 5 MB, log-uniform": (lambda draw: int(10 ** draw.uniform(1, 6.7)), 20),
    "1 to 8 MB": (lambda draw: draw.randint(10**6, 8 * 10**6), 3),
}


def resident() -> int:
    """This process's resident memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def entry(number: int, body: bytes) -> StoredResponse:
    """A stored answer with a few fields of its own."""
    path = b"/items/%d" % number
    request = Request("GET", "http", b"api.test", path, b"page=%d" % number, (), False)
    head = ResponseHead(
        200,
        (
            (b"cache-control", b"public, max-age=3600"),
            (b"content-type", b"application/json; charset=utf-8"),
            (b"etag", b'"%032x"' % number),
            (b"last-modified", b"Sun, 06 Nov 1994 08:49:37 GMT"),
            (b"surrogate-key", b"items item:%d" % number),
        ),
    )
    now = time.time()
    decision = on_response(plan_request(request, Policy(api="items"), ANONYMOUS), None, head, now, now, (1, 0))
    if not isinstance(decision, Store):
        raise TypeError(decision)
    decision.entry.body = body
    return StoredResponse(decision.entry)


def measure(name: str, capacity: int) -> None:
    """Fill with one mix, print a line; ``capacity`` is in bytes."""
    size, callers = MIXES[name]
    keep_large_blocks_apart()
    draw = random.Random(1)
    entry(0, b"")
    gc.collect()
    before = resident()
    local = Local(capacity)
    number = stored = peak = 0
    while stored < 3 * capacity:
        number += 1
        held = entry(number, os.urandom(size(draw)))
        stored += held.size
        account = Account("tenant", "items", f"caller{number % callers}")
        local.put(held.entry.key, held, account)
        del held
        if number % 10 == 0:
            peak = max(peak, resident() - before)
    peak = max(peak, resident() - before)
    said = local.stats.bytes
    print(
        f"{name:<28}{local.stats.entries:>8,}{local.stats.evictions:>10,}{said / 2**20:>10.1f}{peak / 2**20:>10.1f}"
        f"{peak / capacity:>9.2f}",
        flush=True,
    )


ATTACK = "a worker under attack"


class Large:
    """An upstream's response of 3 MB, with a status of its own for each call that wants one."""

    def __init__(self, target: bytes) -> None:
        size = 3_000_000 if target.startswith(b"/large") else 100
        self.status = 200 if target.startswith(b"/large") else 200 + hash(target) % 300
        self.whole = os.urandom(size)
        self.fields = [(b"cache-control", b"max-age=3600"), (b"content-length", b"%d" % size)]

    async def read(self) -> bytes:
        """Nothing is left."""
        return b""

    def close(self) -> None:
        """Nothing to give back."""


class Upstreams:
    """A client that reaches ``Large`` everywhere."""

    async def send(self, origin: Any, guard: Any, tenant: str, method: str, target: bytes, *rest: Any) -> Large:
        """The response, at once."""
        return Large(target)

    async def close(self) -> None:
        """Nothing is open."""


async def attack(capacity: int) -> tuple[int, int]:
    """Bytes by which a worker grew at most under large responses, and under all the rest besides."""
    folder = Path(tempfile.mkdtemp())
    options = Options(
        worker=0,
        node="benchmark",
        redis_url="redis://127.0.0.1:1/0",
        data_dir=folder,
        spool_dir=folder / "spool",
        key_pepper=b"pepper",
        mac_key=b"k" * 32,
        trust_lease=900.0,
        l1_bytes=capacity,
        cache=None,
    )
    gateway = Gateway(options, Upstreams())
    for slug, authentication in (("open", ("none",)), ("keys", ("none", "api_key"))):
        gateway.config.put(
            API(
                slug=slug,
                tenant=slug,
                revision=1,
                listen_path=f"/{slug}/",
                hosts=(),
                strip_listen_path=True,
                authentication=authentication,
                api_key_header="x-api-key",
                forward_credential=False,
                upstreams=(Upstream("http://127.0.0.1:9/"),),
                connect_timeout=1.0,
                read_timeout=1.0,
                retries=0,
                body_limit=0,
                debug_headers="none",
                request_headers=HeaderRules(),
                response_headers=HeaderRules(),
                policy=Policy(api=slug, tenant=slug),
            )
        )
    gateway.config.moved(Position(1, 1, 0, 1))
    gateway.config.purges.load(1, 0, {})
    gateway.config.trust_lease.renew(time.monotonic())
    gateway.spool.append = lambda record: True  # type: ignore[method-assign]

    async def call(target: bytes, *fields: tuple[bytes, bytes]) -> None:
        headers = ((b"host", b"api.test"), *fields)
        now = time.time()
        x = Call("GET", target, headers, call_id="c", began=time.monotonic(), at=now, client="192.0.2.1")
        outcome = gateway.pipeline.begin(x)
        if x.head_memo is not None:
            gateway.pipeline.remember(b"%b%b" % (target, repr(headers).encode()), x)
        answer = await gateway.pipeline.finish(x, outcome) if not hasattr(outcome, "status") else outcome
        if answer is not None and hasattr(answer, "close"):
            answer.close()
        gateway.metrics.called(x.api.slug, getattr(answer, "status", 0), x.cache, 1.0, x.flags)

    await call(b"/open/large")
    gc.collect()
    before = resident()
    peak = 0
    for number in range(120):
        for _ in range(3):
            await call(b"/open/large%d" % number)
        peak = max(peak, resident() - before)
    after_large = peak
    for number in range(20_000):
        pad = b"y" * (number % 400)
        await call(b"/open/%x?%b" % (number, pad))
        await call(b"/open/large1", *((b"x-%d" % each, b"%x%b" % (number, pad)) for each in range(8)))
        await call(b"/keys/a", (b"x-api-key", b"%032d%b" % (number, pad)), (b"accept-language", b"a%x" % number + pad))
        gateway.store.purges.note([f"p:open:/{number:x}{pad.decode()}"])
        if number % 200 == 0:
            peak = max(peak, resident() - before)
    return after_large, max(peak, resident() - before)


def measure_attack(capacity: int) -> int:
    """Print what each table may take, their sum, and what the worker grew by; 1 where that is more."""
    keep_large_blocks_apart()
    for name, table in sorted(memory.TABLES.items() | memory.OTHERS.items(), key=lambda item: -item[1].size):
        if table.per == memory.WORKER and table.size >= 2**20:
            print(f"{name:<60}{table.size / 2**20:>10.1f}")
    after_large, grown = asyncio.run(attack(capacity))
    # Large responses meet the tier, and what is remembered of the heads that ask for them.
    for_heads = capacity + sum(
        table.size
        for name, table in memory.TABLES.items()
        if name.startswith(("apps.gateway.pipeline.pipeline:", "apps.httpcache."))
    )
    told = (("with large responses", for_heads, after_large), (ATTACK, memory.bound(capacity), grown))
    for name, bound, size in told:
        print(
            f"{name:<28}bound {bound / 2**20:>8.1f}  resident {size / 2**20:>8.1f}  ÷ bound {size / bound:.2f}",
            flush=True,
        )
    return int(any(size > bound for _, bound, size in told))


def main() -> None:
    """Each mix in a process of its own."""
    print(f"{'MiB':<28}{'entries':>8}{'evicted':>10}{'booked':>10}{'resident':>10}{'÷ bound':>9}", flush=True)
    for name in (*MIXES, ATTACK):
        subprocess.run([sys.executable, "-m", "benchmarks.memory", name, str(MEBIBYTES)], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == [ATTACK]:
        sys.exit(measure_attack(int(sys.argv[2]) * 2**20))
    elif len(sys.argv) > 1:
        measure(sys.argv[1], int(sys.argv[2]) * 2**20)
    else:
        main()
