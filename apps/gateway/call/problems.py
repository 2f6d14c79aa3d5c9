"""The gateway's own errors as problem documents (RFC 9457), each with a stable code.

What a caller reads is fixed text per code and at most a sentence of ours: never a secret, a stack trace or an
upstream's address.
"""

from enum import Enum

CONTENT_TYPE = b"application/problem+json"


class Problem(Enum):
    """``code`` is stable; ``title`` is the same for each occurrence; ``detail`` is what is said where nothing more
    is known.
    """

    code: str
    status: int
    title: str
    detail: str

    def __new__(cls, code: str, status: int, title: str, detail: str) -> "Problem":
        member = object.__new__(cls)
        member._value_ = code
        member.code, member.status, member.title, member.detail = code, status, title, detail
        return member

    INVALID_REQUEST = "invalid_request", 400, "Invalid request", "The request is not well-formed."
    MISSING_CREDENTIAL = (
        "missing_credential",
        401,
        "Missing credential",
        "This API needs a credential, and the call has none.",
    )
    INVALID_CREDENTIAL = (
        "invalid_credential",
        401,
        "Invalid credential",
        "The credential is unknown, expired or revoked.",
    )
    INVALID_TOKEN = "invalid_token", 401, "Invalid token", "The token does not open this API."
    NOT_SUBSCRIBED = (
        "not_subscribed",
        403,
        "Not subscribed",
        "The application has no active subscription to this API.",
    )
    INSUFFICIENT_SCOPE = (
        "insufficient_scope",
        403,
        "Insufficient scope",
        "The token does not allow as much as this call needs.",
    )
    KEY_NOT_FOR_API = (
        "key_not_for_api",
        403,
        "Credential not for this call",
        "This credential is good for other APIs only.",
    )
    FORBIDDEN = "forbidden", 403, "Forbidden", "This address answers the machine itself and named networks only."
    UNKNOWN_API = "unknown_api", 404, "Unknown API", "Nothing is published at this address."
    UNKNOWN_OPERATION = "unknown_operation", 404, "Unknown operation", "The API's document has no such path."
    METHOD_NOT_ALLOWED = (
        "method_not_allowed",
        405,
        "Method not allowed",
        "The API's document has no such method at this path.",
    )
    REQUEST_TIMEOUT = "request_timeout", 408, "Request timeout", "The request did not arrive in time."
    BODY_TOO_LARGE = "body_too_large", 413, "Body too large", "The request's body is larger than this API allows."
    TARGET_TOO_LONG = "target_too_long", 414, "Target too long", "The request target is too long."
    UNSUPPORTED_MEDIA_TYPE = (
        "unsupported_media_type",
        415,
        "Unsupported media type",
        "The API takes no body of this type here.",
    )
    RATE_LIMITED = "rate_limited", 429, "Rate limited", "The plan's rate limit is reached."
    QUOTA_EXCEEDED = "quota_exceeded", 429, "Quota exceeded", "The plan's quota for this period is used up."
    TOO_MANY_CONNECTIONS = (
        "too_many_connections",
        429,
        "Too many connections",
        "There are too many connections from this address.",
    )
    HEADER_TOO_LARGE = "header_too_large", 431, "Header too large", "The request's head is too large."
    INTERNAL_ERROR = "internal_error", 500, "Internal error", "The gateway failed."
    UPSTREAM_UNREACHABLE = (
        "upstream_unreachable",
        502,
        "Upstream unreachable",
        "The API can't be reached at the moment.",
    )
    UPSTREAM_REFUSED = (
        "upstream_refused",
        502,
        "Upstream not allowed",
        "This platform's rules don't let the API's upstream be called.",
    )
    UPSTREAM_INVALID = "upstream_invalid", 502, "Invalid upstream response", "The API's response could not be used."
    NOT_READY = "not_ready", 503, "Not ready", "The gateway can't check credentials at the moment."
    UPSTREAM_BUSY = "upstream_busy", 503, "Upstream busy", "As many calls to this API as it allows are under way."
    UPSTREAM_TIMEOUT = "upstream_timeout", 504, "Upstream timeout", "The API did not answer in time."
    LOOP_DETECTED = (
        "loop_detected",
        508,
        "Loop detected",
        "The call came back to an API that it had passed before.",
    )
    NOT_STORED = "not_stored", 504, "Not stored", "The call wanted a stored response only, and there is none."


_TEXTS = {
    problem: (
        f'{{"type":"urn:apimgr:problem:{problem.code}","title":"{problem.title}",'
        f'"status":{problem.status},"code":"{problem.code}","detail":"'
    ).encode()
    for problem in Problem
}


def document(problem: Problem, detail: str | None, request_id: bytes, call_id: bytes, errors: bytes = b"") -> bytes:
    """The JSON text of a problem. ``detail`` must be a sentence of ours (it is not escaped); identities are already
    plain. ``errors`` is a list in JSON: what is wrong at which place.
    """
    return b'%b%b","request_id":"%b","call_id":"%b"%b}' % (
        _TEXTS[problem],
        (problem.detail if detail is None else detail).encode(),
        request_id,
        call_id,
        b',"errors":' + errors if errors else b"",
    )
