"""HTTP caching as pure decisions (RFC 9111): no input or output, no clock, no Django. Everything is passed in.

A call goes through it like this; the caller's part stands between the arrows::

    normalise_target(raw)                            -> Target               one form of the path; route on it
    plan_request(request, policy, identity)          -> RequestPlan          may we look, and where
        look in the tiers, driving find(plan)
    on_entry(plan, held, now)                        -> Serve | Revalidate | Fetch | GatewayTimeout
        ask the upstream with plan.upstream_headers(…)
    on_response(plan, held, head, requested_at, now, birth)
                                                     -> Store | NoStore | Refreshed | Serve | Reuse | Refetch
    on_reuse(plan, other, head, requested_at, now, birth)
                                                     -> Refreshed | Refetch        a 304 named another variant
    on_error(plan, held, failure, now)               -> Serve | Failed
    add_tags(entry, policy, operation)               what the whole response is about, before it is stored
    response_from(held, plan, now)                   -> CacheResponse                200, 206, 304, 416, HEAD
    on_unsafe(request, policy, head)                 -> tags to purge

Every decision carries a ``Reason``.
"""

from apps.httpcache.cache_status import cache_status, forwarded_because
from apps.httpcache.decisions import (
    Failed,
    Fetch,
    GatewayTimeout,
    NoStore,
    Refetch,
    Refreshed,
    Reuse,
    Revalidate,
    Serve,
    Store,
    UpstreamFailure,
)
from apps.httpcache.entity_tags import add_tags, reports_errors
from apps.httpcache.entry import CacheEntry, PurgeClock, Variants
from apps.httpcache.identity import ANONYMOUS, Identity, SharingScope, subject_of_caller, subject_of_key
from apps.httpcache.invalidation import (
    SAFE_METHODS,
    on_unsafe,
    paths_meant,
    tag_of_api,
    tag_of_application,
    tag_of_grant,
    tag_of_key,
    tag_of_path,
    tag_of_prefix,
    tag_of_representation,
    tag_of_subject,
    tag_of_tenant,
    tags_of,
    tags_of_key,
)
from apps.httpcache.lookup import find
from apps.httpcache.messages import Headers, Request, ResponseHead
from apps.httpcache.normalise import Target, normalise_target
from apps.httpcache.plan import RequestPlan, plan_request
from apps.httpcache.policy import Policy
from apps.httpcache.reasons import Reason
from apps.httpcache.response import CacheResponse, response_from
from apps.httpcache.serving import on_entry, on_error
from apps.httpcache.stored_response import StoredResponse
from apps.httpcache.storing import may_share, on_not_modified, on_response, on_reuse
from apps.httpcache.vary import placement

__all__ = [
    "ANONYMOUS",
    "SAFE_METHODS",
    "CacheEntry",
    "CacheResponse",
    "Failed",
    "Fetch",
    "GatewayTimeout",
    "Headers",
    "Identity",
    "NoStore",
    "Policy",
    "PurgeClock",
    "Reason",
    "Refetch",
    "Refreshed",
    "Request",
    "RequestPlan",
    "ResponseHead",
    "Reuse",
    "Revalidate",
    "Serve",
    "SharingScope",
    "Store",
    "StoredResponse",
    "Target",
    "UpstreamFailure",
    "Variants",
    "add_tags",
    "cache_status",
    "find",
    "forwarded_because",
    "may_share",
    "normalise_target",
    "on_entry",
    "on_error",
    "on_not_modified",
    "on_response",
    "on_reuse",
    "on_unsafe",
    "paths_meant",
    "placement",
    "plan_request",
    "reports_errors",
    "response_from",
    "subject_of_caller",
    "subject_of_key",
    "tag_of_api",
    "tag_of_application",
    "tag_of_grant",
    "tag_of_key",
    "tag_of_path",
    "tag_of_prefix",
    "tag_of_representation",
    "tag_of_subject",
    "tag_of_tenant",
    "tags_of",
    "tags_of_key",
]
