"""Why a call to an upstream failed: a closed list, which gateways record and log, and the console says in words.

The code goes into call records, metrics and logs; its client gets the class of the failure only (``apps.gateway.call.problems``).
Neither code nor sentence names a place: who called may read both.
"""

from enum import Enum


class FailureCause(Enum):
    """``code`` is stable; ``sentence`` says it to a person."""

    code: str
    sentence: str

    def __new__(cls, code: str, sentence: str) -> "FailureCause":
        member = object.__new__(cls)
        member._value_ = code
        member.code, member.sentence = code, sentence
        return member

    # No connection.
    NAME_UNKNOWN = "name_unknown", "The upstream's host name has no address."
    NAME_FAILED = "name_failed", "The name servers did not tell the address of the upstream's host name."
    NAME_TIMEOUT = "name_timeout", "The upstream's host name was not resolved within the connect timeout."
    ADDRESS_NOT_ALLOWED = "address_not_allowed", "The egress rules do not let the upstream's address be called."
    CONNECTION_REFUSED = (
        "connection_refused",
        "The upstream's host refused the connection: nothing listens at this port.",
    )
    CONNECTION_TIMEOUT = "connection_timeout", "The upstream's address did not accept the connection in time."
    NETWORK_UNREACHABLE = "network_unreachable", "No network leads from the gateway to the upstream's address."
    CONNECTION_FAILED = "connection_failed", "The gateway could not open a connection: its log says why."

    # No TLS on the connection.
    CERTIFICATE_UNTRUSTED = (
        "certificate_untrusted",
        "The upstream's certificate is self-signed, or from an authority that the gateway does not trust for this upstream.",
    )
    CERTIFICATE_EXPIRED = "certificate_expired", "The upstream's certificate has expired."
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid", "The upstream's certificate is not valid yet."
    CERTIFICATE_NAME = "certificate_name", "The upstream's certificate is for another host name."
    TLS_FAILED = "tls_failed", "The upstream and the gateway could not agree on TLS."
    TLS_TIMEOUT = "tls_timeout", "The upstream did not complete the TLS handshake within the connect timeout."

    # No response, or not all of it.
    CLOSED_EARLY = "closed_early", "The upstream closed the connection before its response was complete."
    UPLOAD_TIMEOUT = "upload_timeout", "The upstream stopped reading the request's body."
    RESPONSE_TIMEOUT = "response_timeout", "The upstream sent nothing within the read timeout."
    INVALID_RESPONSE = "invalid_response", "What the upstream sent is not HTTP/1.1."
    RESPONSE_HEAD_TOO_LARGE = (
        "response_head_too_large",
        "The head or the trailer of the upstream's response is too large.",
    )

    # The gateway's own doing.
    NO_PLACE = "no_place", "As many calls to this API as it allows were under way."
    FAILED_ELSEWHERE = "failed_elsewhere", "Another worker's call for the same response had timed out."
    CLIENT_TOO_SLOW = "client_too_slow", "The client read the response too slowly, and others waited for it."
    GATEWAY_STOPPED = "gateway_stopped", "The gateway was stopping."
    GATEWAY_FAILED = "gateway_failed", "The gateway failed: its log says how."
