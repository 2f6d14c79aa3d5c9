"""One call on its way through the gateway: what came, what was decided, what goes into its record."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

from apps.caching.http import Fetch, Held, Policy, RequestPlan, Revalidate
from apps.gateway.snapshot import API, Credential, Grant, HeaderRules, Plan

if TYPE_CHECKING:
    from apps.gateway.allowances import Allowance

Fields = tuple[tuple[bytes, bytes], ...]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@~-]{1,128}")


NO_API = API(
    slug="",
    tenant="",
    revision=0,
    listen_path="/",
    hosts=(),
    strip_listen_path=True,
    authentication=(),
    api_key_header="",
    forward_credential=False,
    upstreams=(),
    connect_timeout=0,
    read_timeout=0,
    retries=0,
    body_limit=0,
    debug_headers="none",
    request_headers=HeaderRules(),
    response_headers=HeaderRules(),
    policy=Policy(),
)
"""Stands where no API was found."""


class ClientLeft(Exception):
    """The caller is gone; whatever is done for it alone can stop."""


class BodyTooLarge(Exception):
    """The caller's body has more bytes than the API allows."""


class BodyTooSlow(Exception):
    """The caller's body didn't arrive in time."""


class RequestBody(Protocol):
    """The caller's body, read once and at the pace of whoever reads it."""

    length: int | None
    """Bytes, where the caller declared them."""
    received: int
    """Bytes that came so far."""
    limit: int
    """Bytes after which reading raises ``BodyTooLarge``."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises ``ClientLeft``, ``BodyTooLarge`` or ``BodyTooSlow``."""


class Exchange:
    """What a call carries through the stages.

    Doors set what came: ``method`` (upper case), ``target`` (bytes as on the wire), ``headers`` (names in lower case, lines in order),
    ``version``, ``scheme``, ``client`` (address, perhaps empty), ``body`` (``None`` without one), ``began`` (monotonic) and ``at`` (Unix
    seconds). Stages add the rest; ``stage`` is the one to go on with.
    """

    __slots__ = (
        "allowance",
        "answering",
        "api",
        "at",
        "attempts",
        "began",
        "begun",
        "body",
        "cache",
        "cache_plan",
        "cache_status",
        "call_id",
        "client",
        "code",
        "credential",
        "decision",
        "digest",
        "ended",
        "flags",
        "found",
        "gone",
        "grant",
        "headers",
        "host",
        "limit_lines",
        "method",
        "operation",
        "path",
        "plan",
        "query",
        "reason",
        "request_headers",
        "request_id",
        "scheme",
        "sent",
        "shared_looked",
        "silent",
        "stage",
        "status",
        "target",
        "told_host",
        "trace",
        "unavailable",
        "upstream",
        "upstream_began",
        "upstream_duration",
        "upstream_status",
        "version",
    )

    cache_plan: RequestPlan
    """Set once the call is admitted."""
    decision: Fetch | Revalidate
    """Set once the call goes to the upstream by way of the cache."""

    def __init__(
        self,
        method: str,
        target: bytes,
        headers: Fields,
        *,
        call_id: bytes,
        began: float,
        at: float,
        version: str = "1.1",
        scheme: str = "http",
        client: str = "",
        body: RequestBody | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.version = version
        self.scheme = scheme
        self.client = client
        self.body = body
        self.began = began
        self.at = at
        self.call_id = call_id
        self.request_id = call_id
        for name, value in headers:
            if name == b"x-request-id":
                if _REQUEST_ID.fullmatch(value):
                    self.request_id = value
                break
        self.stage = 0
        self.host = b""
        self.told_host = b""
        self.path = b""
        self.query: bytes | None = None
        self.request_headers: Fields = ()
        self.api = NO_API
        self.operation = ""
        self.digest = ""
        self.credential: Credential | None = None
        self.grant: Grant | None = None
        self.plan: Plan | None = None
        self.allowance: Allowance | None = None
        self.limit_lines = b""
        self.shared_looked = False
        self.found: Held | None = None
        self.cache = b"BYPASS"
        self.cache_status = b"apimgr;fwd=bypass"
        self.reason = ""
        self.code = ""
        self.flags: tuple[str, ...] = ()
        self.trace: tuple[tuple[str, str, float], ...] = ()
        self.upstream = ""
        self.upstream_status = 0
        self.upstream_began = 0.0
        self.upstream_duration = 0.0
        self.attempts = 0
        self.silent = False
        self.status = 0
        self.sent = 0
        self.begun = False
        self.ended = False
        self.gone = False
        self.answering: asyncio.Task[None] | None = None
        self.unavailable = False

    @property
    def shows_detail(self) -> bool:
        """Whether this caller may see the cache's key and reason (the API's ``debug_headers``)."""
        shown_to = self.api.debug_headers
        return shown_to == "all" or (shown_to == "subscribers" and self.grant is not None)
