"""What the cache means to do with a call to an API: for the pipeline, and for the preview of a policy that isn't in force yet."""

from apps import httpcache
from apps.gateway.pipeline import graphql
from apps.gateway.pipeline.stages.route import fields_taken
from apps.httpcache.policy import GRAPHQL
from apps.httpcache.request_body import KEYED_BY_BODY
from apps.wire.snapshot import API, Credential


def plan_call(
    api: API, request: httpcache.Request, credential: Credential | None, subject: str = ""
) -> httpcache.RequestPlan:
    """The plan of ``request``, whose path is below the API's listen path, and which holds only what may be forwarded. ``subject``
    is who calls with the credential, where that is known.
    """
    policy = api.policy_for(request.method, request.path)
    if policy.body == GRAPHQL:
        _read_graphql(request, policy)
    return httpcache.plan_request(request, policy, identity_of(api, credential, subject))


def fields_forwarded(api: API, headers: httpcache.Headers) -> httpcache.Headers:
    """What of a sample's head may be forwarded to the API: as the pipeline leaves it to a caller who is no trusted proxy."""
    return fields_taken(api, headers, False)


def identity_of(api: API, credential: Credential | None, subject: str = "") -> httpcache.Identity:
    """Who calls, and what the upstream learns of it."""
    if credential is None:
        return httpcache.ANONYMOUS
    # An upstream that sees credentials of its callers may answer each of them differently.
    told = httpcache.SharingScope.SUBJECT if api.forward_credential else httpcache.SharingScope.SHARED
    return httpcache.Identity(
        credential.tenant, credential.application, httpcache.subject_of_key(credential.key_id, subject), told
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
