"""The gateway's log of failed calls to upstreams: the first of a kind at once, the others counted."""

import logging

from apps.gateway.upstream.errors import UpstreamError

log = logging.getLogger(__name__)

EVERY = 10.0
"""Seconds between two lines about one API and one cause."""

MOST = 1000
"""APIs and causes that are counted at a time; failures beyond are in metrics and call records only."""


class FailureLog:
    """What went wrong lately, by API and code of the cause: when it was logged last, and how often it happened since."""

    def __init__(self) -> None:
        self._lately: dict[tuple[str, str], tuple[float, int]] = {}

    def failed(self, now: float, api: str, upstream: str, error: UpstreamError) -> None:
        """A call to an ``upstream`` (``host:port``) failed; ``now`` is monotonic."""
        key = (api, error.cause.code)
        if key in self._lately:
            since, count = self._lately[key]
            self._lately[key] = since, count + 1
        elif len(self._lately) < MOST:
            self._lately[key] = now, 0
            log.warning("A call of API %s to %s failed: %s (%s)", api, upstream, error.cause.code, _detail(error))

    def tell(self, now: float) -> None:
        """Log what was counted and not told yet. To be called every now and then."""
        for (api, cause), (since, count) in list(self._lately.items()):
            if now - since < EVERY:
                continue
            if count:
                self._lately[api, cause] = now, 0
                log.warning("%d more calls of API %s to its upstreams failed: %s", count, api, cause)
            else:
                del self._lately[api, cause]


def _detail(error: UpstreamError) -> object:
    """What the system said, where it said more."""
    return error.__cause__ or error
