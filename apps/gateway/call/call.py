"""One call on its way through the gateway: what came, what was decided, what goes into its record."""

import asyncio
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from apps.cachestore.fetch_lock import LockAttempt
from apps.gateway.call.head_memo import HeadMemo
from apps.gateway.call.keyed_body import ReadAhead
from apps.gateway.call.request_body import RequestBody
from apps.httpcache import ANONYMOUS, Fetch, Policy, Request, Revalidate, StoredResponse, plan_request
from apps.wire.api_keys import holds_secret, without_secrets
from apps.wire.snapshot import API, Contract, Credential, Grant, HeaderRules, OperationContract, Plan

if TYPE_CHECKING:
    from apps.gateway.limits.allowances import Allowance

Fields = tuple[tuple[bytes, bytes], ...]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@~-]{1,128}")

HOST_BYTES, PATH_BYTES = 255, 2048
"""What a call record keeps of the host and of the path."""

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

NO_PLAN = plan_request(Request("", "", b"", b"/", None, ()), Policy(mode="off"), ANONYMOUS)
"""Stands where a call didn't come as far as the cache."""


class Call:
    """What a call carries through the stages.

    Servers set what came: ``method`` (upper case), ``target`` (bytes as on the wire), ``headers`` (names in lower case,
    lines in order), ``version``, ``scheme``, ``client`` (address, perhaps empty), ``body`` (``None`` without one),
    ``began`` (monotonic) and ``at`` (Unix seconds). Stages add the rest. Defaults are the class's: a hit sets
    few of these.
    """

    body: RequestBody | None = None

    # What the first stages find out, and may be remembered for the next call with this head.
    host = b""
    told_host = b""
    by_proxy = False
    """A trusted proxy brought it."""
    path = b""
    query: bytes | None = None
    request_headers: Fields = ()
    api = NO_API
    operation = ""
    credential: Credential | None = None
    identified_until = float("inf")
    """Until when (Unix seconds) this head says who calls."""
    subject = ""
    """Who calls among those with one credential, where the way of saying so tells them apart."""
    grant: Grant | None = None
    plan: Plan | None = None
    cache_plan = NO_PLAN
    contract: Contract | None = None
    """What its API's calls are validated by, and of that its own operation."""
    described: OperationContract | None = None
    fault = ""
    """What is wrong with it by that, where it may go on nevertheless."""
    head_memo: HeadMemo | None = None

    # What the call meets.
    stages: tuple[Any, ...] = ()
    """Those that this call runs through, as the pipeline keeps them; ``stage`` is the place of the one to go on with."""
    stage = 0
    read_ahead: ReadAhead | None = None
    body_digests: Mapping[str, bytes] = MappingProxyType({})
    """By algorithm what its body has to hash to, as its caller signed it."""
    unavailable = False
    token_info: Any = None
    """What another server said of the call's token, for this call: an ``introspection.TokenInfo``, or why it said nothing."""
    allowance: "Allowance | None" = None
    limit_lines = b""
    shared_looked = False
    found: StoredResponse | None = None
    lock_attempt: LockAttempt | None = None
    decision: Fetch | Revalidate
    upstream = ""
    upstream_status = 0
    upstream_began = 0.0
    upstream_duration: float = 0
    attempts = 0

    # What is said of it.
    cache = b"BYPASS"
    cache_status = b"apimgr;fwd=bypass"
    reason = ""
    code = ""
    why = ""
    """Why a stage refused the call, where a closed list of reasons says more than its code."""
    cause = ""
    """Why the last upstream call that failed did: the code of a ``FailureCause``."""
    flags: tuple[str, ...] = ()
    trace: tuple[tuple[str, str, float], ...] = ()
    on_trust = False
    """What was decided holds only while the trust lease does: a value was found to be no key of the platform."""
    silent = False
    """It is no call: nothing is recorded."""
    warms = False
    """It is a warm-up's: anonymous, and let in by the control plane's own token."""

    # How far its response is.
    status = 0
    sent = 0
    begun = False
    ended = False
    gone = False
    answering: "asyncio.Task[None] | None" = None
    waits_for_reader: "Callable[[], int] | None" = None
    """How many bytes of the response are held here until the caller reads on, beside what its connection holds."""
    interim: "Callable[[int, list[tuple[bytes, bytes]]], None] | None" = None
    """Takes an interim response of the upstream to the caller; ``None`` where the server has no way to send one."""

    def __init__(
        self,
        method: str,
        target: bytes,
        headers: Fields,
        *,
        call_id: str,
        began: float,
        at: float,
        version: str = "1.1",
        scheme: str = "http",
        client: str = "",
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.call_id = call_id
        self.request_id = call_id
        self.began = began
        self.at = at
        self.version = version
        self.scheme = scheme
        self.client = client
        for name, value in headers:
            if name == b"x-request-id":
                if _REQUEST_ID.fullmatch(value) and not holds_secret(value):
                    self.request_id = value.decode()
                break

    @property
    def texts(self) -> tuple[str, str]:
        """Host and path as the call record has them: without keys, and no longer than the log keeps them, for callers
        choose their length.
        """
        host, path = without_secrets(self.host)[:HOST_BYTES], without_secrets(self.path)[:PATH_BYTES]
        return host.decode("latin-1"), path.decode("latin-1")

    def held_bytes(self) -> int:
        """Bytes of the call's body and response that are held for this caller, outside of what the cache counts."""
        ahead = self.read_ahead.size if self.read_ahead is not None else 0
        return ahead + (self.waits_for_reader() if self.waits_for_reader is not None else 0)

    @property
    def shows_detail(self) -> bool:
        """Whether this caller may see the cache's key and reason (the API's ``debug_headers``); a warm-up is shown both."""
        shown_to = self.api.debug_headers
        return shown_to == "all" or (shown_to == "subscribers" and self.grant is not None) or self.warms
