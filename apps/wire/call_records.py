"""What gateways write about calls: read by the node agent and by analytics.

Records travel inside frames (see ``spool``) which carry the *frame number*: it counts from 1 within one life of one worker (an
incarnation) without gaps, and that is how a loss is noticed. A call's own identity is its ``call_id``.
"""

import msgspec

CALL, BEGUN, ENDED = "call", "begun", "ended"

WARM_UP = "warm_up"
"""The flag of calls that the platform made by itself to warm the cache up: in the log, and in no figure."""

SAMPLED = "sampled"
"""The flag of rows of calls that no API was found for: in the log, and in no figure, because a ``TallyRecord`` counts
these calls.
"""

SYNTHETIC = "synthetic"
"""The flag of made-up calls: the demo's history, which no gateway served and no spool ever holds."""

SYNTHETIC_IDS = f"{SYNTHETIC}-"
"""What their call IDs begin with, by which queries know them: flags are no column of their own."""

INVALID = "invalid_request"
"""The flag of calls that aren't as their API's OpenAPI document has them, and went on: the API reports such calls only."""

QUERY = "with_query"
"""The flag of calls that went upstream with a query, which the log doesn't hold."""


class SpooledCallRecord(msgspec.Struct, array_like=True, tag=1):
    """One call. Times: ``at`` in Unix seconds, durations in milliseconds; sizes in bytes; unknown texts are empty.

    ``kind`` is ``call`` for a whole call, ``begun`` for the start of a streamed response (makes no row; once per call, when the
    first bytes have left) and ``ended`` for its end, under the same ``call_id``. A ``begun`` whose worker died
    becomes an ``ended`` with the code ``gateway_crash``.
    """

    kind: str
    call_id: str  # SpoolWriter.next_call_id()
    request_id: str  # empty as written: the call_id, which need not be written twice
    at: float  # the head of the request was parsed
    api: str  # slug, empty: no route
    revision: int
    operation: str  # "GET /items/{id}", empty when none matches
    tenant: str  # of the caller
    application: str  # "acme/bot"
    key_id: int  # 0: no key
    plan: str
    method: str
    host: str
    path: str  # without the query, which may hold secrets
    status: int
    code: str  # problem code of a refusal or own error, else empty
    cache: str  # HIT MISS STALE REVALIDATED BYPASS
    reason: str  # code of apps.httpcache.reasons.Reason, or of the refusal
    duration: float  # head parsed to last byte handed to the socket
    upstream_duration: float  # to the last byte from the upstream; 0: no upstream call
    upstream_status: int  # 0: no response
    upstream: str  # host:port that answered
    request_bytes: int
    response_bytes: int
    attempts: int = 0  # upstream calls made for it
    flags: tuple[str, ...] = ()  # like local_share, collapsed, client_left
    trace: tuple[tuple[str, str, float], ...] = ()  # (stage, decision, milliseconds from the start)
    cache_key: str = ""  # a quarter of the cache key's digest, in hexadecimal; empty: the cache was not asked
    cause: str = ""  # of its last failed upstream call: the code of a FailureCause


class LossRecord(msgspec.Struct, array_like=True, tag=2):
    """Frames ``first`` to ``last`` of an incarnation are gone, and why: so that a loss is counted and shown, not guessed."""

    incarnation: str
    first: int
    last: int
    cause: str  # disk_full, spool_error: never written; torn: cut off by a crash; over_budget: deleted unshipped
    at: float


class TallyRecord(msgspec.Struct, array_like=True, tag=3):
    """How many calls no API was found for, since the last such record of this worker: they have no records of their own.

    ``counts``: status, problem code (empty: none), calls, request and response bytes. ``incarnation`` and ``number`` say where
    it was written first, when the agent carried it over from a segment that had to go.
    """

    at: float  # of the first of these calls
    counts: tuple[tuple[int, str, int, int, int], ...]
    incarnation: str = ""
    number: int = 0


class ResponseFaultRecord(msgspec.Struct, array_like=True, tag=4):
    """An upstream's response that isn't as the API's OpenAPI document has it, found after it was sent: ``place`` and ``rule`` say
    in what, ``call_id`` to which call it was.
    """

    at: float  # of the call
    call_id: str
    api: str
    operation: str
    place: str
    rule: str


SpooledRecord = SpooledCallRecord | LossRecord | TallyRecord | ResponseFaultRecord

encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SpooledRecord).decode


def decode(data: bytes) -> SpooledRecord:
    """A record as it was encoded. Raises ``msgspec.DecodeError`` for anything else."""
    record = _decode(data)
    if isinstance(record, SpooledCallRecord) and not record.request_id:
        record.request_id = record.call_id
    return record
