"""What the cache means to do with a call to an API: for the pipeline, and for the explanation of a call without making
it.
"""

from apps import httpcache
from apps.gateway.call.keyed_body import KEYED_BYTES
from apps.gateway.call.withheld_keys import query_without_keys
from apps.gateway.pipeline import graphql
from apps.gateway.pipeline.stages.route import fields_taken
from apps.httpcache.policy import GRAPHQL
from apps.httpcache.request_body import KEYED_BY_BODY
from apps.wire.snapshot import API, Credential


def plan_call(api: API, request: httpcache.Request, credential: Credential | None) -> httpcache.RequestPlan:
    """The plan of ``request``, whose path is below the API's listen path, and which holds only what may be forwarded."""
    policy = api.policy_for(request.method, request.path)
    if policy.body == GRAPHQL:
        _read_graphql(request, policy)
    return httpcache.plan_request(request, policy, identity_of(api, credential))


def request_typed(
    api: API,
    method: str,
    scheme: str,
    host: bytes,
    path: bytes,
    query: bytes | None,
    headers: httpcache.Headers,
    body: bytes | None,
) -> httpcache.Request:
    """What the stages in front of the cache make of a call with this head, whose client is no trusted proxy: for the
    explanation of a call without making it. ``path`` is below the listen path.
    """
    return httpcache.Request(
        method=method,
        scheme=scheme,
        host=host,
        path=path,
        query=query_without_keys(query),
        headers=fields_taken(api, headers, False),
        has_body=body is not None,
        body=body if body is not None and len(body) <= KEYED_BYTES else None,
    )


def identity_of(api: API, credential: Credential | None) -> httpcache.Identity:
    """Who calls, and what the upstream learns of it."""
    if credential is None:
        return httpcache.ANONYMOUS
    # An upstream that sees credentials of its callers may answer each of them differently.
    told = httpcache.SharingScope.SUBJECT if api.forward_credential else httpcache.SharingScope.SHARED
    return httpcache.Identity(
        credential.tenant, credential.application, httpcache.subject_of_key(credential.key_id), told
    )


def _read_graphql(request: httpcache.Request, policy: httpcache.Policy) -> None:
    if request.method in KEYED_BY_BODY and request.method in policy.methods:
        if request.body is not None:
            request.graphql = graphql.form_of(request.headers, request.body)
    elif request.method in ("GET", "HEAD") and request.query:
        normal = graphql.in_query(request.query)
        if isinstance(normal, httpcache.Reason):
            request.graphql = normal
        else:
            request.query = normal
