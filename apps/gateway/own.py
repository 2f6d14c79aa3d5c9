"""The gateway's own addresses, below ``/_gateway/``: alive, ready, metrics."""

from time import monotonic
from typing import TYPE_CHECKING

from apps.gateway.answers import Answer, date, refuse
from apps.gateway.exchange import Exchange
from apps.gateway.problems import Problem

if TYPE_CHECKING:
    from apps.gateway.gateway import Gateway

PREFIX = b"/_gateway/"


def own_answer(gateway: "Gateway", x: Exchange) -> Answer | None:
    """The answer for an address of ours, ``None`` for others. Asking for these is no call and leaves no record."""
    if not x.target.startswith(PREFIX) or x.method not in ("GET", "HEAD"):
        return None
    name = x.target[len(PREFIX) :].partition(b"?")[0]
    now = monotonic()
    if name == b"livez":
        answer = _text(200, b"alive\n")
    elif name == b"readyz":
        if gateway.stopping:
            answer = _text(503, b"stopping\n")
        elif gateway.world.ready(now):
            answer = _text(200, b"ready\n")
        elif not gateway.readers.admit(x):
            answer = _text(503, b"not ready\n")
        else:
            answer = _text(
                503,
                b"not ready: the lease is over\n" if gateway.world.loaded else b"not ready: nothing is loaded yet\n",
            )
    elif name == b"metrics" and not gateway.readers.admit(x):
        answer = refuse(x, Problem.FORBIDDEN)
    elif name == b"metrics":
        answer = _text(200, gateway.metrics.text(gateway, now), b"text/plain; version=0.0.4; charset=utf-8")
    else:
        return None
    x.silent = True
    if x.method == "HEAD":
        answer.body = b""
    return answer


def _text(status: int, body: bytes, kind: bytes = b"text/plain; charset=utf-8") -> Answer:
    headers = (
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"date", date()),
    )
    return Answer(status, headers, body)
