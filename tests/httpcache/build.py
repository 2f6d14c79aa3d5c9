"""Short ways to make requests, plans and stored answers. ``NOW`` is the tests' present."""

from apps.httpcache import (
    ANONYMOUS,
    Identity,
    Policy,
    Request,
    RequestPlan,
    ResponseHead,
    Store,
    StoredResponse,
    on_response,
    plan_request,
)

NOW = 1_800_000_000.0
BIRTH = (1, 0)
POLICY = Policy(api="products")


def pairs(fields):
    """``{"Vary": "a"}`` or pairs of text as the core's fields."""
    items = fields.items() if isinstance(fields, dict) else fields
    return tuple((name.lower().encode(), value.encode("latin-1")) for name, value in items)


def request(
    method="GET", path="/items/1", query=None, headers=(), host="api.test", has_body=False, body=None, graphql=None
):
    return Request(
        method,
        "http",
        host.encode(),
        path.encode(),
        None if query is None else query.encode(),
        pairs(headers),
        has_body or body is not None,
        body,
        graphql,
    )


def plan(headers=(), *, policy=POLICY, identity: Identity = ANONYMOUS, **parts) -> RequestPlan:
    return plan_request(request(headers=headers, **parts), policy, identity)


def respond(the_plan, headers=(), *, status=200, held=None, at=NOW, requested_at=None, birth=BIRTH):
    head = ResponseHead(status, pairs(headers))
    return on_response(the_plan, held, head, at if requested_at is None else requested_at, at, birth)


def stored(headers=(), *, body=b"hello", the_plan=None, status=200, at=NOW, **how) -> StoredResponse:
    """What is held after an answer with these fields was stored at ``NOW``."""
    decision = respond(the_plan or plan(), headers, status=status, at=at, **how)
    assert isinstance(decision, Store), decision
    decision.entry.body = body
    return StoredResponse(decision.entry)
