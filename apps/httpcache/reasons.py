"""Why the cache did what it did: one stable code for each decision, and a sentence for the person who asks.

The same code stands in ``Cache-Status`` (``detail``), in the call record, in "explain this request" and in the
console.
"""

from enum import Enum


class Reason(Enum):
    """``code`` is stable and goes over the wire; ``sentence`` is for people."""

    code: str
    sentence: str

    def __new__(cls, code: str, sentence: str) -> "Reason":
        member = object.__new__(cls)
        member._value_ = code
        member.code = code
        member.sentence = sentence
        return member

    # A stored response was used.
    FRESH = "fresh", "A stored response is still fresh."
    REFRESHED_EARLY = "refreshed_early", "A fresh response was served while one call refreshes it ahead of its end."
    RECENTLY_VALIDATED = (
        "recently_validated",
        "The caller asked for validation, and the response was validated within the last second.",
    )
    STALE_WHILE_REVALIDATE = "stale_while_revalidate", "A stale response was served while one call refreshes it."
    STALE_IF_ERROR = "stale_if_error", "The upstream failed, and a stale response may stand in for it."
    MAX_STALE = "max_stale", "The caller accepts a response this stale."
    VALIDATED = "validated", "The upstream confirmed that the stored response is still right."

    # Nothing stored could be used as it was.
    NOT_FOUND = "not_found", "Nothing is stored under this key."
    VARY_MISMATCH = (
        "vary_mismatch",
        "Stored responses exist, but for other values of the request fields that Vary names.",
    )
    EXPIRED = "expired", "The stored response is stale and has to be validated."
    PURGED = "purged", "The stored response was purged."
    SOFT_PURGED = "soft_purged", "A soft purge made the stored response stale."
    SCOPE_MISMATCH = "scope_mismatch", "The stored response belongs to another caller; this must never happen."
    ALWAYS_VALIDATE = "always_validate", "The origin wants each use of the response validated (no-cache)."
    REQUEST_NO_CACHE = "request_no_cache", "The caller asked for validation (no-cache)."
    REQUEST_MAX_AGE = "request_max_age", "The stored response is older than the caller accepts (max-age)."
    REQUEST_MIN_FRESH = (
        "request_min_fresh",
        "The stored response is not fresh for as long as the caller wants (min-fresh).",
    )
    ONLY_IF_CACHED = (
        "only_if_cached",
        "The caller wants a stored response or none (only-if-cached), and there is none to use.",
    )
    INVALID_VALIDATION = "invalid_validation", "The upstream confirmed another response than the stored one."
    RANGE_NOT_STORED = "range_not_stored", "A part was asked for, and the whole is not stored."

    # The call goes past the cache.
    MODE_OFF = "mode_off", "Caching is off for this API."
    SECRET = "secret", "Responses of a secret API are never stored."
    METHOD = "method", "Responses to this method are not cached."
    REQUEST_BODY = "request_body", "A call with a body is not answered from the cache."
    BODY_TOO_LARGE = "body_too_large_to_key", "The call's body is too large to be part of the key."
    GRAPHQL_MUTATION = (
        "graphql_mutation",
        "A GraphQL mutation is never answered from the cache, and ends what it may change.",
    )
    GRAPHQL_SUBSCRIPTION = "graphql_subscription", "A GraphQL subscription is never answered from the cache."
    GRAPHQL_BATCH = "graphql_batch", "Several GraphQL operations in one call are not answered from the cache."
    GRAPHQL_PERSISTED = (
        "graphql_persisted",
        "The call names a GraphQL operation without its text, so nobody here knows whether it only reads.",
    )
    GRAPHQL_UNREADABLE = "graphql_unreadable", "The call's body is no GraphQL operation that can be read without doubt."
    REQUEST_PRECONDITION = "request_precondition", "The call has a condition that only the origin may judge (If-Match)."
    UPGRADE = "upgrade", "The call asks for another protocol."
    NO_IDENTITY = "no_identity", "The policy's scope needs a caller identity that this call doesn't have."

    # What came back was stored, or not.
    STORED = "stored", "The response is stored for as long as the origin said."
    STORED_TTL = "stored_ttl", "The response is stored for the policy's TTL, because the origin gives no lifetime."
    STORED_OVERRIDE = (
        "stored_override",
        "The response is stored for the policy's TTL in place of the origin's lifetime.",
    )
    STORED_NEGATIVE = "stored_negative", "The response is an error, stored for the policy's lifetime of errors."
    STORED_HEURISTIC = (
        "stored_heuristic",
        "The response is stored for a tenth of its age since Last-Modified, a minute at most.",
    )
    STORED_FOR_VALIDATION = (
        "stored_for_validation",
        "The response is stored, and validated with the origin before each use.",
    )
    NO_STORE = "no_store", "The origin forbids storing the response (no-store)."
    PRIVATE = "private", "The origin allows only the caller's own cache to store the response (private)."
    REQUEST_NO_STORE = "request_no_store", "The caller forbids storing the response (no-store)."
    SET_COOKIE = "set_cookie", "The response sets a cookie."
    VARY_STAR = "vary_star", "The response depends on more than the request shows (Vary: *)."
    VARY_UNKEYED = (
        "vary_unkeyed",
        "The response depends on a field that the gateway makes anew for each call, such as X-Forwarded-For.",
    )
    AUTHORIZATION = "authorization", "The call had credentials, and the origin doesn't let the response be shared."
    STATUS = "status", "Responses with this status are not stored."
    PARTIAL = "partial", "A part is never stored as the whole."
    NO_LIFETIME = "no_lifetime", "Neither the origin nor the policy gives the response a lifetime."
    ALREADY_STALE = "already_stale", "The response was stale when it came, and nothing can validate it."
    NO_VALIDATOR = (
        "no_validator",
        "The response has to be validated before each use, and has nothing to validate it with.",
    )
    MUST_UNDERSTAND = "must_understand", "The origin requires that its status be understood, and it isn't."
    TOO_LARGE = "too_large", "The response is larger than the policy stores."
    UPSTREAM_FAILED = "upstream_failed", "The upstream failed, and no stored response may stand in for it."
    HEAD_ONLY = "head_only", "A response to HEAD has no body to store."
    CONDITIONAL = "conditional", "The upstream answered the caller's own condition."
