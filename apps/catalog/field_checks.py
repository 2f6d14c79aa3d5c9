"""What single fields of an API may hold. A check returns the value in the form in which it is kept, and raises ``ValueError``
with a sentence for its author.
"""

import ipaddress
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from django.conf import settings

from apps.catalog.choices import AUTHENTICATION, UPSTREAM_HOST
from apps.httpcache.fields import PROXY_FIELDS
from apps.httpcache.identity import folded
from apps.wire.host_names import is_wildcard
from apps.wire.snapshot import CLIENT_HOST

RESERVED = "/_gateway/"
LONGEST_TIMEOUT = 3600.0
MOST_HEADERS = 32

_PARAMETER = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_PLAIN = re.compile(r"[A-Za-z0-9-]+\Z")
_VALUE = re.compile(r"[\t\x20-\x7e]*\Z")
_LISTEN_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]+/)*[A-Za-z0-9._~!$&'()*+,;=:@-]*\Z")
_HOST_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_SLUG = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
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


def check_listen_path(path: object) -> str:
    """Where an API is served."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise ValueError("A listen path starts with a slash, like /products/ or /graphql.")
    if any(segment in {".", ".."} for segment in path.split("/")):
        raise ValueError("A listen path has no . or .. segments.")
    if not _LISTEN_PATH.match(path):
        raise ValueError("A listen path has letters, digits and -._~!$&'()*+,;=:@ between single slashes.")
    if f"{path.lower()}/".startswith(RESERVED):
        raise ValueError(f"{RESERVED} is the gateway's own.")
    return path


def check_hosts(hosts: object) -> list[str]:
    """A list of host names, and of wildcards over them."""
    if not are_texts(hosts):
        raise ValueError("A list of host names.")
    if len(hosts) > 100:
        raise ValueError("At most 100 hosts.")
    names = _once(map(normal_host, hosts))
    for host in names:
        if refused := refusal_of_host(host):
            raise ValueError(refused)
    return names


def check_host_header(value: object) -> str:
    """The ``Host`` that upstreams get: a word for whose, or a name with or without a port."""
    if not isinstance(value, str):
        raise ValueError("One of upstream and preserve, or a host name.")
    text = value.strip().lower()
    name, colon, port = text.rpartition(":") if ":" in text and not text.endswith("]") else (text, "", "")
    numbered = not colon or (port.isascii() and port.isdigit() and 0 < int(port) < 65536)
    if text in (UPSTREAM_HOST, CLIENT_HOST):
        return text
    if not numbered or not is_host(normal_host(name)):
        raise ValueError(
            f"{value!r} is neither upstream nor preserve, nor a host name like api.example.com or one with a port."
        )
    return f"{normal_host(name)}{colon}{port}"


def check_tags(value: object) -> list[str]:
    """What the catalogue sorts an API under."""
    tags = _once(map(str.strip, value)) if are_texts(value) else None
    if tags is None or len(tags) > 20 or not all(_TAG.match(tag) for tag in tags):
        raise ValueError("At most 20 tags of up to 40 letters, digits, spaces and . : / - characters.")
    return tags


def check_plans(value: object) -> list[str]:
    """A list of plans, by slug. Whether there are such plans is for the room that has them to say."""
    slugs = _once(map(str.strip, value)) if are_texts(value) else None
    if slugs is None or len(slugs) > 100 or not all(_SLUG.match(slug) for slug in slugs):
        raise ValueError("A list of plans by their short names, at most 100.")
    return slugs


def check_authentication(value: object) -> list[str]:
    """How callers may say who they are."""
    words = _once(map(str.strip, value)) if are_texts(value) else []
    if not words:
        raise ValueError("Name at least one way for callers to say who they are, or none.")
    if unknown := [word for word in words if word not in AUTHENTICATION]:
        raise ValueError(f"{', '.join(unknown)} is not available. Available: {', '.join(AUTHENTICATION)}.")
    return words


def check_key_header(value: object) -> str:
    """The header in which callers send their key."""
    if not isinstance(value, str) or not _TOKEN.match(value):
        raise ValueError("This is not a header name.")
    if value.lower() in FRAMING | {"cookie", "authorization", "content-type", "accept"}:
        raise ValueError(f"{value} has another meaning: choose a header of its own, like X-API-Key.")
    return value


def check_key_parameter(value: object) -> str:
    """The query parameter in which callers may send their key; empty: none."""
    if not isinstance(value, str) or (value and not _PARAMETER.fullmatch(value)):
        raise ValueError("A parameter's name has up to 64 letters, digits and -._~ here.")
    return value


def check_key_cookie(value: object) -> str:
    """The cookie in which callers may send their key; empty: none."""
    if not isinstance(value, str) or (value and (not _TOKEN.match(value) or len(value) > 64)):
        raise ValueError("This is not the name of a cookie.")
    if value in {settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME}:
        raise ValueError("This cookie is the console's own.")
    return value


def check_header_names(value: object) -> list[str]:
    """Names of headers, without repetition."""
    names = _once(map(str.strip, value)) if are_texts(value) else None
    if names is None or not all(_TOKEN.match(name) and len(name) <= 64 for name in names):
        raise ValueError("Write a list of header names of up to 64 characters each, without colons.")
    if len(names) > MOST_HEADERS:
        raise ValueError(f"At most {MOST_HEADERS} headers.")
    return names


def check_underscore_headers(value: object) -> list[str]:
    """Headers that go on although their names have underscores or the like."""
    names = check_header_names(value)
    for name in names:
        if is_plain(name):
            raise ValueError(
                f"{name} is forwarded without being named here: its name has letters, digits and hyphens only."
            )
        read_as = folded(name.lower().encode())
        if read_as.decode() in NEVER_FOLDED or PROXY_FIELDS.fullmatch(read_as) or _MORE_PROXIES.search(read_as):
            raise ValueError(f"An origin may read {name} as {read_as.decode()}, which callers can't set.")
    return names


def check_credential_headers(value: object) -> list[str]:
    """Headers that tell who calls."""
    names = check_header_names(value)
    for name in names:
        if name.lower() in FRAMING | NOT_OF_CALLERS or name.lower().startswith("accept"):
            raise ValueError(f"{name} says nothing of who calls.")
    return names


def check_timeout(value: object) -> float:
    """Seconds that a gateway waits for an upstream."""
    if not isinstance(value, int | float) or not math.isfinite(value) or not 0 < value <= LONGEST_TIMEOUT:
        raise ValueError("More than 0 and at most an hour.")
    return value


def check_header_rules(rules: object) -> dict[str, Any]:
    """Header rules: ``{"set": {name: value}, "remove": [name]}``."""
    if isinstance(rules, Mapping):
        rules = {"set": {}, "remove": []} | dict(rules)
    if not isinstance(rules, dict) or set(rules) != {"set", "remove"}:
        raise ValueError("Expected the fields set and remove.")
    values, names = rules["set"], rules["remove"]
    if not isinstance(values, Mapping) or not are_texts(list(values)) or not are_texts(list(values.values())):
        raise ValueError("Expected header names and texts under set.")
    if not are_texts(names):
        raise ValueError("Expected a list of header names under remove.")
    if len(values) + len(names) > 100:
        raise ValueError("At most 100 header rules.")
    for name in [*values, *names]:
        if not _TOKEN.match(name):
            raise ValueError(f"{name!r} is not a header name.")
        if name.lower() in FRAMING:
            raise ValueError(f"{name} belongs to the connection: the gateway sets it.")
    for name, value in values.items():
        if not _VALUE.match(value) or len(value) > 4096:
            raise ValueError(
                f"The value of {name} has line breaks, controls or non-ASCII characters, or is longer than 4,096."
            )
    lowered = [name.lower() for name in [*values, *names]]
    if len(set(lowered)) < len(lowered):
        raise ValueError("Each header may be named once.")
    return rules


def is_plain(name: str) -> bool:
    """Whether a header's name has letters, digits and hyphens only: no origin reads it as another."""
    return _PLAIN.match(name) is not None


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


def refusal_of_host(host: str) -> str | None:
    """Why this is neither a host name, in the form that is stored, nor a wildcard over host names."""
    if "*" not in host:
        return None if is_host(host) else f"{host!r} is not a host name (without scheme, port and path)."
    parent = host.removeprefix("*.")
    is_domain = "." in parent and is_host(parent) and not parent.startswith("[") and not parent[-1].isdigit()
    if is_wildcard(host) and is_domain and len(host) <= 253:
        return None
    return f"{host!r} is not a wildcard: * stands for one whole first label, with two or more behind it, as in *.example.com."


def are_texts(value: object) -> TypeGuard[list[str]]:
    """Whether this is a list of texts."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
