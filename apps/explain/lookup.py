"""What the cache would do with a typed request: the key in parts, the decision with its reason, and the
nearest stored response with what differs. Nothing is called, stored or counted.

The decision is the gateways' own: the same core, with the API's policy as it is compiled for them, over what the shared
tier holds now. What single workers hold besides is theirs to know.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils import timezone
from msgspec import structs

from apps import httpcache
from apps.access.choices import KeyState
from apps.access.models import APIKey, Application
from apps.access.selectors import in_force, keys_visible_to
from apps.access.services.applications import named
from apps.cachestore.path_index import IndexedResponse
from apps.caching.models import CachePolicy
from apps.catalog.choices import SERVED, HostState
from apps.catalog.models import API, HostName
from apps.explain.nearest import Difference, KeyOfCall, KeyPart, Nearest, VisibleEntries, differences, stored_of
from apps.explain.typed_request import TypedRequest, typed
from apps.fleet.compile import affected_by, compile_api, compile_operation_policies, compile_policy, credentials_of
from apps.foundation.errors import Unavailable
from apps.gateway.call import head_limits
from apps.gateway.call.problems import Problem
from apps.gateway.config.worker_config import Routes, bare_host
from apps.gateway.pipeline.authenticators import Identified
from apps.gateway.pipeline.authenticators.table import OPEN, presented_to, taken_by
from apps.gateway.pipeline.cache_plan import plan_call, request_typed
from apps.gateway.pipeline.stages.authenticate import digest_of
from apps.gateway.pipeline.stages.authorize import refusal_of
from apps.gateway.pipeline.stages.route import relative_path
from apps.httpcache.fields import lines_of
from apps.httpcache.normalise import field_value
from apps.httpcache.plan import shown_field
from apps.purging.policies import can_explain
from apps.tenants.actors import Actor
from apps.wire import snapshot
from apps.wire.redis_client import AWAY


@dataclass(frozen=True)
class Explanation(KeyOfCall):
    """What would become of a request, and why."""

    api: str = ""
    method: str = ""
    url: str = ""
    application: str = ""
    api_key: Annotated[str, "Name and prefix of the key that the call would have, for those who may see it."] = ""
    result: Annotated[str, "HIT, STALE, REVALIDATED, MISS, BYPASS, or REFUSED: it never reaches the cache."] = ""
    reason: Annotated[str, "As in Cache-Status and in call records."] = ""
    sentence: Annotated[str, "The reason in words."] = ""
    forwarded: Annotated[str, "The path and query that the upstream would see."] = ""
    operation: Annotated[str, "The path pattern whose policy decided; empty: the API's own."] = ""


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
    """Explain one request as ``application`` would make it; without one, as the owner of the key among ``headers``, or anonymously.

    ``url`` is a URL of the gateway, or a path with its query as callers send it, listen path included; without a host
    it is the gateway's own address, or the ``Host`` among ``headers``. Given an ``api``, the URL must lead to it.
    ``policy`` is tried in place of the API's own, unsaved or not.

    Raises ``ValidationError`` by field (``url``, ``method``, ``headers``, ``application``), ``PermissionDenied``, and
    ``Unavailable`` when the cache or the state can't be reached.
    """
    call = typed(url, method, headers, body)
    whose = named(application) if application is not None else ""
    asked = Explanation(method=call.method, url=call.url, application=whose)
    target = httpcache.normalise_target(call.target)
    refused = head_limits.refusal(call.method, call.target, "1.1", call.headers)
    if refused is not None or target is None:
        return _refused(asked, *(refused or (Problem.INVALID_REQUEST, "The request target is not a normal path.")))
    row = _routed(call.host, target.path)
    if api is not None and row != api:
        where = f"{api.slug} is served below {api.listen_path}" if api.state in SERVED else f"{api.slug} is not served"
        raise ValidationError({"url": f"This doesn't lead to the API: {where}."})
    if row is None:
        return _refused(asked, Problem.UNKNOWN_API)
    served = compile_api(row)
    credential, problem = _credential(served, application, call)
    subscribed = credential is not None and row.slug in credential.grants
    if not can_explain(actor, row, application, subscribed=subscribed):
        raise PermissionDenied(
            "You may explain calls to your own tenant's APIs, and those of your own applications to APIs that show "
            "their subscribers how they are cached."
        )
    asked = replace(asked, api=row.slug)
    if credential is not None:
        key = keys_visible_to(actor).filter(pk=credential.key_id).first()
        asked = replace(asked, application=credential.application, api_key=str(key or ""))
    if problem is None and len(call.body or b"") > served.body_limit:
        problem = Problem.BODY_TOO_LARGE
    if problem is not None:
        return _refused(asked, problem)
    rules = policy or row.cache_policy
    if policy is not None:
        served = structs.replace(
            served, policy=compile_policy(row, policy), operation_policies=compile_operation_policies(row, policy)
        )
    path = relative_path(served, target.path)
    request = request_typed(served, call.method, call.scheme, call.host, path, target.query, call.headers, call.body)
    plan = plan_call(served, request, credential)
    asked = replace(asked, operation=_operation(served, plan, rules))
    try:
        return _explained(asked, plan, VisibleEntries(actor, row, plan.owners))
    except AWAY as error:
        raise Unavailable("Redis can't be reached: what is stored isn't known. Try again in a moment.") from error


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
    name = bare_host(host).decode("latin-1")
    for owner in HostName.objects.filter(state=HostState.PROVED, host=name).values_list("tenant__slug", flat=True):
        routes.own(name, owner)
    found = routes.find(host, path)
    return rows[found.slug] if found is not None else None


def _credential(
    api: snapshot.API, application: Application | None, call: TypedRequest
) -> tuple[snapshot.Credential | None, Problem | None]:
    """The record of the key that the call would have, as gateways hold it, and why it would be refused."""
    if not taken_by(api.authentication):
        return None, None
    now = time.time()
    if application is not None:
        record = _record(_key_of(application, api.slug))
        return record, _refusal(record, api.slug, now)
    given = presented_to(api, call.headers)
    if given is None:
        return None, None if OPEN in api.authentication else Problem.MISSING_CREDENTIAL
    way, presented = given
    identified = way.identify(api, presented, now)
    if not isinstance(identified, Identified):
        return None, identified if isinstance(identified, Problem) else Problem.NOT_READY
    digest = digest_of(settings.KEY_PEPPER, identified.by)
    record = _record(digest) if digest is not None else None
    if record is not None and not way.is_whose(presented, record):
        record = None
    problem = _refusal(record, api.slug, now)
    # Who holds a key that opens nothing is nobody.
    return (record if problem is not Problem.INVALID_CREDENTIAL else None), problem


def _key_of(application: Application, api: str) -> str:
    """The digest of the newest key with which an application can call an API now; where none can, of its newest."""
    keys = APIKey.objects.filter(application=application, state=KeyState.ACTIVE, api=None).order_by("-created_at")
    usable = keys.filter(in_force(timezone.now())).values_list("digest", "apis")
    able = (digest for digest, apis in usable if apis is None or api in apis)
    digest = next(able, None) or keys.values_list("digest", flat=True).first()
    if digest is None:
        raise ValidationError({"application": f"{named(application)} has no active key to call with."})
    return digest


def _record(digest: str) -> snapshot.Credential | None:
    return next(records[digest] for records in credentials_of(affected_by([("key", digest)])))


def _refusal(record: snapshot.Credential | None, api: str, now: float) -> Problem | None:
    if record is None or record.state == "revoked" or (record.expires_at is not None and record.expires_at <= now):
        return Problem.INVALID_CREDENTIAL
    refusal = refusal_of(record, api, now)
    return refusal[0] if refusal is not None else None


def _operation(api: snapshot.API, plan: httpcache.RequestPlan, rules: CachePolicy) -> str:
    decided = (at for at, each in enumerate(api.operation_policies) if each.policy is plan.policy)
    return next((str(rules.operations[at]["path"]) for at in decided), "")


def _explained(asked: Explanation, plan: httpcache.RequestPlan, entries: VisibleEntries) -> Explanation:
    path, query = plan.request.path.decode("latin-1"), plan.query
    asked = replace(asked, forwarded=path if query is None else f"{path}?{query.decode('latin-1')}")
    if plan.bypass is not None:
        return replace(asked, result="BYPASS", reason=plan.bypass.code, sentence=plan.bypass.sentence)
    now = time.time()
    held, ended = entries.cache.find(plan, now)
    decision = httpcache.on_entry(plan, held, now)
    shown = held or ended
    return replace(
        asked,
        result=_result(decision),
        reason=decision.reason.code,
        sentence=decision.reason.sentence,
        key=plan.key_text,
        parts=tuple(KeyPart(*part) for part in plan.key_parts()),
        stored=stored_of(shown, ended is shown, now) if shown is not None else None,
        nearest=_nearest(plan, entries),
    )


def _result(decision: httpcache.Serve | httpcache.Revalidate | httpcache.Fetch | httpcache.GatewayTimeout) -> str:
    if isinstance(decision, httpcache.Serve):
        return "STALE" if decision.stale else "HIT"
    if isinstance(decision, httpcache.GatewayTimeout):
        return "REFUSED"
    return "REVALIDATED" if isinstance(decision, httpcache.Revalidate) and decision.conditional else "MISS"


def _nearest(plan: httpcache.RequestPlan, entries: VisibleEntries) -> Nearest | None:
    path = plan.request.path
    # A slash at the end is a difference that is easily missed.
    for each in (path, path[:-1] if path[-1:] == b"/" else path + b"/"):
        found = entries.nearest((_differences(plan, row), row) for row in entries.under(each))
        if found is not None:
            return found
    return None


def _differences(plan: httpcache.RequestPlan, row: IndexedResponse) -> list[Difference]:
    """What differs between a call's key and a stored one's: against the call's own place, where it has two."""
    places = [plan.key_parts(index) for index in range(len(plan.keys))]
    parts = min(places, key=lambda place: sum(pair not in row.parts for pair in place))
    fields = {}
    for name, _ in row.selecting:
        field = name.encode("latin-1")
        fields[name] = shown_field(plan.policy, field, field_value(field, lines_of(plan.request.headers, field)))
    return differences(parts, fields, row)
