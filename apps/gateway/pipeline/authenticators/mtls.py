"""A client's certificate (mutual TLS), as a proxy that ends TLS in front of the gateway hands it on: ``Client-Cert`` (RFC 9440).

That proxy has the client prove that it holds the certificate's key. So the field counts only from ``TRUSTED_PROXIES``; from anyone
else it is nothing, and goes no further.
"""

import binascii
import hashlib

from cryptography import x509

from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.pipeline.authenticators import Authenticator, Identified, Presented, Refused
from apps.gateway.pipeline.authenticators.sources import Sources
from apps.wire.snapshot import API

FIELD, CHAIN = b"client-cert", b"client-cert-chain"

LARGEST = 16 * 1024
"""Bytes that a certificate may have."""


class ClientCertificates(Authenticator):
    """The record of a certificate is known by the SHA-256 of its DER: only the very certificates that applications have open
    anything, whoever issued them.
    """

    word = "mtls"
    label = "Client certificate"

    usual = frozenset({FIELD, CHAIN})
    secret_is_key = False

    def secret_in(self, value: bytes) -> bytes | None:
        return None

    def find_in(self, x: Call) -> Presented | None:
        values = [value for name, value in x.headers if name == FIELD] if x.by_proxy else []
        return Presented(certificate_in(values[0]) if len(values) == 1 else None) if values else None

    def identify(self, x: Call, presented: Presented, sources: Sources) -> Identified | Refused:
        certificate = presented.secret
        days = validity_of(certificate) if certificate is not None else None
        if certificate is None or days is None:
            return Refused(
                Problem.INVALID_CREDENTIAL, "certificate_malformed", "The client's certificate can't be read."
            )
        if not days[0] <= x.at < days[1]:
            return Refused(
                Problem.INVALID_CREDENTIAL, "certificate_not_valid", "The client's certificate isn't valid now."
            )
        return Identified(fingerprint_of(certificate).encode(), until=days[1], kind="certificate")

    def challenge(self, api: API) -> bytes:
        return b'Certificate realm="%b"' % api.slug.encode()

    def curl(self, key_header: str, application: str, secret: str) -> list[str]:
        return ["--cert", "client.pem", "--key", "client.key"]


def certificate_in(value: bytes) -> bytes | None:
    """The DER in a value of ``Client-Cert``: a byte sequence of structured fields (RFC 9440 §2.2), and nothing around it."""
    if len(value) > 2 * LARGEST or len(value) < 3 or value[:1] != b":" or value[-1:] != b":":
        return None
    try:
        return binascii.a2b_base64(value[1:-1], strict_mode=True) or None
    except binascii.Error:
        return None


def validity_of(certificate: bytes) -> tuple[float, float] | None:
    """From when until when (Unix seconds) a certificate (DER) is valid; ``None``: it is none."""
    try:
        read = x509.load_der_x509_certificate(certificate)
        return read.not_valid_before_utc.timestamp(), read.not_valid_after_utc.timestamp()
    except (ValueError, x509.InvalidVersion):
        return None


def fingerprint_of(certificate: bytes) -> str:
    """By what the record of a certificate (DER) is known: its SHA-256, hex."""
    return hashlib.sha256(certificate).hexdigest()
