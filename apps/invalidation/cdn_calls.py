"""The HTTP call that purges a CDN, as an administrator describes it, and as it is made. Pure.

A CDN is described by one call for each kind of purge that it can do, each with ``method``, ``url`` and ``body``::

    path:  {method: PURGE, url: "{url}"}                                              Varnish, nginx, Squid, Fastly
    tag:   {method: POST, url: "https://api.fastly.com/service/S/purge/{tag}"}        Fastly
    tag:   {method: POST, url: "https://api.cloudflare.com/client/v4/zones/Z/purge_cache", body: '{"tags": ["{tag}"]}'}

``{url}`` is the base URL with the path behind it, ``{path}`` the path alone, ``{tag}`` the tag or the operation,
``{api}`` the API's slug, ``{soft}`` 1 or 0. In a URL values are percent-encoded, in a body they are as JSON has them between
quotation marks. Headers are the same for all calls, and may hold placeholders too.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from apps.egress.addresses import refusal_of_host, refusal_of_url

KINDS = ("path", "prefix", "tag", "operation", "api")
WORDS = frozenset({"method", "url", "body"})
PLACEHOLDERS = frozenset({"url", "path", "tag", "api", "soft"})

_PLACE = re.compile(r"\{([a-z]+)\}")
_METHOD = re.compile(r"[A-Z][A-Z-]{1,19}\Z")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}\Z")
_FORBIDDEN = frozenset({"host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect"})
_URL_SAFE = "/-._~!$&'()*+,;=:@%"


@dataclass(frozen=True)
class CDNCall:
    """One call, ready to be made."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None


def call_for(
    described: Mapping[str, str], headers: Mapping[str, str], base_url: str, values: Mapping[str, str]
) -> CDNCall:
    """The call of one purge. ``values`` has ``path`` (normalised, below the listen path), ``tag``, ``api`` and ``soft``."""
    named = {**values, "url": base_url.rstrip("/") + values.get("path", "")}
    in_url = {
        name: quote(value, safe=_URL_SAFE if name in ("url", "path") else "") if name != "url" else value
        for name, value in named.items()
    }
    body = described.get("body")
    return CDNCall(
        method=described["method"],
        url=_filled(described["url"], in_url),
        headers={name: _filled(value, named) for name, value in headers.items()},
        body=None
        if body is None
        else _filled(body, {name: json.dumps(value)[1:-1] for name, value in named.items()}).encode(),
    )


def places(base_url: str, calls: Mapping[str, Mapping[str, str]]) -> frozenset[tuple[str, str]]:
    """The (scheme, authority) pairs that a description calls."""
    urls = [base_url, *(call.get("url", "") for call in calls.values())]
    return frozenset((parts.scheme, parts.netloc.lower()) for parts in map(urlsplit, urls) if parts.netloc)


def _filled(template: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda match: values.get(match[1], match[0]), template)


def cdn_errors(base_url: object, headers: object, calls: object) -> dict[str, list[str]]:
    """What is wrong with a description, by field."""
    errors: dict[str, list[str]] = {}
    uses_base = isinstance(calls, Mapping) and "{url}" in json.dumps(calls, default=str)
    if not isinstance(base_url, str) or len(base_url) > 500:
        errors["base_url"] = ["A URL."]
    elif base_url and (refusal := refusal_of_url(base_url)):
        errors["base_url"] = [refusal]
    elif not base_url and uses_base:
        errors["base_url"] = [
            "A call names {url}: say where callers reach the API, like https://api.example.com/products."
        ]
    if refused := _header_error(headers):
        errors["headers"] = [refused]
    if refused := _calls_error(calls):
        errors["calls"] = [refused]
    return errors


def _header_error(headers: object) -> str | None:
    if not isinstance(headers, Mapping) or len(headers) > 20:
        return "An object of at most 20 headers."
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.match(name) or name.lower() in _FORBIDDEN:
            return f"{name!r} can't be set as a header."
        if not isinstance(value, str) or len(value) > 4000 or not (value.isascii() and value.isprintable()):
            return f"The value of {name} is visible ASCII text."
        if unknown := _unknown(value):
            return unknown
    return None


def _calls_error(calls: object) -> str | None:
    if not isinstance(calls, Mapping) or not calls:
        return f"Describe the call of at least one kind of purge: {', '.join(KINDS)}."
    for kind, call in calls.items():
        if kind not in KINDS:
            return f"There is no kind of purge {kind!r}: {', '.join(KINDS)}."
        if not isinstance(call, Mapping) or not {"method", "url"} <= set(call) <= WORDS:
            return f"The call of {kind} has a method, a url and, where it needs one, a body."
        if not all(isinstance(value, str) and len(value) <= 4000 for value in call.values()):
            return f"The call of {kind} is texts."
        if not _METHOD.match(call["method"]):
            return f"{call['method'][:20]!r} is no method for {kind}: write it in capitals."
        if refused := _url_error(call["url"]):
            return f"The url of {kind}: {refused}"
        for value in call.values():
            if unknown := _unknown(value):
                return unknown
    return None


def _url_error(url: str) -> str | None:
    """A template's host is fixed: what a purge names never decides whom we call."""
    if url.startswith("{url}"):
        rest = url.removeprefix("{url}")
        if rest[:1] not in ("", "/", "?"):
            return "Behind {url} comes a slash, a question mark or nothing."
        return None if _sample(rest) else "It has characters that a URL can't have."
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "This is not a URL."
    if parts.scheme not in ("http", "https") or not host or "{" in parts.netloc or "@" in parts.netloc:
        return "It begins with {url}, or with http:// or https:// and a host, without credentials."
    if not _sample(url):
        return "It has characters that a URL can't have."
    return refusal_of_host(f"[{host}]" if "[" in parts.netloc else host)


def _sample(template: str) -> bool:
    text = _PLACE.sub("x", template)
    return text.isascii() and not any(character <= " " or character in '\\"<>^`{|}\x7f' for character in text)


def _unknown(template: str) -> str | None:
    for name in _PLACE.findall(template):
        if name not in PLACEHOLDERS:
            return (
                f"{{{name}}} stands for nothing: there are {', '.join(sorted(f'{{{each}}}' for each in PLACEHOLDERS))}."
            )
    return None


def values_of(kind: str, value: str, path: bytes, api: str, *, soft: bool) -> dict[str, Any]:
    """What the placeholders of one purge stand for."""
    tag = value if kind in ("tag", "operation") else ""
    return {"path": path.decode("latin-1"), "tag": tag, "api": api, "soft": "1" if soft else "0"}
