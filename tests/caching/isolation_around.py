"""That no caller is answered with another's around the core: where the gateway hands answers on, lets warm-ups in and
chooses policies, and where the control plane stores ahead. Like ``isolation``: checks that raise when something leaks.
"""

import asyncio
from types import SimpleNamespace

from django.core.exceptions import ValidationError

from apps import httpcache
from apps.cachestore.fetch_lock import LockAttempt, LockState
from apps.cachestore.serializer import REJECTED, CacheEntrySerializer
from apps.gateway.call.keyed_body import KEYED_BYTES, ReadAhead
from apps.gateway.fetch.coalescer import Coalescer
from apps.gateway.fetch.leadership import leads
from apps.gateway.fetch.lookups import LookupResult, _serves
from apps.gateway.fetch.results import FromStore, Shared
from apps.gateway.pipeline.cache_plan import identity_of
from apps.gateway.pipeline.stages.route import fields_taken
from apps.gateway.pipeline.warm_up_calls import warms
from apps.httpcache.patterns import parse_pattern
from apps.httpcache.policy import Policy
from apps.warming import write_through
from apps.warming.targets import WarmUpCall
from apps.wire import api_keys
from apps.wire import warm_up_token as token
from apps.wire.snapshot import API, Credential, OperationPolicy
from tests.gateway import house
from tests.httpcache.build import ANONYMOUS, BIRTH, NOW, Identity, pairs, plan, respond, stored

FRESH = ("Cache-Control", "max-age=60")
KEY = b"k" * 32
ANN, BOB = ([("Authorization", name)] for name in ("ann", "bob"))


class _Purges:
    incarnation = None


def _subscribed(waiter, outcome):
    """What a caller gets of the outcome of somebody else's fetch."""

    async def run():
        done = asyncio.get_running_loop().create_future()
        done.set_result(outcome)
        fetch = SimpleNamespace(outcome=done, subscribers=0, x=None, leave=lambda: None)
        x = SimpleNamespace(cache_plan=waiter, flags=())
        store = SimpleNamespace(purges=_Purges())
        return await Coalescer(store, None, None)._subscribe(fetch, x, True)

    return asyncio.run(run())


def who_waited_gets_only_what_is_his_own():
    whole = SimpleNamespace(has_all=True)
    theirs = [(ANN, BOB, ()), (ANN, (), ()), ([("Foo", "1")], [("Foo", "2")], [("Vary", "Foo")])]
    for leader, waiter, fields in theirs:
        held = stored([FRESH, *fields], the_plan=plan(leader))
        assert _subscribed(plan(waiter), FromStore(held, httpcache.Reason.VALIDATED, True)) is None
        judged = respond(plan(leader), [FRESH, *fields])
        assert _subscribed(plan(waiter), Shared(judged, 200, (), whole)) is None


def what_one_look_found_is_not_handed_to_another_variant():
    held = stored([FRESH, ("Vary", "Foo")], the_plan=plan([("Foo", "1")]))
    assert not _serves(LookupResult(held, None, httpcache.Reason.NOT_FOUND), plan([("Foo", "2")]))
    claim = LockAttempt(LockState.LEADING, "token")
    assert not _serves(LookupResult(None, claim, httpcache.Reason.VARY_MISMATCH), plan([("Foo", "2")]))


def _after_waiting(the_plan, found, decision=None):
    """What a fetch resolves to that waited for another worker's lock, and then finds this in the shared tier."""

    class Locks:
        stats = SimpleNamespace(takeovers=0)

        async def changed(self, key, token):
            return None

    async def look(plan, now):
        return found, LockAttempt(LockState.BESIDE, "")

    done = []

    async def run():
        store = SimpleNamespace(locks=Locks(), look=look, take_lock=look, breaker=SimpleNamespace(is_open=False))
        fetch = SimpleNamespace(
            plan=the_plan,
            decision=decision or httpcache.Fetch(httpcache.Reason.NOT_FOUND),
            lease=None,
            lock_attempt=LockAttempt(LockState.HELD, "theirs"),
            outcome=SimpleNamespace(done=lambda: bool(done)),
            resolve=done.append,
            background=False,
            x=SimpleNamespace(api=house.api()),
        )
        return await leads(store, fetch)

    return asyncio.run(run()), done


def another_workers_answer_is_checked_like_a_hit():
    theirs = stored([FRESH], the_plan=plan(ANN))
    theirs.entry.key = plan(BOB).keys[0]
    assert _after_waiting(plan(BOB), theirs) == (True, [])
    asks, done = _after_waiting(plan(ANN), stored([FRESH], the_plan=plan(ANN)))
    assert not asks
    assert len(done) == 1


def what_was_there_before_is_not_what_another_worker_fetched():
    old = stored([("Cache-Control", "no-cache"), ("ETag", '"1"')])
    decision = httpcache.on_entry(plan(), old, NOW)
    assert isinstance(decision, httpcache.Revalidate)
    assert _after_waiting(plan(), old, decision) == (True, [])


def a_warm_ups_token_lets_in_one_call():
    made = token.make(KEY, api="products", scheme="http", target=b"/products/1", now=NOW).encode()
    good = {"api": "products", "target": b"/products/1", "now": NOW}
    assert token.scheme_of(KEY, made, **good) == "http"
    expires, scheme, mac = made.split(b".")
    longer = b"%d.%b.%b" % (int(expires) + 60, scheme, mac)
    for master, value, changed in (
        (b"o" * 32, made, {}),
        (KEY, made, {"api": "orders"}),
        (KEY, made, {"target": b"/products/2"}),
        (KEY, made, {"now": NOW + token.LIFE}),
        (KEY, longer, {"now": NOW + token.LIFE}),
        (KEY, made.replace(b"http", b"https"), {}),
    ):
        assert token.scheme_of(master, value, **(good | changed)) is None


def a_warm_up_writes_nothing_and_is_not_told_to_the_origin():
    made = token.make(KEY, api="products", scheme="http", target=b"/products/1", now=NOW).encode()
    for method, headers in (("POST", [made]), ("GET", [made, made]), ("GET", [])):
        x = SimpleNamespace(
            headers=tuple((token.HEADER, value) for value in headers),
            method=method,
            api=house.api(),
            target=b"/products/1",
            at=NOW,
            flags=(),
        )
        assert not warms(KEY, x)
    assert fields_taken(house.api(), ((token.HEADER, made), (b"a", b"1")), False) == ((b"a", b"1"),)


def what_an_origin_may_read_as_another_field_or_use_as_a_key_stays_here():
    fields = ((b"x_user_id", b"ann"), (b"x-note", api_keys.make_key().encode()), (b"a", b"1"))
    assert fields_taken(house.api(), fields, False) == ((b"a", b"1"),)


def only_what_is_for_all_is_pushed():
    call, head = WarmUpCall("http", "api.test", "/products/1"), httpcache.ResponseHead(200, pairs([FRESH]))
    for changes, asked in (
        ({"forward_credential": True}, ()),
        ({"policy": Policy(api="products", scope="application")}, ()),
        ({"policy": Policy(api="products", sensitivity="personal")}, ()),
        ({}, pairs(ANN)),
    ):
        try:
            judged = write_through._judge_call(house.api(**changes), call, head, b"body", asked, NOW)
        except ValidationError:
            continue
        raise AssertionError(judged)
    judged = write_through._judge_call(house.api(), call, head, b"body", (), NOW)
    assert (judged.entry.scope, judged.entry.api, judged.entry.path) == (
        httpcache.SharingScope.SHARED,
        "products",
        b"/1",
    )


def each_operation_has_its_own_policy():
    secret, search, own = (Policy(api="products", ttl=number) for number in (1.0, 2.0, 3.0))
    listed = (
        OperationPolicy((), parse_pattern("/account/**"), secret),
        OperationPolicy(("POST",), parse_pattern("/search"), search),
    )
    api = house.api(policy=own, operation_policies=listed)
    asked = {
        ("GET", b"/account/me"): secret,
        ("POST", b"/search"): search,
        ("GET", b"/search"): own,
        ("GET", b"/"): own,
    }
    for (method, path), policy in asked.items():
        assert API.policy_for(api, method, path) is policy


def an_origin_that_sees_the_key_has_subjects():
    ann = Credential(1, "", "active", "acme", "acme/bot", {})
    assert identity_of(house.api(forward_credential=True), ann).told == httpcache.SharingScope.SUBJECT
    assert identity_of(house.api(), ann) != identity_of(house.api(), None) == ANONYMOUS


def a_body_is_not_keyed_by_its_beginning():
    class Body:
        parts = 3

        async def __aiter__(self):
            while self.parts:
                self.parts -= 1
                yield b"x" * (KEYED_BYTES // 2)

    async def run():
        body = Body()
        ahead = ReadAhead(body)
        await ahead.read()
        return ahead.whole, b"".join([part async for part in ahead])

    whole, sent = asyncio.run(run())
    assert whole is None
    assert len(sent) == KEYED_BYTES // 2 * 3


def what_is_at_rest_is_sealed_and_what_is_personal_encrypted():
    serializer = CacheEntrySerializer(key=KEY)
    who = Identity("acme", "acme/one", "ann")
    the_plan = plan(policy=Policy(api="products", sensitivity="personal"), identity=who)
    held = stored([FRESH], the_plan=the_plan, body=b"what nobody may read", birth=BIRTH)
    value = serializer.dumps(held.entry)
    assert b"nobody" not in value
    assert b"acme" not in value
    assert serializer.loads(value) == held.entry
    shared = serializer.dumps(stored([FRESH], body=b"good").entry)
    planted = shared.replace(b"good", b"evil")
    assert planted != shared
    assert serializer.loads(planted) is REJECTED


CHECKS = [
    who_waited_gets_only_what_is_his_own,
    what_one_look_found_is_not_handed_to_another_variant,
    another_workers_answer_is_checked_like_a_hit,
    what_was_there_before_is_not_what_another_worker_fetched,
    a_warm_ups_token_lets_in_one_call,
    a_warm_up_writes_nothing_and_is_not_told_to_the_origin,
    what_an_origin_may_read_as_another_field_or_use_as_a_key_stays_here,
    only_what_is_for_all_is_pushed,
    each_operation_has_its_own_policy,
    an_origin_that_sees_the_key_has_subjects,
    a_body_is_not_keyed_by_its_beginning,
    what_is_at_rest_is_sealed_and_what_is_personal_encrypted,
]
