"""“Try it”: a real call through the gateway with a key that is good for one API and a minute."""

import contextlib
import json
import time
from dataclasses import dataclass

import httpx
from django.conf import settings

from apps.access.services import NewKey
from apps.access.services.applications import named
from apps.catalog.models import API
from apps.console.call_examples import curl_of, example_host
from apps.fleet.receipts import wait_for_receipt
from apps.gateway.pipeline.authenticators.table import way_of_keys
from apps.httpcache import Headers
from apps.wire.listen_paths import path_at

TIMEOUT = 30.0
SHOWN = 64 * 1024
"""Bytes of a response's body that are shown."""

#: shown first: what the cache did
FIRST = ("x-cache", "cache-status", "age", "x-call-id", "x-request-id")
#: the gateway's or the connection's own to set
REFUSED = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection"})


@dataclass
class Trial:
    """What came back, or why nothing did."""

    curl: str
    status: int = 0
    phrase: str = ""
    milliseconds: float = 0.0
    cache: str = ""
    call_id: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    note: str = ""
    error: str = ""


def call(api: API, method: str, path: str, headers: Headers, body: str, made: NewKey | None, host: str = "") -> Trial:
    """Call ``path`` of ``api`` through the gateway, at ``host`` or one for an example. Never raises for what the network does."""
    sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name not in REFUSED}
    trial = Trial(curl=curl_of(api, path, method=method, headers=sent, body=body, host=host))
    way = way_of_keys(api.authentication)
    if made is not None and way is not None:
        wait_for_receipt()  # a gateway that doesn't know the key yet would answer 401
        name, value = way.example(api.api_key_header, named(made.key.application), made.secret)
        sent[name] = value
    if api.hosts:
        sent["host"] = host or example_host(api)
    address = f"{settings.GATEWAY_URL}{path_at(api.listen_path, path)}"
    begun = time.perf_counter()
    try:
        with (
            httpx.Client(timeout=TIMEOUT, trust_env=False, follow_redirects=False) as client,
            client.stream(method, address, headers=sent, content=body.encode() or None) as answer,
        ):
            content, whole = _begins(answer)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as failed:
        trial.error = f"The gateway could not be called: {failed or type(failed).__name__}."
        return trial
    trial.milliseconds = (time.perf_counter() - begun) * 1000
    trial.status, trial.phrase = answer.status_code, answer.reason_phrase
    pairs = [(name.lower(), value) for name, value in answer.headers.multi_items()]
    trial.headers = tuple(sorted(pairs, key=lambda pair: FIRST.index(pair[0]) if pair[0] in FIRST else len(FIRST)))
    trial.cache = answer.headers.get("x-cache", "")
    trial.call_id = answer.headers.get("x-call-id", "")
    trial.body, trial.note = shown(answer, content, whole)
    return trial


def _begins(answer: httpx.Response) -> tuple[bytes, bool]:
    """What is shown of the body at most, and whether that is all of it: an upstream may send without end."""
    content = b""
    for part in answer.iter_bytes(SHOWN):
        content += part
        if len(content) > SHOWN:
            return content[:SHOWN], False
    return content, True


def shown(answer: httpx.Response, content: bytes, whole: bool) -> tuple[str, str]:
    """The body as text, JSON indented, and a note on what is not shown."""
    note = "" if whole else f"The first {SHOWN // 1024} KiB."
    if b"\0" in content[:1024]:
        return "", f"{len(content):,} bytes{'' if whole else ' and more'} that aren't text."
    try:
        text = content.decode(answer.charset_encoding or "utf-8", "replace")
    except LookupError:  # the upstream named a character set that there isn't
        text = content.decode("utf-8", "replace")
    if "json" in answer.headers.get("content-type", "") and not note:
        with contextlib.suppress(ValueError):
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return text, note
