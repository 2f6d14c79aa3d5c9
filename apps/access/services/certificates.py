"""Certificates by which applications are known (mutual TLS). Only the very certificate that is added opens anything."""

from datetime import datetime
from typing import Unpack

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.access.choices import CredentialKind
from apps.access.models import Application, Credential
from apps.access.services.credentials import credential_add
from apps.access.services.key_bounds import Bounds
from apps.catalog.certificates import read_certificates
from apps.gateway.pipeline.authenticators.mtls import fingerprint_of
from apps.tenants.actors import Actor

SMALLEST_RSA, SMALLEST_CURVE = 2048, 256
"""Bits that a key has at least."""

_CLIENT_USES = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


def certificate_add(
    *, actor: Actor, application: Application, name: str, certificate: str, **bounds: Unpack[Bounds]
) -> Credential:
    """Have an application be known by a client certificate (PEM), until that ends; good for what ``bounds`` say alone, where they
    are given. What is kept of it is its fingerprint.
    """
    read = read_client_certificate(certificate, timezone.now())
    added = Credential(
        application=application,
        kind=CredentialKind.CERTIFICATE,
        name=name,
        identifier=fingerprint(read),
        expires_at=read.not_valid_after_utc,
    )
    return credential_add(actor, "certificate.add", added, bounds, "certificate", "certificate")


def read_client_certificate(text: str, now: datetime) -> x509.Certificate:
    """The one certificate in ``text`` (PEM), if a client can be known by it. Raises ``ValidationError`` with what to do."""
    try:
        (read,) = x509.load_pem_x509_certificates(read_certificates(text).encode() or b" ")
    except (ValueError, x509.InvalidVersion) as error:
        told = (
            str(error)
            if "private key" in str(error)
            else "One certificate in PEM: the client's own, without its chain."
        )
        raise ValidationError({"certificate": told}) from None
    if refusal := _refusal_of(read, now):
        raise ValidationError({"certificate": refusal})
    return read


def fingerprint(read: x509.Certificate) -> str:
    """By what a certificate's record is known."""
    return fingerprint_of(read.public_bytes(Encoding.DER))


def _refusal_of(read: x509.Certificate, now: datetime) -> str | None:
    if read.not_valid_after_utc <= now:
        return f"This certificate ended on {read.not_valid_after_utc:%d %b %Y}."
    key = read.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < SMALLEST_RSA:
            return f"Its RSA key has {key.key_size} bits: make one of {SMALLEST_RSA} or more."
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.key_size < SMALLEST_CURVE:
            return f"Its curve has {key.curve.key_size} bits: use one of {SMALLEST_CURVE} or more."
    elif not isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return "Its key is of a type that isn't used here: make one for RSA, ECDSA or EdDSA."
    try:
        extensions = read.extensions
    except (ValueError, x509.DuplicateExtension):
        return "Its extensions can't be read."
    for extension in extensions:
        if isinstance(extension.value, x509.BasicConstraints) and extension.value.ca:
            return (
                "This is an authority's certificate. Those that it issues don't count by it, only the very certificate that is "
                "added: add the client's own. One that signs itself is made with basicConstraints=CA:FALSE."
            )
        if isinstance(extension.value, x509.ExtendedKeyUsage) and not _CLIENT_USES.intersection(extension.value):
            return "It isn't for clients: its extended key usage names other uses alone."
    return None
