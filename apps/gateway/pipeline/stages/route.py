"""Which API a call is for, and what of its head goes on."""

from collections.abc import Callable

from apps import httpcache
from apps.gateway.call.call import HOST_BYTES, Call
from apps.gateway.call.head_limits import HOST
from apps.gateway.call.header_rules import OF_OWN_RESPONSES, ruled
from apps.gateway.call.named_values import without_crumb, without_parameter
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import GatewayResponse, date, refuse
from apps.gateway.call.withheld_keys import query_without_keys, without_keys
from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.pipeline.authenticators.api_key import KEY_FIELD
from apps.gateway.pipeline.authenticators.table import key_cookie, key_parameter, secret_fields
from apps.gateway.pipeline.stages import DependsOn, Stage
from apps.gateway.upstream.loop_detection import LoopDetection
from apps.httpcache.fields import HOP_BY_HOP, PROXY_FIELDS, NameTable
from apps.httpcache.identity import folded
from apps.httpcache.patterns import template
from apps.wire.api_keys import holds_secret
from apps.wire.listen_paths import is_at, path_below
from apps.wire.snapshot import API
from apps.wire.warm_up_token import HEADER

# Nothing here upgrades: a proposal to (RFC 9110 §7.8, RFC 7540 §3.2.1) ends with this hop, and the call is like any other.
# ``Proxy`` is the one field that CGI turns into a variable which programs take for their own configuration (httpoxy).
_OURS = frozenset(
    {
        b"host",
        b"content-length",
        b"expect",
        b"proxy",
        b"x-request-id",
        b"x-call-id",
        b"upgrade",
        b"http2-settings",
        HEADER,
    }
)


_PLAIN = b"abcdefghijklmnopqrstuvwxyz0123456789-"


class Route(Stage):
    """Finds the API of a call. ``trusts`` says whether an address is a trusted proxy's."""

    name = "route"
    depends_on = DependsOn.HEAD

    def __init__(self, config: WorkerConfig, loop_detection: LoopDetection, trusts: Callable[[str], bool]) -> None:
        self._config, self._loop_detection, self._trusts = config, loop_detection, trusts

    def __call__(self, x: Call) -> GatewayResponse | None:
        """Find the API. Refuses what isn't well-formed (400), what isn't published (404) and what has been here before
        (508); sends ``/products`` to ``/products/`` (308), or the other way round, as the API's listen path is written.
        """
        target = httpcache.normalise_target(x.target)
        if target is None:
            return refuse(x, Problem.INVALID_REQUEST, "The request target is not a normal path.")
        if x.method in ("TRACE", "CONNECT"):
            # The response to a TRACE repeats what the upstream got: credentials that the gateway added too (RFC 9110 §9.3.8).
            return refuse(x, Problem.INVALID_REQUEST, "This method is not forwarded.")
        x.path, x.query = target
        x.host = next((value.lower() for name, value in x.headers if name == b"host"), b"")
        if not self._config.loaded:
            return refuse(x, Problem.NOT_READY, "The gateway is starting.", ((b"retry-after", b"1"),))
        api = self._config.route(x.host, x.path)
        if api is None:
            return refuse(x, Problem.UNKNOWN_API)
        x.api = api
        if holds_secret(x.path) or holds_secret(x.host):
            return refuse(
                x, Problem.INVALID_REQUEST, "A key stands in the address, which others read: it belongs in a header."
            )
        x.query = query_taken(api, x.query)
        if self._loop_detection.has_been_here(x):
            return refuse(x, Problem.LOOP_DETECTED)
        if not is_at(api.listen_path, x.path):
            listen_path = api.listen_path.encode()
            location = listen_path if x.query is None else listen_path + b"?" + x.query
            x.reason = "listen_path"
            fields = ((b"location", location), (b"content-length", b"0"), (b"date", date()))
            return GatewayResponse(308, ruled(fields, api.response_headers, OF_OWN_RESPONSES), b"")
        trusted = x.by_proxy = self._trusts(x.client)
        headers = fields_taken(api, x.headers, trusted)
        x.told_host = x.host
        if trusted:
            for name, value in headers:
                if name == b"x-forwarded-proto" and value in (b"http", b"https"):
                    x.scheme = value.decode()
                elif name == b"x-forwarded-host":
                    told = value.partition(b",")[0].strip()  # a chain of proxies appends
                    if len(told) <= HOST_BYTES and HOST.fullmatch(told):
                        x.told_host = told.lower()
        x.request_headers = headers
        x.operation = operation_of(api, x.method, relative_path(api, x.path))
        return None

    def describe(self, x: Call) -> str:
        return x.api.slug


def fields_taken(api: API, headers: httpcache.Headers, trusted: bool) -> httpcache.Headers:
    """The fields of a call's head that may go on to the API: without those of this hop, those whose names an origin may
    read as others, that of its keys, those with a secret of this platform, and, from anyone but a trusted proxy, those
    that only proxies may set.
    """
    kept, _ = secret_fields(api)
    if api.underscore_headers:
        allowed = {name.encode("latin-1") for name in api.underscore_headers}
        headers = tuple(
            [(name, value) for name, value in headers if name not in allowed or _is_harmless(name, trusted)]
        )
    else:
        allowed = set()
    if trusted:
        taken = [pair for pair in headers if (_WHO_MAY[pair[0]] or pair[0] in allowed) and pair[0] not in kept]
    else:
        taken = [
            pair for pair in headers if (_WHO_MAY[pair[0]] == _ANYBODY or pair[0] in allowed) and pair[0] not in kept
        ]
    cookie = key_cookie(api)
    return without_keys(without_crumb(tuple(taken), cookie) if cookie else tuple(taken))


def query_taken(api: API, query: bytes | None) -> bytes | None:
    """The query of a call as it may go on to the API: without the parameter of its keys, and those with a secret of this
    platform. ``None``: there is none.
    """
    parameter = key_parameter(api)
    return query_without_keys(without_parameter(query, parameter) if parameter else query)


_ANYBODY, _ONLY_PROXIES = 1, 2


def _who_may(name: bytes) -> int:
    if name.translate(None, _PLAIN) or name in _OURS:
        return 0
    return _ONLY_PROXIES if PROXY_FIELDS.fullmatch(name) else _ANYBODY


_WHO_MAY = NameTable(_who_may)
"""Who may set a field that goes on: any client, trusted proxies alone, or none (0). None where the name has other characters
than letters, digits and hyphens: CGI and what took after it (WSGI, Rack, PHP) reads ``X_Forwarded_Host`` as
``X-Forwarded-Host`` (RFC 3875 §4.1.18), and some servers fold other characters too; nginx leaves such fields out as well.
"""


def _is_harmless(name: bytes, trusted: bool) -> bool:
    """Whether a name that an API allows may be set by this client as what an origin may read it as."""
    read_as = folded(name)
    if read_as in HOP_BY_HOP or read_as == KEY_FIELD:
        return False
    return _WHO_MAY[read_as] == _ANYBODY or (trusted and _WHO_MAY[read_as] == _ONLY_PROXIES)


def is_proxy_field(name: bytes) -> bool:
    """Whether only proxies set this field (a name in lower case)."""
    return PROXY_FIELDS.fullmatch(folded(name)) is not None


def relative_path(api: API, path: bytes) -> bytes:
    """The path below the API's listen path, with a leading slash."""
    return path_below(api.listen_path, path)


def operation_of(api: API, method: str, path: bytes) -> str:
    """The API's operation that a call falls under, as ``GET /items/{id}``; empty when none does."""
    for operation in api.operations:
        if operation.method in (method, "*") and template(operation.path).fullmatch(path):
            return f"{operation.method} {operation.path}"
    return ""
