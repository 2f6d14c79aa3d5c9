"""What the cache would do with a request that somebody typed: the key in parts, the decision with its reason, and the
nearest stored answer with what differs. Nothing is called, stored or counted.

The decision is the gateways' own: the same core, with the API's policy as it is compiled for them, over what the shared
tier holds now. What single workers hold besides is theirs to know.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from msgspec import structs

from apps.access.choices import KeyState
from apps.access.models import APIKey, Application
from apps.caching import http
from apps.caching.http.fields import lines_of
from apps.caching.http.normalise import field_value
from apps.caching.http.plan import shown_field
from apps.caching.models import CachePolicy
from apps.caching.policies import can_explain, sees_others_entries
from apps.caching.shelf import Shelf
from apps.caching.siblings import Sibling
from apps.caching.typed import Typed, typed
from apps.catalog.choices import SERVED
from apps.catalog.models import API
from apps.errors import Unavailable
from apps.fleet.compile import affected_by, compile_api, compile_operation_policies, compile_policy, credentials_of
from apps.fleet.connections import AWAY
from apps.gateway import head_limits, snapshot
from apps.gateway.planning import plan_call
from apps.gateway.problems import Problem
from apps.gateway.read_ahead import KEYED_BYTES
from apps.gateway.stages.authenticate import digest_of
from apps.gateway.stages.route import fields_taken, relative_path
from apps.gateway.world import Routes
from apps.tenants.actors import Actor
from apps.tenants.policies import tenants_of


@dataclass(frozen=True)
class Part:
    """One part of a cache key: ``label`` as in ``apps.caching.http.keys``, ``value`` fit to be shown."""

    label: str
    value: str


@dataclass(frozen=True)
class Difference:
    """One part in which a stored answer's key isn't the request's: ``wanted`` is the request's."""

    label: str
    wanted: str
    stored: str


@dataclass(frozen=True)
class Stored:
    """A stored answer, without its body: times in Unix seconds. ``state`` is ``fresh``, ``stale`` or ``purged``.

    ``scope`` is among whom it may be shared, ``holder`` whose it is in words (tenant, application), as far as whoever
    asks may know; ``rule`` is why it may be shared so.
    """

    key: str
    status: int
    state: str
    stored_at: float
    fresh_until: float
    keep_until: float
    size: int
    scope: str
    holder: str
    rule: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Nearest:
    """The stored answer under the same path that differs in the fewest parts."""

    stored: Stored
    differences: tuple[Difference, ...]
    others: int
    """How many more are stored under this path, as far as whoever asks may see them."""


@dataclass(frozen=True)
class Explanation:
    """What would become of a request, and why.

    ``result`` is ``HIT``, ``STALE``, ``REVALIDATED`` (the upstream would be asked whether the stored answer is still
    right), ``MISS``, ``BYPASS`` or ``REFUSED`` (it never reaches the cache); ``reason`` is a code of
    ``apps.caching.http.Reason`` or of a refusal, ``sentence`` says it to people. ``forwarded`` is the path and query
    that the upstream would see. ``operation`` is the path pattern of the policy that decided, empty for the API's own.
    ``stored`` is what stands under the key, ``nearest`` another stored answer; either may be missing.
    """

    api: str
    method: str
    url: str
    application: str
    result: str
    reason: str
    sentence: str
    key: str = ""
    parts: tuple[Part, ...] = ()
    forwarded: str = ""
    stored: Stored | None = None
    nearest: Nearest | None = None
    operation: str = ""


def explain(
    *,
    actor: Actor,
    url: str,
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (),
    body: bytes | None = None,
    application: Application | None = None,
    api: API | None = None,
    policy: CachePolicy | None = None,
) -> Explanation:
    """Explain one request as ``application`` would make it; without one, as whoever's key is among ``headers``, or as
    nobody.

    ``url`` is a URL of the gateway, or a path with its query as callers send it, listen path included; without a host
    it is the gateway's own address, or the ``Host`` among ``headers``. Given an ``api``, the URL must lead to it.
    ``policy`` is tried in place of the API's own, unsaved or not.

    Raises ``ValidationError`` by field (``url``, ``method``, ``headers``, ``application``), ``PermissionDenied``, and
    ``Unavailable`` when the cache or the state can't be reached.
    """
    call = typed(url, method, headers, body)
    asked = Explanation("", call.method, call.url, str_of(application), "REFUSED", "", "")
    target = http.normalise_target(call.target)
    refused = head_limits.refusal(call.target, "1.1", call.headers)
    if refused is None and target is None:
        refused = Problem.INVALID_REQUEST, "The request target is not a normal path."
    if refused is not None or target is None:
        return _refused(asked, *(refused or (Problem.INVALID_REQUEST,)))
    row = _routed(call.host, target.path)
    if api is not None and (row is None or row.pk != api.pk):
        where = f"{api.slug} is served below {api.listen_path}" if api.state in SERVED else f"{api.slug} is not served"
        raise ValidationError({"url": f"This doesn't lead to the API: {where}."})
    if row is None:
        return _refused(asked, Problem.UNKNOWN_API)
    served = compile_api(row)
    credential, problem = _credential(served, application, call)
    _allow(actor, row, application, credential)
    asked = replace(asked, api=row.slug, application=credential.application if credential else asked.application)
    if problem is None and len(call.body or b"") > served.body_limit:
        problem = Problem.BODY_TOO_LARGE
    if problem is not None:
        return _refused(asked, problem)
    rules = policy or row.cache_policy
    if policy is not None:
        served = structs.replace(
            served, policy=compile_policy(row, policy), operation_policies=compile_operation_policies(row, policy)
        )
    plan = plan_call(served, _request(served, call, target), credential)
    asked = replace(asked, operation=_operation(served, plan, rules))
    try:
        return _explained(asked, plan, _Eyes(actor, row, plan))
    except AWAY as error:
        raise Unavailable("Redis can't be reached: what is stored isn't known. Try again in a moment.") from error


def str_of(application: Application | None) -> str:
    """``acme/bot``; empty for nobody."""
    return f"{application.tenant.slug}/{application.slug}" if application is not None else ""


def _refused(asked: Explanation, problem: Problem, sentence: str = "") -> Explanation:
    return replace(asked, result="REFUSED", reason=problem.code, sentence=sentence or problem.detail)


def _routed(host: bytes, path: bytes) -> API | None:
    """The served API that a gateway would take the call for."""
    cuts = [path[: at + 1].decode("latin-1") for at, byte in enumerate(path) if byte == ord("/")]
    rows = {
        row.slug: row
        for row in API.objects.filter(state__in=SERVED, listen_path__in=cuts)
        .select_related("tenant", "cache_policy")
        .prefetch_related("upstreams", "operations")
    }
    routes = Routes()
    for row in rows.values():
        routes.put(compile_api(row))
    found = routes.find(host, path)
    return rows[found.slug] if found is not None else None


def _credential(
    api: snapshot.API, application: Application | None, call: Typed
) -> tuple[snapshot.Credential | None, Problem | None]:
    """The record of the key that the call would have, as gateways hold it, and why it would be refused."""
    if "api_key" not in api.authentication:
        return None, None
    given = lines_of(call.headers, api.api_key_header.encode())
    if application is not None:
        keys = APIKey.objects.filter(application=application, state=KeyState.ACTIVE).order_by("-created_at")
        digest = keys.values_list("digest", flat=True).first()
        if digest is None:
            raise ValidationError({"application": f"{str_of(application)} has no active key to call with."})
    elif given:
        digest = digest_of(settings.KEY_PEPPER, given[0]) if len(given) == 1 else None
    else:
        return None, None if "none" in api.authentication else Problem.MISSING_CREDENTIAL
    record = None
    if digest is not None:
        for records in credentials_of(affected_by([("key", digest)])):
            record = records.get(digest)
    now = time.time()
    if record is None or record.state == "revoked" or (record.expires_at or now + 1) <= now:
        return None, Problem.INVALID_CREDENTIAL
    grant = record.grants.get(api.slug)
    good = grant is not None and grant.state == "active" and (grant.expires_at or now + 1) > now
    if record.state != "active" or record.only_api not in (None, api.slug) or not good:
        return record, Problem.NOT_SUBSCRIBED
    return record, None


def _allow(actor: Actor, api: API, application: Application | None, credential: snapshot.Credential | None) -> None:
    subscribed = credential is not None and api.slug in credential.grants
    if not can_explain(actor, api, application, subscribed=subscribed):
        raise PermissionDenied(
            "You may explain calls to your own tenant's APIs, and those of your own applications to APIs that show "
            "their subscribers how they are cached."
        )


def _request(api: snapshot.API, call: Typed, target: http.Target) -> http.Request:
    """What the pipeline's first stages make of the call: nobody here is a trusted proxy."""
    own = () if api.forward_credential or "api_key" not in api.authentication else (api.api_key_header.encode(),)
    return http.Request(
        method=call.method,
        scheme=call.scheme,
        host=call.host,
        path=relative_path(api, target.path),
        query=target.query,
        headers=tuple(pair for pair in fields_taken(call.headers, False) if pair[0] not in own),
        has_body=call.body is not None,
        body=call.body if call.body is not None and len(call.body) <= KEYED_BYTES else None,
    )


def _operation(api: snapshot.API, plan: http.RequestPlan, rules: CachePolicy) -> str:
    for index, each in enumerate(api.operation_policies):
        if each.policy is plan.policy:
            return str(rules.operations[index]["path"])
    return ""


class _Eyes:
    """What whoever asks may see: their own tenants' entries, those that are shared by all, and those of the caller whose
    request they explain; all of them, where the API is theirs.
    """

    def __init__(self, actor: Actor, api: API, plan: http.RequestPlan) -> None:
        self._all = sees_others_entries(actor, api)
        self._tenants = set() if self._all else set(tenants_of(actor).values_list("slug", flat=True))
        self._owners = plan.owners

    def may_see(self, scope: int, owner: bytes, holder: Sequence[str]) -> bool:
        return (
            self._all
            or scope == http.Scope.SHARED
            or (scope, owner) in self._owners
            or bool(holder and holder[0] in self._tenants)
        )


def _explained(asked: Explanation, plan: http.RequestPlan, eyes: _Eyes) -> Explanation:
    path, query = plan.request.path.decode("latin-1"), plan.query
    asked = replace(asked, forwarded=path if query is None else f"{path}?{query.decode('latin-1')}")
    if plan.bypass is not None:
        return replace(asked, result="BYPASS", reason=plan.bypass.code, sentence=plan.bypass.sentence)
    shelf, now = Shelf(), time.time()
    held, ended = shelf.find(plan, now)
    decision = http.on_entry(plan, held, now)
    shown = held or ended
    return replace(
        asked,
        result=_result(decision),
        reason=decision.reason.code,
        sentence=decision.reason.sentence,
        key=plan.key_text,
        parts=tuple(Part(label, value) for label, value in plan.key_parts()),
        stored=_stored(shown, ended is shown, now) if shown is not None else None,
        nearest=_nearest(plan, shelf, shown, eyes, now),
    )


def _result(decision: http.Serve | http.Revalidate | http.Fetch | http.GatewayTimeout) -> str:
    if isinstance(decision, http.Serve):
        return "STALE" if decision.stale else "HIT"
    if isinstance(decision, http.GatewayTimeout):
        return "REFUSED"
    return "REVALIDATED" if isinstance(decision, http.Revalidate) and decision.conditional else "MISS"


def _stored(held: http.Held, ended: bool, now: float) -> Stored:
    entry = held.entry
    state = "purged" if ended else "fresh" if now < held.fresh_until and not held.soft else "stale"
    return Stored(
        key=entry.key.hex(),
        status=entry.status,
        state=state,
        stored_at=entry.received_at,
        fresh_until=entry.fresh_until,
        keep_until=entry.keep_until,
        size=len(entry.body),
        scope=http.Scope(entry.scope).name.lower(),
        # A subject's name is that of a key; its application says whose it is.
        holder=next((name for name in reversed(entry.holder[:2]) if name), ""),
        rule=entry.rule,
        tags=entry.tags,
    )


def _nearest(plan: http.RequestPlan, shelf: Shelf, found: http.Held | None, eyes: _Eyes, now: float) -> Nearest | None:
    """The sibling that differs in the fewest parts; of those, the newest."""
    rows = [
        (list(_differences(plan, row)), row)
        for row in shelf.siblings(plan.policy.api, plan.request.path)
        if eyes.may_see(row.scope, row.owner, row.holder)
    ]
    others = sorted((pair for pair in rows if pair[0]), key=lambda pair: len(pair[0]))
    read = shelf.held([row for _, row in others])
    if read is None:
        return None
    row, held, ended = read
    differences = next(each for each, other in others if other is row)
    return Nearest(_stored(held, ended, now), tuple(differences), len(others) - 1)


def _differences(plan: http.RequestPlan, row: Sibling) -> Iterator[Difference]:
    """What differs between a call's key and a stored one's: against the call's own place, where it has two."""
    places = range(len(plan.keys))
    index = min(places, key=lambda each: sum(pair not in row.parts for pair in plan.key_parts(each)))
    wanted, stored = dict(plan.key_parts(index)), dict(row.parts)
    for label in dict.fromkeys((*wanted, *stored)):
        here, there = wanted.get(label, "(none)"), stored.get(label, "(none)")
        if here != there:
            yield Difference(label, here, there)
    for name, there in row.selecting:
        field = name.encode("latin-1")
        here = shown_field(field, field_value(field, lines_of(plan.request.headers, field)))
        if here != there:
            yield Difference(f"Vary: {name}", here, there)
