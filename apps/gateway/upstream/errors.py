"""How a call to an upstream fails, in the words of the caching core's ``UpstreamFailure`` and of the problem codes, and of what."""

import errno
import socket
import ssl

from apps.wire.failure_causes import FailureCause


class UpstreamError(Exception):
    """No response, or not all of it. ``sent`` says whether the upstream may have seen (part of) the request; ``kind`` is its word
    in metrics.
    """

    kind = "broken"
    sent_before = False
    """Whether the upstream, or another one, may have seen the request in an attempt before this one."""

    def __init__(self, cause: FailureCause, *, sent: bool) -> None:
        super().__init__(cause.sentence)
        self.cause = cause
        self.sent = sent


class Unreachable(UpstreamError):
    """No connection: refused, unresolvable, or a failed TLS handshake."""

    kind = "unreachable"


class DestinationRefused(Unreachable):
    """The upstream is somewhere that the calls of this API's tenant may not lead: nothing was sent. ``reason`` is one of
    ``egress.rules.REASONS``.
    """

    kind = "refused"

    def __init__(self, refusal: str | None, reason: str) -> None:
        super().__init__(FailureCause.ADDRESS_NOT_ALLOWED, sent=False)
        self.refusal, self.reason = refusal, reason

    def __str__(self) -> str:
        return self.refusal or super().__str__()


class Busy(Unreachable):
    """No place: as many calls to the API's upstreams as it allows are under way, and as many wait as may."""

    def __init__(self) -> None:
        super().__init__(FailureCause.NO_PLACE, sent=False)


class TimedOut(UpstreamError):
    """The connect or the read timeout passed."""

    kind = "timeout"


class Broken(UpstreamError):
    """The connection ended or what came was no HTTP/1.1."""


_NO_SUCH_NAME = {
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
}
_NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}

_CERTIFICATES = {
    9: FailureCause.CERTIFICATE_NOT_YET_VALID,
    10: FailureCause.CERTIFICATE_EXPIRED,
    62: FailureCause.CERTIFICATE_NAME,
    64: FailureCause.CERTIFICATE_NAME,  # an address in place of a name
}
"""OpenSSL's results of verifying a certificate (x509_vfy.h); any other one means that nothing trusted vouches for it."""


def cause_of_lookup(error: Exception) -> FailureCause:
    """Why a name has no address: what ``getaddrinfo`` raised; a name that can't be written in DNS raises ``UnicodeError``."""
    if isinstance(error, UnicodeError) or (isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME):
        return FailureCause.NAME_UNKNOWN
    return FailureCause.NAME_FAILED


def cause_of_connecting(error: BaseException) -> FailureCause:
    """Why there is no connection, or no TLS on it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATES.get(error.verify_code, FailureCause.CERTIFICATE_UNTRUSTED)
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError | BrokenPipeError):
        return FailureCause.CLOSED_EARLY
    if isinstance(error, ssl.SSLError):
        return FailureCause.TLS_FAILED
    if isinstance(error, ConnectionRefusedError):
        return FailureCause.CONNECTION_REFUSED
    if isinstance(error, ConnectionAbortedError):  # asyncio's own bound on a handshake
        return FailureCause.TLS_TIMEOUT
    if isinstance(error, TimeoutError):
        return FailureCause.CONNECTION_TIMEOUT
    if isinstance(error, OSError) and error.errno in _NO_WAY:
        return FailureCause.NETWORK_UNREACHABLE
    return FailureCause.CONNECTION_FAILED
