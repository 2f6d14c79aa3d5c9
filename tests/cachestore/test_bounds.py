"""Any interleaving of fetches, 304s, failures, purges, evictions and passing time, on two workers that share a tier:
nothing is ever served beyond the bounds that the origin and the policy declared, to the wrong caller, or after its purge.

The model knows only what was declared with each answer. It shares no code with the core.
"""

import asyncio
import itertools
import json
from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from apps.cachestore.serializer import CacheEntrySerializer
from apps.cachestore.store import ResponseStore
from apps.httpcache import (
    Fetch,
    Identity,
    Policy,
    Refreshed,
    Revalidate,
    Serve,
    Store,
    StoredResponse,
    UpstreamFailure,
    add_tags,
    on_entry,
    on_error,
    response_from,
)
from tests.httpcache.build import NOW, plan, respond
from tests.support.examples import examples

UNREACHABLE_GRACE = 60
POLICY = {"api": "products", "client_directives": "honour", "entity_tags": (("items[*].id", "item:"),)}
TAGS = [
    "a:products",
    "x:products:/items",
    "p:products:/items/1",
    "k:products:item:1",
    "k:products:item:2",
    "k:products:GET /items/{id}",
    "g:products:acme/bot",
    "s:ann",
    "a:other",
]


class SharedTier:
    """A dictionary in place of the server: this test is about orders of events, ``test_store`` about the server."""

    def __init__(self):
        self.values = {}
        self.serializer = CacheEntrySerializer(key=b"k" * 32)

    async def aget_many(self, keys):
        return {key: self.serializer.loads(self.values[key]) for key in keys if key in self.values}

    async def awrite(self, values, gone=(), **how):
        self.values.update({key: self.serializer.dumps(value) for key, value, _ in values})
        for key in gone:
            self.values.pop(key, None)
        return 1

    async def adelete_many(self, keys):
        return sum(self.values.pop(key, None) is not None for key in keys)


@dataclass
class Declared:
    """What was declared with one answer: when it came, for whom, and how long it may be used."""

    caller: str
    language: str | None
    public: bool
    since: float
    max_age: int
    stale_while_revalidate: int
    stale_if_error: int | None
    must_revalidate: bool
    born: int
    shows: frozenset[str] = frozenset()
    """The entities in its body and its operation."""

    def is_named_by(self, tag):
        """Whether a purge of ``tag`` means this answer, by what was declared alone."""
        if tag.startswith("s:"):
            return not self.public and self.caller == tag[2:]
        if tag.startswith("g:"):
            return not self.public and bool(self.caller)
        return tag in (*TAGS[:3], *self.shows)


callers = st.sampled_from(["", "ann", "bob"])
languages = st.sampled_from(["de", "fr"])
lifetimes = st.sampled_from([0, 5, 20])
graces = st.sampled_from([0, 10])
workers = st.sampled_from([0, 1])


class Interleavings(RuleBasedStateMachine):
    """See the module."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        tier = SharedTier()
        self.workers = [ResponseStore(40_000, tier), ResponseStore(0, tier)]
        for worker in self.workers:
            worker.purges.load(1, 0, {})
        self.now = NOW
        self.clock = 0
        self.declared: dict[bytes, Declared] = {}  # by the answer's X-Version, which a 304 gives anew
        self.purged: list[tuple[int, str, bool]] = []  # clock, tag, soft
        self.heard = [0, 0]  # up to which purge each worker has heard
        self.in_flight: list[tuple] = []

    def teardown(self):
        self.loop.close()

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def plan(self, caller, language, directives=""):
        headers = [("Accept-Language", language)]
        if caller:
            headers.append(("Authorization", caller))
        if directives:
            headers.append(("Cache-Control", directives))
        return plan(headers, policy=Policy(**POLICY), identity=Identity("acme", "acme/bot", caller))

    @initialize()
    def begin(self):
        """Nothing is stored yet."""

    # What happens

    @rule(seconds=st.sampled_from([1, 4, 11, 70]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(
        worker=workers,
        caller=callers,
        language=languages,
        max_age=lifetimes,
        swr=graces,
        sie=st.none() | graces,
        vary=st.booleans(),
        public=st.booleans(),
        must_revalidate=st.booleans(),
        wait=st.booleans(),
        shows=st.sets(st.integers(1, 3)),
        operation=st.sampled_from(["GET /items/{id}", "GET /items"]),
    )
    def fetch(self, worker, caller, language, max_age, swr, sie, vary, public, must_revalidate, wait, shows, operation):
        """An answer comes; with ``wait`` it is still on its way when the next things happen."""
        store = self.workers[worker]
        directives = [f"max-age={max_age}", f"stale-while-revalidate={swr}"]
        directives += [f"stale-if-error={sie}"] if sie is not None else []
        directives += ["public"] * public + ["must-revalidate"] * must_revalidate
        version = b"%d" % len(self.declared)
        fields = [("Cache-Control", ", ".join(directives)), ("ETag", '"a"'), ("X-Version", version.decode())]
        fields += [("Content-Type", "application/json")]
        fields += [("Vary", "Accept-Language")] * vary
        self.declared[version] = Declared(
            caller,
            language if vary else None,
            public or must_revalidate,
            self.now,
            max_age,
            0 if must_revalidate else swr,
            0 if must_revalidate else sie,
            must_revalidate,
            self.heard[worker],
            frozenset({*(f"k:products:item:{each}" for each in shows), f"k:products:{operation}"}),
        )
        the_plan = self.plan(caller, language)
        decision = respond(the_plan, fields, at=self.now, birth=store.purge_clock())
        assert isinstance(decision, Store)
        decision.entry.body = json.dumps({"items": [{"id": each} for each in shows]}).encode()
        add_tags(decision.entry, Policy(**POLICY), operation)
        self.in_flight.append((store, the_plan, decision.entry))
        if not wait:
            self.arrive()

    @rule()
    def arrive(self):
        """All answers on their way are stored."""
        for store, the_plan, entry in self.in_flight:
            self.run(store.put(the_plan, entry))
        self.in_flight = []

    @rule(worker=workers, caller=callers, language=languages, max_age=lifetimes)
    def not_modified(self, worker, caller, language, max_age):
        store, the_plan = self.workers[worker], self.plan(caller, language)
        held = self.run(store.find(the_plan, self.now))
        if held is None or not isinstance(on_entry(the_plan, held, self.now), Revalidate | Serve):
            return
        known, version = self.known(held), b"%d" % len(self.declared)
        fields = [("Cache-Control", f"max-age={max_age}" + ", public" * known.public), ("X-Version", version.decode())]
        decision = respond(the_plan, fields, status=304, held=held, at=self.now, birth=store.purge_clock())
        assert isinstance(decision, Refreshed)
        add_tags(decision.entry, Policy(**POLICY), next(tag[11:] for tag in known.shows if "GET" in tag))
        self.declared[version] = replace(
            known,
            since=self.now,
            max_age=max_age,
            born=self.heard[worker],
            stale_while_revalidate=0,
            stale_if_error=None,
            must_revalidate=False,
        )
        self.run(store.put(the_plan, decision.entry))

    @rule(tag=st.sampled_from(TAGS), soft=st.booleans(), late=st.booleans())
    def purge(self, tag, soft, late):
        """Something is purged; ``late``: the second worker hears of it later."""
        self.clock += 1
        self.purged.append((self.clock, tag, soft))
        self.hear(0)
        if not late:
            self.hear(1)
        for who, caller, language in itertools.product((0, 1), ("", "ann", "bob"), ("de", "fr")):
            self.look(who, caller, language, "", shared=True)

    @rule(worker=workers)
    def hear(self, worker):
        """A worker hears of all purges until now."""
        for clock, tag, soft in self.purged[self.heard[worker] :]:
            self.workers[worker].purges.apply([tag], clock, soft)
        self.heard[worker] = self.clock

    @rule()
    def evict(self):
        self.workers[0].local.clear()

    @rule()
    def lose_the_shared_tier(self):
        self.workers[0]._backend.values.clear()

    # What is served

    @rule(
        worker=workers,
        caller=callers,
        language=languages,
        directives=st.sampled_from(["", "no-cache", "max-stale=7", "max-age=3", "min-fresh=4"]),
        shared=st.booleans(),
    )
    def call(self, worker, caller, language, directives, shared):
        self.look(worker, caller, language, directives, shared)

    def look(self, worker, caller, language, directives, shared):
        store, the_plan = self.workers[worker], self.plan(caller, language, directives)
        held = self.run(store.find(the_plan, self.now)) if shared else store.find_local(the_plan, self.now)
        decision = on_entry(the_plan, held, self.now)
        if isinstance(decision, Serve):
            self.check(worker, decision.stored, caller, language)
            known = self.known(decision.stored)
            age = self.now - known.since
            softened = self.was_purged(worker, known, soft=True)
            if not decision.stale:
                assert age < known.max_age
                assert not softened
                assert directives != "no-cache"
                assert directives != "max-age=3" or age <= 3
                assert directives != "min-fresh=4" or known.max_age - age >= 4
            elif decision.refresh:
                assert age < known.max_age + known.stale_while_revalidate
                assert directives in ("", "max-stale=7", "max-age=3")
            else:
                assert directives == "max-stale=7"
                assert age <= known.max_age + 7
                assert not known.must_revalidate
            assert dict(response_from(decision.stored, the_plan, self.now).headers)[b"age"] == b"%d" % age
        else:
            assert isinstance(decision, Revalidate | Fetch)

    @rule(
        worker=workers,
        caller=callers,
        language=languages,
        failure=st.sampled_from([UpstreamFailure.UNREACHABLE, UpstreamFailure.BROKEN, 500, 503]),
    )
    def fail(self, worker, caller, language, failure):
        store, the_plan = self.workers[worker], self.plan(caller, language)
        held = self.run(store.find(the_plan, self.now))
        decision = on_error(the_plan, held, failure, self.now)
        if isinstance(decision, Serve):
            self.check(worker, decision.stored, caller, language)
            known = self.known(decision.stored)
            grace = known.stale_if_error
            if grace is None:
                grace = UNREACHABLE_GRACE if isinstance(failure, UpstreamFailure) else 0
            assert self.now - known.since < known.max_age + grace

    def known(self, held: StoredResponse) -> Declared:
        return self.declared[dict(held.entry.headers)[b"x-version"]]

    def was_purged(self, worker, known: Declared, *, soft):
        """Whether a purge that the worker has heard of, and that came after the answer's fetch began, means it."""
        heard = self.purged[: self.heard[worker]]
        return any(clock > known.born and kind is soft and known.is_named_by(tag) for clock, tag, kind in heard)

    def check(self, worker, held: StoredResponse, caller, language):
        known = self.known(held)
        assert known.language in (None, language)
        assert not self.was_purged(worker, known, soft=False)
        if known.caller:
            assert known.public or known.caller == caller
        elif caller:
            assert known.public, "an anonymous answer is for a call with credentials only if the origin says so"


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=examples(150), stateful_step_count=30)
