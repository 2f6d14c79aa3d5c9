"""Header fields: lists, hop-by-hop and per-call fields, and what of a head may be stored (RFC 9110 §5.6.1, §7.6.1;
RFC 9111 §3.1).
"""

import re
from collections.abc import Callable, Collection, Iterable

from apps.httpcache.messages import Headers

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields that belong to one connection and are neither forwarded nor stored."""

PER_CALL = frozenset(
    # The gateway's own, of which a stored response gets new ones.
    b"age x-cache x-call-id x-request-id "
    # How much the client of that call had left.
    b"ratelimit ratelimit-limit ratelimit-policy ratelimit-remaining ratelimit-reset ratelimit-used x-ratelimit-limit "
    b"x-ratelimit-remaining x-ratelimit-reset x-ratelimit-reset-after x-ratelimit-retry-after x-ratelimit-used "
    b"x-ratelimit-resource x-ratelimit-bucket x-ratelimit-scope x-ratelimit-policy x-rate-limit-limit "
    b"x-rate-limit-remaining x-rate-limit-reset x-ratelimit-limit-requests x-ratelimit-limit-tokens "
    b"x-ratelimit-remaining-requests x-ratelimit-remaining-tokens x-ratelimit-reset-requests x-ratelimit-reset-tokens "
    b"x-ratelimit-limit-second x-ratelimit-limit-minute x-ratelimit-limit-hour x-ratelimit-limit-day "
    b"x-ratelimit-remaining-second x-ratelimit-remaining-minute x-ratelimit-remaining-hour x-ratelimit-remaining-day "
    # Under which name that call stands in logs and traces.
    b"traceparent tracestate tracecontext request-id correlation-id x-correlation-id x-trace-id x-b3-traceid x-b3-spanid "
    b"x-b3-parentspanid x-b3-sampled b3 x-cloud-trace-context uber-trace-id x-datadog-trace-id x-datadog-parent-id "
    b"x-amzn-requestid x-amzn-request-id x-amzn-trace-id x-amz-request-id x-amz-id-2 x-amz-cf-id x-amz-apigw-id cf-ray "
    b"x-ms-request-id x-ms-client-request-id x-ms-activity-id x-msedge-ref x-azure-ref x-github-request-id "
    b"x-goog-request-id x-guploader-uploadid x-fastly-request-id x-vercel-id x-nf-request-id fly-request-id "
    b"x-shopify-stage x-stripe-request-id x-transaction-id x-kong-request-id x-envoy-decorator-operation "
    # How long it took there, and what a cache before us did with it.
    b"server-timing x-runtime x-response-time x-timer x-envoy-upstream-service-time x-kong-proxy-latency "
    b"x-kong-upstream-latency x-kong-response-latency x-cache-hits x-cache-status x-proxy-cache cf-cache-status "
    b"x-cache-lookup x-served-by x-varnish x-amz-cf-pop".split()
)
"""Fields that say something of one call, not of the response: to whom a stored response is sent later, they would be wrong."""

METHOD_OVERRIDES = frozenset({b"x-http-method", b"x-http-method-override", b"x-method", b"x-method-override"})
"""Request fields by which frameworks take a call for one of another method."""

UNKEYED_ECHOES = METHOD_OVERRIDES | frozenset(
    # Which host, scheme and path the caller meant: repeated in links, redirects and scripts.
    b"x-forwarded-by x-forwarded-context x-forwarded-host x-forwarded-path x-forwarded-port x-forwarded-prefix "
    b"x-forwarded-proto x-forwarded-protocol x-forwarded-scheme x-forwarded-server x-forwarded-ssl x-forwarded-uri "
    b"x-forwarded-url x-host x-http-host-override x-original-host x-backend-host x-proxy-host x-scheme x-url-scheme "
    b"front-end-https base-url http-url proxy-host proxy-url request-uri uri x-proxy-url x-wap-profile "
    # Another path than the one that is routed and keyed.
    b"x-original-path x-original-uri x-original-url x-rewrite-uri x-rewrite-url x-override-url x-http-path-override "
    b"x-http-destinationurl x-envoy-original-host x-envoy-original-path x-accel-mapping x-sendfile-type "
    # Another method (what the upstream did with it before us).
    b"x-original-method "
    # What a framework says to itself.
    b"x-invoke-error x-invoke-output x-invoke-path x-invoke-query x-invoke-status x-matched-path "
    b"x-middleware-prefetch x-middleware-rewrite x-middleware-subrequest x-nextjs-data x-now-route-matches "
    b"x-react-router-spa-mode x-react-router-prerender-data x-astro-path x-astro-locals "
    # What a cache can put together from parts: this one can't.
    b"surrogate-capability".split()
)
"""Request fields that frameworks act on or echo, known from research on cache poisoning (Kettle, "Practical web cache
poisoning", 2018; Nguyen and others, "Your cache has fallen", 2019; advisories since). On a cacheable call they are
removed unless the policy puts them in the key.
"""

PROXY_FIELDS = re.compile(
    rb"x-forwarded-.*|forwarded|x-real-ip|(?:x-|ssl-|x-ssl-)?client-cert(?:-.*)?|x-arr-clientcert"
    rb"|(?:true-|x-)?client-ip|(?:cf-|fastly-|x-)?connecting-ip|fastly-client-ip|x-cluster-client-ip"
    rb"|x-original-forwarded-for|x-custom-ip-authorization"
)
"""Names of request fields that proxies set on the way and applications believe: from anyone but a trusted proxy they are
removed.
"""


class NameTable(dict[bytes, int]):
    """What ``judge`` says of each name of a field, remembered, and read as a dictionary: without a call. At most 2,048 names of at
    most 64 bytes, which is less than half a MiB; names are few, but clients choose them.
    """

    def __init__(self, judge: Callable[[bytes], int]) -> None:
        super().__init__()
        self._judge = judge

    def __missing__(self, name: bytes) -> int:
        found = self._judge(name)
        if len(name) <= 64:
            if len(self) >= 2048:
                self.clear()
            self[name] = found
        return found


# Quoted strings that are closed, and what is around them: where this ends, a quote stands that is never closed.
_CLOSED = re.compile(rb'[^"]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"]*+)*+', re.DOTALL)
# Within that, a member is anything but a comma, where a quoted string may hold commas.
_MEMBER = re.compile(
    rb'[^,"]++(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^,"]*+)*+|(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^,"]*+)++', re.DOTALL
)


def members(lines: Iterable[bytes]) -> list[bytes]:
    """The members of a list field over all its lines, without empty ones and the white space around them (RFC 9110
    §5.6.1).

    A quote that is never closed is an ordinary character, so that what follows it can't be hidden; and so is every one
    behind it, since only an escape hid it from the first. So each byte is looked at twice at most.
    """
    found = []
    for line in lines:
        if b'"' not in line or b"," not in line:
            parts = line.split(b",")
        elif line.count(b'"') % 2 or b"\\" in line:
            parts = _doubtful_members(line)
        else:
            parts = _MEMBER.findall(line)
        found += [member for part in parts if (member := part.strip(b" \t"))]
    return found


def _doubtful_members(line: bytes) -> list[bytes]:
    """The members of a line in which a quote may never be closed."""
    match = _CLOSED.match(line)
    end = match.end() if match is not None else 0
    parts = _MEMBER.findall(line, 0, end)
    if end < len(line):
        begun = parts.pop() if parts and line[end - 1 : end] != b"," else b""
        head, *rest = line[end:].split(b",")
        parts += [begun + head, *rest]
    return parts


def lines_of(headers: Headers, name: bytes) -> list[bytes]:
    """The values of all lines of one field."""
    return [value for field, value in headers if field == name]


def first(headers: Headers, name: bytes) -> bytes | None:
    """The value of a field's first line, or ``None``."""
    for field, value in headers:
        if field == name:
            return value
    return None


def connection_listed(headers: Headers) -> frozenset[bytes]:
    """Names that ``Connection`` declares hop-by-hop for this message."""
    lines = lines_of(headers, b"connection")
    return frozenset(member.lower() for member in members(lines)) if lines else frozenset()


def without(headers: Headers, *unwanted: Collection[bytes]) -> Headers:
    """The fields whose names are in none of the collections."""
    names = frozenset().union(*unwanted)
    return tuple(pair for pair in headers if pair[0] not in names)


def end_to_end(headers: Headers, *unwanted: Collection[bytes]) -> Headers:
    """The fields that outlive a connection, without those in ``unwanted``."""
    return without(headers, HOP_BY_HOP, connection_listed(headers), *unwanted)
