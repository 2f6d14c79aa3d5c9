"""What an API may say, checked field by field, so that an error stands next to its field."""

import ipaddress
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, cast

from django.db.models import Q

from apps.catalog.choices import APIState, Authentication, HostState
from apps.catalog.document import OperationFields, UpstreamFields
from apps.catalog.models import API, HostName
from apps.egress.addresses import refusal_of_url
from apps.httpcache.fields import PROXY_FIELDS
from apps.httpcache.identity import folded

Errors = dict[str, list[str]]

RESERVED = "/_gateway/"
#: First segments of paths that say something of a whole host: to search engines, issuers of certificates, browsers and apps. Who
#: serves them on a host that other tenants' callers use speaks for all of them.
OF_A_HOST = frozenset(
    {
        ".well-known",
        "ads.txt",
        "app-ads.txt",
        "apple-app-site-association",
        "clientaccesspolicy.xml",
        "crossdomain.xml",
        "favicon.ico",
        "firebase-messaging-sw.js",
        "humans.txt",
        "manifest.json",
        "manifest.webmanifest",
        "ngsw-worker.js",
        "onesignalsdkworker.js",
        "robots.txt",
        "security.txt",
        "service-worker.js",
        "serviceworker.js",
        "site.webmanifest",
        "sitemap.xml",
        "sw.js",
    }
)
LONGEST_TIMEOUT = 3600.0
MOST_RETRIES = 10
MOST_CALLS = 10_000
LONGEST_WAIT = 60.0
LARGEST_BODY = 2**40
LARGEST_WEIGHT = 1000
MOST_UPSTREAMS = 100
MOST_OPERATIONS = 2000
MOST_HEADERS = 32
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_PLAIN = re.compile(r"[A-Za-z0-9-]+\Z")
_VALUE = re.compile(r"[\t\x20-\x7e]*\Z")
_LISTEN_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]+/)*\Z")
_HOST_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_TAG = re.compile(r"[\w][\w .:/-]{0,39}\Z")

#: what the gateway itself sets or removes on every call: rules can't touch it (RFC 9110 §7.6.1, RFC 9112 §6)
FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

#: what is never a credential: it says what is wanted, and has rules of its own in the cache
NOT_OF_CALLERS = frozenset(
    {
        "cache-control",
        "content-encoding",
        "content-type",
        "expect",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "pragma",
        "range",
    }
)

#: what a header with an underscore may not be read as by an origin
NEVER_FOLDED = (
    FRAMING
    | NOT_OF_CALLERS
    | {"x-api-key", "x-request-id", "x-call-id", "x-apimgr-warm-up", "http2-settings"}
    | {"proxy", "proxy-authentication-info"}
)
# What further proxies call a client's address and certificate.
_MORE_PROXIES = re.compile(rb"client-cert|(?:client|connecting)-ip\Z")


def normalise(api: API) -> None:
    """Bring fields into the one form that is stored: hosts in lower case, lists without repetition."""
    for field in ("hosts", "tags", "authentication", "underscore_headers", "credential_headers"):
        value = getattr(api, field)
        if _are_texts(value):
            texts = [normal_host(item) if field == "hosts" else item.strip() for item in value]
            setattr(api, field, list(dict.fromkeys(texts)))
    for field in ("request_headers", "response_headers"):
        rules = getattr(api, field)
        if isinstance(rules, Mapping):
            setattr(api, field, {"set": {}, "remove": []} | dict(rules))


def api_errors(api: API) -> Errors:
    """What is wrong with a normalised API's own fields, by model field. No queries."""
    errors = {
        "listen_path": listen_path_error(api.listen_path),
        "hosts": hosts_error(api.hosts),
        "authentication": _authentication_error(api.authentication),
        "api_key_header": _key_header_error(api.api_key_header),
        "underscore_headers": _underscore_headers_error(api.underscore_headers),
        "credential_headers": _credential_headers_error(api.credential_headers),
        "connect_timeout": _timeout_error(api.connect_timeout),
        "read_timeout": _timeout_error(api.read_timeout),
        "retries": None if _within(api.retries, 0, MOST_RETRIES) else f"Between 0 and {MOST_RETRIES}.",
        "concurrent_calls": None if _within(api.concurrent_calls, 1, MOST_CALLS) else "Between 1 and 10,000.",
        "queued_calls": None if _within(api.queued_calls, 0, MOST_CALLS) else "Between 0 and 10,000.",
        "queue_wait": _wait_error(api.queue_wait),
        "body_limit": None if _within(api.body_limit, 0, LARGEST_BODY) else "Between 0 and 1 TiB, in bytes.",
        "tags": None
        if _are_texts(api.tags) and len(api.tags) <= 20 and all(_TAG.match(tag) for tag in api.tags)
        else "At most 20 tags of up to 40 letters, digits, spaces and . : / - characters.",
        "request_headers": rules_error(api.request_headers),
        "response_headers": rules_error(api.response_headers),
    }
    return {field: [error] for field, error in errors.items() if error}


def listen_path_error(path: object) -> str | None:
    """What is wrong with a listen path."""
    if not isinstance(path, str) or not path.startswith("/") or not path.endswith("/"):
        return "A listen path starts and ends with a slash, like /products/."
    if any(segment in {".", ".."} for segment in path.split("/")):
        return "A listen path has no . or .. segments."
    if not _LISTEN_PATH.match(path):
        return "A listen path has letters, digits and -._~!$&'()*+,;=:@ between single slashes."
    if path.lower().startswith(RESERVED):
        return f"{RESERVED} is the gateway's own."
    return None


def hosts_error(hosts: object) -> str | None:
    """What is wrong with a list of host names."""
    if not _are_texts(hosts):
        return "A list of host names."
    if len(hosts) > 100:
        return "At most 100 hosts."
    for host in hosts:
        if not is_host(host):
            return f"{host!r} is not a host name (without scheme, port and path)."
    return None


def shared_path_error(api: API) -> str | None:
    """Why only an administrator may publish ``api`` where it is: it has no host of its own, and would speak for whole hosts."""
    first = api.listen_path.strip("/").partition("/")[0].lower()
    if api.hosts or (first and first not in OF_A_HOST):
        return None
    told = f"/{first} says something of a whole host" if first else "/ is also /robots.txt, /.well-known/ and the like"
    return f"{told}, which other tenants share: name hosts of your own, or ask a platform administrator."


def rules_error(rules: object) -> str | None:
    """What is wrong with header rules: ``{"set": {name: value}, "remove": [name]}``."""
    if not isinstance(rules, Mapping) or set(rules) != {"set", "remove"}:
        return "Expected the fields set and remove."
    values, names = rules["set"], rules["remove"]
    if not isinstance(values, Mapping) or not _are_texts(list(values)) or not _are_texts(list(values.values())):
        return "Expected header names and texts under set."
    if not _are_texts(names):
        return "Expected a list of header names under remove."
    if len(values) + len(names) > 100:
        return "At most 100 header rules."
    for name in [*values, *names]:
        if not _TOKEN.match(name):
            return f"{name!r} is not a header name."
        if name.lower() in FRAMING:
            return f"{name} belongs to the connection: the gateway sets it."
    for name, value in values.items():
        if not _VALUE.match(value) or len(value) > 4096:
            return f"The value of {name} has line breaks, controls or non-ASCII characters, or is longer than 4,096."
    lowered = [name.lower() for name in [*values, *names]]
    if len(set(lowered)) < len(lowered):
        return "Each header may be named once."
    return None


def upstreams_error(upstreams: Sequence[UpstreamFields]) -> Errors:
    """What is wrong with a list of upstreams, by field: ``upstreams`` for the list, ``upstreams.0.url`` inside."""
    errors: Errors = {}
    if len(upstreams) > MOST_UPSTREAMS:
        return {"upstreams": [f"At most {MOST_UPSTREAMS} upstreams."]}
    seen: set[str] = set()
    for index, upstream in enumerate(upstreams):
        url, weight = upstream.get("url"), upstream.get("weight", 1)
        if not isinstance(url, str) or not url:
            errors[f"upstreams.{index}.url"] = ["An upstream has a URL."]
            continue
        if refusal := refusal_of_url(url) or ("At most 500 characters." if len(url) > 500 else None):
            errors[f"upstreams.{index}.url"] = [refusal]
        elif url in seen:
            errors[f"upstreams.{index}.url"] = ["This upstream is there already: give it a greater weight."]
        seen.add(url)
        if not _within(weight, 1, LARGEST_WEIGHT):
            errors[f"upstreams.{index}.weight"] = [f"Between 1 and {LARGEST_WEIGHT}."]
    return errors


def operations_error(operations: Sequence[OperationFields]) -> Errors:
    """What is wrong with a list of operations, by field."""
    errors: Errors = {}
    if len(operations) > MOST_OPERATIONS:
        return {"operations": [f"At most {MOST_OPERATIONS} operations."]}
    seen: set[tuple[str, str]] = set()
    for index, operation in enumerate(operations):
        method, path = operation.get("method", ""), operation.get("path", "")
        if method not in METHODS:
            errors[f"operations.{index}.method"] = [f"One of {', '.join(METHODS)}."]
        elif not path.startswith("/") or len(path) > 300:
            errors[f"operations.{index}.path"] = ["A path starts with a slash and has at most 300 characters."]
        elif (method, path) in seen:
            errors[f"operations.{index}.path"] = [f"{method} {path} is there already."]
        seen.add((method, path))
    return errors


def collision(api: API) -> API | None:
    """Another API, not retired, on the same listen path and an overlapping set of hosts. One query.

    Nested paths don't collide: the longest wins. Nor does a named host with "any host": the named one wins.
    """
    others = API.objects.filter(listen_path=api.listen_path).exclude(state=APIState.RETIRED).exclude(pk=api.pk)
    for other in others:
        if not (api.hosts or other.hosts) or set(api.hosts) & set(other.hosts):
            return other
    return None


def foreign_neighbour(api: API) -> API | None:
    """Another tenant's API, not retired, that answers for calls which ``api`` would take, or the other way round. One query.

    The longest path and a named host win, so an API inside another one's path, or on its path with a host's name, gets calls that
    were meant for the other, with the credentials of its callers. ``/`` is everybody's ground. On a tenant's own hosts other
    tenants' APIs don't answer, so they are nobody's neighbours there.
    """
    segments = api.listen_path.strip("/").split("/")
    around = ["/" + "/".join(segments[: count + 1]) + "/" for count in range(len(segments))]
    near = API.objects.filter(Q(listen_path__in=around) | Q(listen_path__startswith=api.listen_path))
    others = list(near.exclude(state=APIState.RETIRED).exclude(tenant=api.tenant_id))
    named = {host for each in (api, *others) for host in each.hosts}
    proved = HostName.objects.filter(state=HostState.PROVED, host__in=named) if named else ()
    owners = {name.host: name.tenant_id for name in proved}

    def own(one: API) -> bool:
        return bool(one.hosts) and all(owners.get(host) == one.tenant_id for host in one.hosts)

    for other in others:
        nested = other.listen_path in around or other.listen_path.startswith(api.listen_path)
        anywhere = (not api.hosts and not own(other)) or (not other.hosts and not own(api))
        if nested and (anywhere or set(api.hosts) & set(other.hosts)):
            return other
    return None


def _authentication_error(value: object) -> str | None:
    if not _are_texts(value) or not value:
        return "Name at least one way for callers to say who they are, or none."
    if unknown := [word for word in value if word not in Authentication.values]:
        return f"{', '.join(unknown)} is not available. Available: {', '.join(Authentication.values)}."
    return None


def _key_header_error(value: object) -> str | None:
    if not isinstance(value, str) or not _TOKEN.match(value):
        return "This is not a header name."
    if value.lower() in FRAMING | {"cookie", "authorization", "content-type", "accept"}:
        return f"{value} has another meaning: choose a header of its own, like X-API-Key."
    return None


def is_plain(name: str) -> bool:
    """Whether a header's name has letters, digits and hyphens only: no origin reads it as another."""
    return _PLAIN.match(name) is not None


def _header_names_error(names: object) -> str | None:
    if not _are_texts(names) or not all(_TOKEN.match(name) and len(name) <= 64 for name in names):
        return "Write a list of header names of up to 64 characters each, without colons."
    if len(names) > MOST_HEADERS:
        return f"At most {MOST_HEADERS} headers."
    return None


def _underscore_headers_error(names: object) -> str | None:
    if error := _header_names_error(names):
        return error
    for name in cast(list[str], names):
        if is_plain(name):
            return f"{name} is forwarded without being named here: its name has letters, digits and hyphens only."
        read_as = folded(name.lower().encode())
        if read_as.decode() in NEVER_FOLDED or PROXY_FIELDS.fullmatch(read_as) or _MORE_PROXIES.search(read_as):
            return f"An origin may read {name} as {read_as.decode()}, which callers can't set."
    return None


def _credential_headers_error(names: object) -> str | None:
    if error := _header_names_error(names):
        return error
    for name in cast(list[str], names):
        if name.lower() in FRAMING | NOT_OF_CALLERS or name.lower().startswith("accept"):
            return f"{name} says nothing of who calls."
    return None


def _timeout_error(value: object) -> str | None:
    if not isinstance(value, int | float) or not math.isfinite(value) or not 0 < value <= LONGEST_TIMEOUT:
        return "More than 0 and at most an hour."
    return None


def _wait_error(value: object) -> str | None:
    if not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= LONGEST_WAIT:
        return "Between 0 and 60 seconds."
    return None


def normal_host(host: str) -> str:
    """A host name in the one form that is stored: lower case, without a dot at its end, international names in ASCII (RFC 5890),
    IPv6 addresses in brackets and as short as they can be."""
    name = host.strip().lower().removesuffix(".")
    if not name.isascii():
        try:
            name = name.encode("idna").decode()
        except UnicodeError:
            return name
    if name.startswith("[") and name.endswith("]"):
        try:
            return f"[{ipaddress.IPv6Address(name[1:-1])}]"
        except ValueError:
            return name
    return name


def is_host(host: str) -> bool:
    """Whether this is a host name, or an address, in the form that is stored."""
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
        return True
    return 0 < len(host) <= 253 and all(_HOST_LABEL.match(label) for label in host.split("."))


def _within(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _are_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
