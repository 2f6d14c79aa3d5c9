"""What the cache would do with a typed request: the key in parts, the decision with its reason, and the
nearest stored response with what differs. Nothing is called, stored or counted.

The decision is the gateways' own: their stages and their core, with the configuration as it is compiled for them, over what
the shared tier holds now. What single workers hold besides is theirs to know.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from django.core.exceptions import PermissionDenied, ValidationError

from apps import httpcache
from apps.access.models import Application
from apps.access.selectors import keys_visible_to
from apps.access.services.applications import named
from apps.analytics.explain import sentence_of
from apps.cachestore.path_index import IndexedResponse
from apps.caching.models import CachePolicy
from apps.catalog.choices import SERVED
from apps.catalog.models import API
from apps.explain.head_stages import StoredConfig, taken_in
from apps.explain.nearest import Difference, KeyOfCall, KeyPart, Nearest, VisibleEntries, differences, stored_of
from apps.explain.typed_request import typed
from apps.foundation.errors import Unavailable
from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import WholeResponse
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
    call, config = typed(url, method, headers, body), StoredConfig(policy)
    x, refused = taken_in(call, config, application)
    asked = Explanation(method=call.method, url=call.url, application=named(application) if application else "")
    row = config.rows.get(x.api.slug)
    if row is None and x.code != Problem.UNKNOWN_API.code:
        return _refused(asked, x, refused)
    if api is not None and row != api:
        where = f"{api.slug} is served below {api.listen_path}" if api.state in SERVED else f"{api.slug} is not served"
        raise ValidationError({"url": f"This doesn't lead to the API: {where}."})
    if row is None:
        return _refused(asked, x, refused)
    # Who holds a key that opens nothing any more is nobody.
    is_nobody = application is None and x.code == Problem.INVALID_CREDENTIAL.code
    credential = None if is_nobody else x.credential
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
    if refused is not None:
        return _refused(asked, x, refused)
    plan = x.cache_plan
    asked = replace(asked, operation=_operation(x.api, plan, policy or row.cache_policy))
    try:
        return _explained(asked, plan, VisibleEntries(actor, row, plan.owners))
    except AWAY as error:
        raise Unavailable("Redis can't be reached: what is stored isn't known. Try again in a moment.") from error


def _refused(asked: Explanation, x: Call, response: WholeResponse | None) -> Explanation:
    """``response`` is a problem's document, whose detail is the sentence, but to a HEAD and where it leads elsewhere."""
    said = json.loads(response.body)["detail"] if response is not None and response.body else sentence_of(x.reason)
    return replace(asked, result="REFUSED", reason=x.reason, sentence=said)


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
