"""``python -m benchmarks.purge [ENTRIES]``: what a purge of a tag with a million entries costs beside one with ten.

Two real Valkeys, as in an installation: the shared tier with all entries in it, and the state with the purge clock. Each
tag is purged a hundred times, in turns. Takes about two minutes and 1.5 GB of memory with a million entries.
"""

import asyncio
import dataclasses
import hashlib
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "apimgr.settings")
FOLDER = tempfile.TemporaryDirectory(prefix="apimgr-purge-")
os.environ["APIMGR_DATA"] = FOLDER.name

import django  # noqa: E402

django.setup()

from apps.cachestore import eviction, purges  # noqa: E402
from apps.cachestore.backend import ResponsesCache  # noqa: E402
from apps.cachestore.fair_share import UNCHARGED  # noqa: E402
from apps.cachestore.store import ResponseStore  # noqa: E402
from apps.httpcache import (  # noqa: E402
    ANONYMOUS,
    Policy,
    Request,
    RequestPlan,
    ResponseHead,
    Store,
    StoredResponse,
    on_response,
    plan_request,
)
from apps.httpcache.invalidation import tag_of_key  # noqa: E402
from apps.supervisor.valkey import EmbeddedValkey, ValkeyRole, ValkeySettings  # noqa: E402
from apps.wire import redis_names  # noqa: E402

FEW, MANY = 10, 1_000_000
ROUNDS = 100
BATCH = 5000
POLICY = Policy(api="products")


def plan(path: str) -> RequestPlan:
    """A call for ``path``."""
    return plan_request(Request("GET", "http", b"api.test", path.encode(), None, (), False), POLICY, ANONYMOUS)


def held(path: str, tag: str) -> tuple[RequestPlan, StoredResponse]:
    """A call, and the small answer to it that carries ``tag``."""
    the_plan, now = plan(path), time.time()
    head = ResponseHead(200, ((b"cache-control", b"max-age=3600"), (b"surrogate-key", tag.encode())))
    decision = on_response(the_plan, None, head, now, now, (1, 0))
    if not isinstance(decision, Store):
        raise TypeError(decision)
    decision.entry.body = b'{"id":1}'
    return the_plan, StoredResponse(decision.entry)


def fill(cache: ResponsesCache, tag: str, count: int) -> None:
    """Store ``count`` entries with ``tag``, each under a key and a path of its own."""
    redis = cache.client.get_client(write=True)
    _, pattern = held(f"/{tag}/0", tag)
    for start in range(0, count, BATCH):
        pipeline = redis.pipeline(transaction=False)
        for number in range(start, min(start + BATCH, count)):
            path = f"/{tag}/{number}".encode()
            key = hashlib.sha256(path).digest() if number else pattern.entry.key
            entry = dataclasses.replace(pattern.entry, key=key, path=path)
            value = eviction.marked(cache.client.encode(entry), UNCHARGED)
            pipeline.set(str(cache.client.make_key(key.hex())), value, px=3_600_000)
        pipeline.execute()


def microseconds(seconds: list[float]) -> str:
    """Median and the middle half."""
    low, middle, high = statistics.quantiles(seconds, n=4)
    return f"{middle * 1e6:>8.1f} µs  (half of them {low * 1e6:.1f} to {high * 1e6:.1f})"


async def is_found(worker: ResponseStore, tag: str) -> bool:
    """Whether a call finds the first entry with ``tag`` in the shared tier."""
    return await worker.find(plan(f"/{tag}/0"), time.time()) is not None


def main(many: int) -> None:
    """Fill, purge in turns, print."""
    folder = Path(FOLDER.name)
    servers = [
        EmbeddedValkey(ValkeySettings(role=role, folder=folder / role, socket=folder / f"{role}.sock", maxmemory=size))
        for role, size in ((ValkeyRole.STATE, 0), (ValkeyRole.CACHE, 8 * 2**30))
    ]
    try:
        for server in servers:
            server.start()
        state, cache = servers[0].client(), ResponsesCache(servers[1].url, {})
        state.hset(redis_names.EPOCH, mapping={"incarnation": 1, "n": 1, "seq": 1})
        tags = {f"few{FEW}": FEW, f"many{many}": many}
        for tag, count in tags.items():
            began = time.perf_counter()
            fill(cache, tag, count)
            print(f"{count:>9,} entries with the tag {tag} stored in {time.perf_counter() - began:.1f} s")
        print(f"The shared tier holds {servers[1].client().dbsize():,} keys.\n")

        worker = ResponseStore(64 * 2**20, cache)
        worker.purges.load(1, 0, {})
        with asyncio.Runner() as loop:
            found = {tag: loop.run(is_found(fresh_worker(cache), tag)) for tag in tags}
            scripted: dict[str, list[float]] = {tag: [] for tag in tags}
            applied: dict[str, list[float]] = {tag: [] for tag in tags}
            purges.purge(state, [tag_of_key("products", "first")])
            for _ in range(ROUNDS):
                for tag in tags:
                    began = time.perf_counter()
                    clock = purges.purge(state, [tag_of_key("products", tag)])
                    scripted[tag].append(time.perf_counter() - began)
                    began = time.perf_counter()
                    worker.purges.apply([tag_of_key("products", tag)], clock, False)
                    applied[tag].append(time.perf_counter() - began)
            after = {tag: loop.run(is_found(worker, tag)) for tag in tags}
        print(f"{ROUNDS} purges of each, in turns:")
        for tag, count in tags.items():
            print(f"{count:>9,} entries: in Redis, with its event  {microseconds(scripted[tag])}")
            print(f"{'':>9}           in a worker's table     {microseconds(applied[tag])}")
            print(f"{'':>9}           found before: {found[tag]}, after: {after[tag]}")
        ratio = statistics.median(scripted[f"many{many}"]) / statistics.median(scripted[f"few{FEW}"])
        print(f"\n{many:,} entries ÷ {FEW} entries: {ratio:.2f}")
    finally:
        for server in servers:
            server.stop()
        FOLDER.cleanup()


def fresh_worker(cache: ResponsesCache) -> ResponseStore:
    """A worker that knows of no purge."""
    made = ResponseStore(0, cache)
    made.purges.load(1, 0, {})
    return made


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else MANY)
