"""The gateway's own addresses, below ``/_gateway/``: alive, ready, metrics."""

from collections.abc import Callable
from time import monotonic

from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import GatewayResponse, date, refuse
from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.pipeline.metrics_access import MetricsReaders
from apps.gateway.records.metrics import Metrics

PREFIX = b"/_gateway/"


class OwnEndpoints:
    """Answers what is asked of the gateway itself. ``stopping`` says whether it takes no more calls."""

    def __init__(
        self, config: WorkerConfig, metrics_readers: MetricsReaders, metrics: Metrics, stopping: Callable[[], bool]
    ) -> None:
        self._config, self._metrics_readers, self._metrics, self._stopping = config, metrics_readers, metrics, stopping

    def respond(self, x: Call) -> GatewayResponse | None:
        """The response for an address of ours, ``None`` for others. Asking for these is no call and leaves no record."""
        if not x.target.startswith(PREFIX) or x.method not in ("GET", "HEAD"):
            return None
        name = x.target[len(PREFIX) :].partition(b"?")[0]
        now = monotonic()
        if name == b"livez":
            response = _text(200, b"alive\n")
        elif name == b"readyz":
            if self._stopping():
                response = _text(503, b"stopping\n")
            elif self._config.ready(now):
                response = _text(200, b"ready\n")
            elif not self._metrics_readers.admit(x):
                response = _text(503, b"not ready\n")
            else:
                response = _text(
                    503,
                    b"not ready: the lease is over\n" if self._config.loaded else b"not ready: nothing is loaded yet\n",
                )
        elif name == b"metrics" and not self._metrics_readers.admit(x):
            response = refuse(x, Problem.FORBIDDEN)
        elif name == b"metrics":
            response = _text(200, self._metrics.text(now), b"text/plain; version=0.0.4; charset=utf-8")
        else:
            return None
        x.silent = True
        if x.method == "HEAD":
            response.body = b""
        return response


def _text(status: int, body: bytes, kind: bytes = b"text/plain; charset=utf-8") -> GatewayResponse:
    headers = (
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"date", date()),
    )
    return GatewayResponse(status, headers, body)
