"""The calls of warm-ups: made through the gateway, so that its ordinary way stores what may be stored."""

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import httpx
from django.conf import settings

from apps.httpcache import Reason
from apps.warming.targets import WarmUpCall
from apps.wire.warm_up_token import HEADER, make

AT_ONCE = 32
"""Calls under way at a time, of all warm-ups that a process works on."""

TIMEOUT = 20.0
"""Seconds that any one wait of a call may take."""

LONGEST = 30.0
"""Seconds after which a response that is still coming is left: others' warm-ups wait for the calls of a slice."""

STORED, FRESH, PASSED, FAILED = "stored", "fresh", "passed", "failed"

_AGENT = "apimgr-warm-up"


class CallOutcome(NamedTuple):
    """What became of a call: ``stored`` anew, ``fresh`` (the cache had it), ``passed`` (answered, not stored) or ``failed``,
    and why for the last two. ``reached``: the gateway answered.
    """

    kind: str
    why: str = ""
    reached: bool = True


class Fetcher:
    """Makes the calls, on threads of its own. Use it with ``with``: leaving waits for what is under way."""

    def __init__(self, gateway_url: str = "") -> None:
        self._gateway_url = gateway_url or settings.GATEWAY_URL
        self._client = httpx.Client(
            timeout=TIMEOUT,
            trust_env=False,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
        )
        self._threads = ThreadPoolExecutor(AT_ONCE, "warm-up")

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(self, *exc: object) -> None:
        self._threads.shutdown()
        self._client.close()

    def submit(self, api: str, call: WarmUpCall, headers: Mapping[str, str]) -> "Future[CallOutcome]":
        """Have a call made; the future never raises."""
        return self._threads.submit(self._fetch, api, call, headers)

    def _fetch(self, api: str, call: WarmUpCall, headers: Mapping[str, str]) -> CallOutcome:
        token = make(
            settings.SNAPSHOT_MAC_KEY, api=api, scheme=call.scheme, target=call.target.encode(), now=time.time()
        )
        sent = {"accept": "*/*", "user-agent": _AGENT, **headers, "host": call.host, HEADER.decode(): token}
        if "accept-encoding" not in sent:
            sent["accept-encoding"] = "gzip, deflate, br"  # what most clients say
        until = time.monotonic() + LONGEST
        try:
            with self._client.stream("GET", f"{self._gateway_url}{call.target}", headers=sent) as answer:
                for _ in answer.iter_raw():
                    if time.monotonic() > until:
                        return CallOutcome(FAILED, f"Its response did not end within {LONGEST:g} s.")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return CallOutcome(
                FAILED, f"The gateway could not be called: {error or type(error).__name__}.", reached=False
            )
        return outcome_of(answer.status_code, answer.headers.get("x-cache", ""), answer.headers.get("cache-status", ""))


def outcome_of(status: int, cache: str, cache_status: str) -> CallOutcome:
    """What a response's ``X-Cache`` and ``Cache-Status`` (RFC 9211; the gateway's own member is the last) say of it."""
    said = [part.strip() for part in cache_status.rpartition("apimgr;")[2].split(";")]
    if "stored" in said:
        return CallOutcome(STORED)
    if cache in ("HIT", "STALE", "REVALIDATED"):
        return CallOutcome(FRESH)
    if status >= 400:
        return CallOutcome(FAILED, f"Answered with {status}.")
    detail = next((part.removeprefix("detail=") for part in said if part.startswith("detail=")), "")
    return CallOutcome(PASSED, _SENTENCES.get(detail, "The response was not stored."))


_SENTENCES = {reason.code: reason.sentence for reason in Reason}
