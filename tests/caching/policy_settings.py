"""Every field of a cache policy with another value than its default, and something that the cache does otherwise under it.

They stand apart from the tests so that every door can be tried with each of them.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from apps.cachestore.fair_share import Account
from apps.cachestore.local import Local
from apps.httpcache import (
    CacheEntry,
    Identity,
    Policy,
    ResponseHead,
    Store,
    StoredResponse,
    on_response,
    on_unsafe,
    response_from,
)
from apps.httpcache.entity_tags import add_tags
from apps.httpcache.vary import placement
from tests.httpcache.build import BIRTH, NOW, pairs, plan, request, respond

FRESH = ("Cache-Control", "max-age=100")
ALICE = Identity("acme", "acme/bot", "alice")


def entry_of(policy: Policy, answered: Any = (FRESH,), *, status: int = 200, **parts: Any) -> CacheEntry | None:
    """What is stored of an answer under ``policy``, by the worst chance; ``None``: nothing."""
    the_plan = plan(policy=policy, **parts)
    decision = on_response(the_plan, None, ResponseHead(status, pairs(answered)), NOW, NOW, BIRTH, 1.0)
    return decision.entry if isinstance(decision, Store) else None


def until(policy: Policy, name: str = "fresh_until", answered: Any = (), **parts: Any) -> float | None:
    """For how long an answer is of a certain use, in seconds."""
    entry = entry_of(policy, answered, **parts)
    return None if entry is None else getattr(entry, name) - NOW


def tags(policy: Policy) -> tuple[str, ...]:
    entry = entry_of(policy, [FRESH, ("Content-Type", "application/json")])
    assert entry is not None
    entry.body = b'{"id": 7}'
    add_tags(entry, policy, "")
    return entry.tags


def told(policy: Policy) -> tuple[tuple[bytes, bytes], ...]:
    """What a cache behind the gateway sees of a hit."""
    headers = [FRESH, ("Surrogate-Control", "max-age=9")]
    entry = entry_of(replace(policy, jitter=0.0), headers)
    assert entry is not None
    return response_from(StoredResponse(entry), plan(policy=policy), NOW).headers


def variants_kept(policy: Policy) -> int:
    known: Any = None
    for language in ("de", "fr", "it"):
        entry = entry_of(policy, [FRESH, ("Vary", "X-Tongue")], headers=[("X-Tongue", language)])
        assert entry is not None
        records, _gone = placement(known, entry, policy.max_variants)
        known = records[0][1]
    return len(known.keys)


def kept_in_memory(policy: Policy) -> int:
    local = Local(2**20)
    for number in range(3):
        entry = entry_of(policy, path=f"/items/{number}")
        assert entry is not None
        entry.body = bytes(4000)
        local.put(entry.key, StoredResponse(entry), Account(policy.tenant, policy.api, ""), policy.max_size)
    return local.stats.entries


def post(policy: Policy, body: bytes) -> bytes | None:
    the_plan = plan([("Content-Type", "application/json")], policy=policy, method="POST", body=body)
    return None if the_plan.bypass else the_plan.keys[0]


class Setting(NamedTuple):
    """A value of a field that isn't its default: in the file's words, as the model has it, as it is compiled."""

    words: dict[str, Any]
    stored: Any
    compiled: Any
    seen: Callable[[Policy], Any]
    """Something that the cache does otherwise under it."""
    base: dict[str, Any] = {}
    """What else the policy has to say for that."""


SETTINGS: dict[str, Setting] = {
    "mode": Setting({"mode": "off"}, "off", "off", lambda policy: plan(policy=policy).bypass),
    "ttl": Setting({"ttl": "90s"}, 90.0, 90.0, until, {"mode": "ttl"}),
    "stale_while_revalidate": Setting(
        {"stale_while_revalidate": "20s"}, 20.0, 20.0, lambda policy: until(policy, "swr_until", [FRESH])
    ),
    "stale_if_error": Setting(
        {"stale_if_error": "20s"}, 20.0, 20.0, lambda policy: until(policy, "sie_5xx_until", [FRESH])
    ),
    "negative_ttl": Setting({"negative_ttl": "5s"}, 5.0, 5.0, lambda policy: until(policy, status=404)),
    "jitter": Setting({"jitter": 0.5}, 0.5, 0.5, lambda policy: until(policy, answered=[FRESH])),
    "methods": Setting(
        {"methods": ["GET"]}, ["GET"], ("GET",), lambda policy: plan(policy=policy, method="HEAD").bypass
    ),
    "body": Setting(
        {"body": "raw"},
        "raw",
        "raw",
        lambda policy: post(policy, b"{}") == post(policy, b"{ }"),
        {"methods": ("POST",)},
    ),
    "query_mode": Setting(
        {"query": {"mode": "exclude", "names": ["b"]}},
        "exclude",
        "exclude",
        lambda policy: plan(policy=policy, query="b=1&a=2").query,
        {"query_names": ("b",)},
    ),
    "query_names": Setting(
        {"query": {"mode": "exclude", "names": ["b"]}},
        ["b"],
        ("b",),
        lambda policy: plan(policy=policy, query="b=1&a=2").query,
        {"query_mode": "exclude"},
    ),
    "query_sorted": Setting(
        {"query": {"sorted": True}}, True, True, lambda policy: plan(policy=policy, query="b=1&a=2").query
    ),
    "headers": Setting(
        {"headers": ["x-tier"]}, ["x-tier"], ("x-tier",), lambda policy: plan([("X-Tier", "gold")], policy=policy).keys
    ),
    "scope": Setting({"scope": "tenant"}, "tenant", "tenant", lambda policy: plan(policy=policy, identity=ALICE).base),
    "share_with_credentials": Setting(
        {"share_with_credentials": True},
        True,
        True,
        lambda policy: respond(plan([("Cookie", "a=1")], policy=policy), [FRESH]).entry.rule,
    ),
    "client_directives": Setting(
        {"client_directives": "ignore"},
        "ignore",
        "ignore",
        lambda policy: plan([("Cache-Control", "no-cache")], policy=policy).directives.no_cache,
    ),
    "store_set_cookie": Setting(
        {"store_set_cookie": True}, True, True, lambda policy: entry_of(policy, [FRESH, ("Set-Cookie", "a=1")]) is None
    ),
    "origin_stale_beside_s_maxage": Setting(
        {"origin_stale_beside_s_maxage": True},
        True,
        True,
        lambda policy: until(policy, "swr_until", [("Cache-Control", "s-maxage=9, stale-while-revalidate=30")]),
    ),
    "max_body": Setting(
        {"limits": {"body": 10}}, 10, 10, lambda policy: entry_of(policy, [FRESH, ("Content-Length", "11")]) is None
    ),
    "max_variants": Setting({"limits": {"variants": 2}}, 2, 2, variants_kept),
    "max_size": Setting({"limits": {"size": "9kB"}}, 9000, 9000, kept_in_memory),
    "entity_tags": Setting(
        {"entity_tags": [{"json": "id", "tag": "item:"}]},
        [{"json": "id", "tag": "item:"}],
        (("id", "item:"),),
        tags,
    ),
    "collections": Setting(
        {"collections": False},
        False,
        False,
        lambda policy: on_unsafe(
            request("DELETE", "/items/7"),
            policy,
            ResponseHead(204, ()),
            operations=[("GET", "/items"), ("DELETE", "/items/{id}")],
        ),
    ),
    "downstream": Setting({"downstream": {"cache_control": "2m"}}, "120", "120", told),
    "surrogate_control": Setting({"downstream": {"surrogate_control": "pass"}}, "pass", "pass", told),
    "sensitivity": Setting(
        {"sensitivity": "personal"}, "personal", "personal", lambda policy: plan(policy=policy, identity=ALICE).base
    ),
}

OF_THE_API = {"api", "credential_headers", "group", "open_to_all", "tenant"}
"""What a compiled policy has of its API rather than of settings."""
