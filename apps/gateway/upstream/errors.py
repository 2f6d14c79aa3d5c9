"""How a call to an upstream fails, in the words of the caching core's ``UpstreamFailure`` and of the problem codes."""


class UpstreamError(Exception):
    """No response, or not all of it. ``sent`` says whether the upstream may have seen (part of) the request; ``kind`` is its word
    in metrics.
    """

    kind = "broken"
    sent_before = False
    """Whether the upstream, or another one, may have seen the request in an attempt before this one."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Unreachable(UpstreamError):
    """No connection: refused, unresolvable, or a failed TLS handshake."""

    kind = "unreachable"


class DestinationRefused(Unreachable):
    """The upstream is somewhere that the calls of this API's tenant may not lead: nothing was sent. ``reason`` is one of
    ``egress.rules.REASONS``.
    """

    kind = "refused"

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, sent=False)
        self.reason = reason


class Busy(Unreachable):
    """No place: as many calls to the API's upstreams as it allows are under way, and as many wait as may."""

    def __init__(self, api: str) -> None:
        super().__init__(f"too many calls to {api} at once", sent=False)


class TimedOut(UpstreamError):
    """The connect or the read timeout passed."""

    kind = "timeout"


class Broken(UpstreamError):
    """The connection ended or what came was no HTTP/1.1."""
