"""The call record: what is known of one call when it has ended. Written by gateways, read by analytics."""

import msgspec


class CallRecord(msgspec.Struct, array_like=True, omit_defaults=False):
    """One call. Times: ``at`` in Unix seconds, durations in milliseconds; sizes in bytes; unknown texts are empty.

    ``number`` counts from 1 within an incarnation of one worker, without gaps: that is how a loss is noticed. An identity
    is ``call_id``, made of node, incarnation, worker and number. ``kind`` is ``call`` for a whole call, ``begun`` for the start
    of a streamed one (makes no row) and ``ended`` for its end.
    """

    kind: str
    number: int
    call_id: str
    request_id: str
    at: float
    api: str
    revision: int
    operation: str  # "GET /items/{id}", empty when none matches
    tenant: str
    application: str
    key_id: int  # 0: no key
    plan: str
    method: str
    host: str
    path: str  # without the query, which may hold secrets
    status: int
    code: str  # problem code of a refusal or own error, else empty
    cache: str  # HIT MISS STALE REVALIDATED BYPASS
    reason: str  # code of apps.caching.http.reasons.Reason, or of the refusal
    duration: float  # head parsed to last byte handed to the socket
    upstream_duration: float  # to the last byte from the upstream; 0: no upstream call
    upstream_status: int  # 0: no answer
    upstream: str  # host:port that answered
    request_bytes: int
    response_bytes: int
    attempts: int = 0  # upstream calls made for it
    flags: tuple[str, ...] = ()  # like local_share, collapsed, client_left
    trace: tuple[tuple[str, str, float], ...] = ()  # (stage, decision, milliseconds from the start)
