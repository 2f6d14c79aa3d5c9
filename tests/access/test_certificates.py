"""Certificates of applications: which are taken, by whom, and what gateways are told."""

import ssl
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from django.core.exceptions import PermissionDenied, ValidationError

from apps.access import services
from apps.access.models import Credential
from apps.audit.models import Entry
from apps.fleet.compile import affected_by, credentials_of
from apps.gateway.pipeline.authenticators.mtls import fingerprint_of
from tests.support.cast import Cast, make_application
from tests.support.client_certificates import NOW, der, make_certificate, pem

CERTIFICATE = make_certificate()


def test_a_certificate_is_added_and_told_to_the_gateways(cast: Cast):
    added = services.certificate_add(
        actor=cast.bob,
        application=make_application(cast.acme),
        name="ci",
        certificate="Bag Attributes\n" + pem(CERTIFICATE),
        addresses=["10.0.0.0/8"],
    )
    fingerprint = fingerprint_of(der(CERTIFICATE))
    assert (added.kind, added.identifier, added.shown) == ("certificate", fingerprint, fingerprint)
    assert added.expires_at == CERTIFICATE.not_valid_after_utc
    entry = Entry.objects.latest("epoch")
    assert (entry.verb, entry.affects) == ("certificate.add", [["key", added.digest]])
    assert entry.changes["identifier"] == [None, fingerprint]
    (records,) = credentials_of(affected_by([("key", added.digest)]))
    record = records[added.digest]
    assert record is not None
    assert (record.kind, record.secret, record.addresses) == ("certificate", "", ("10.0.0.0/8",))
    assert record.expires_at == CERTIFICATE.not_valid_after_utc.timestamp()


def test_only_those_who_manage_an_applications_keys_add_certificates(cast: Cast):
    application = make_application(cast.acme)
    for actor in (cast.vera, cast.charlie):
        with pytest.raises(PermissionDenied):
            services.certificate_add(actor=actor, application=application, name="ci", certificate=pem(CERTIFICATE))
    assert not Credential.objects.exists()


def test_a_certificate_is_one_applications_and_a_revoked_one_nobodys(cast: Cast):
    added = services.certificate_add(
        actor=cast.bob, application=make_application(cast.acme), name="ci", certificate=pem(CERTIFICATE)
    )
    other = make_application(cast.globex)
    for told in ("An application", "revoked"):
        with pytest.raises(ValidationError) as refused:
            services.certificate_add(actor=cast.charlie, application=other, name="ci", certificate=pem(CERTIFICATE))
        assert told in refused.value.message_dict["certificate"][0]
        assert "acme" not in str(refused.value)
        if told == "An application":
            services.key_revoke(actor=cast.bob, key=added)
    with pytest.raises(ValidationError):  # not what this very tenant revoked, which may have leaked
        services.certificate_add(actor=cast.ada, application=added.application, name="ci", certificate=pem(CERTIFICATE))
    anew = services.certificate_add(actor=cast.ada, application=other, name="ci", certificate=pem(CERTIFICATE))
    added.refresh_from_db()
    assert (anew.state, added.state) == ("active", "revoked")
    assert anew.digest != added.digest
    (records,) = credentials_of(affected_by([("key", anew.digest)]))
    assert records[anew.digest].key_id == anew.pk


def ca() -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=True, path_length=None)


def of_version_6() -> str:
    version = b"\xa0\x03\x02\x01"  # before its number (RFC 5280 §4.1.2.1)
    return ssl.DER_cert_to_PEM_cert(der(CERTIFICATE).replace(version + b"\x02", version + b"\x05", 1))


REFUSED = {
    "ended": lambda: pem(make_certificate(begins=NOW - timedelta(days=9), ends=NOW - timedelta(days=1))),
    "authority": lambda: pem(make_certificate(ca())),
    "1024 bits": lambda: pem(make_certificate(key=rsa.generate_private_key(65537, 1024))),
    "192 bits": lambda: pem(make_certificate(key=ec.generate_private_key(ec.SECP192R1()))),
    "of a type": lambda: pem(make_certificate(key=dsa.generate_private_key(2048))),
    "other uses": lambda: pem(make_certificate(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]))),
    "One certificate": lambda: pem(CERTIFICATE) * 2,
    "in PEM": lambda: "hello",
    "PEM: the client's own": lambda: of_version_6(),
    "the client's own": lambda: "",
    "private key": lambda: pem(CERTIFICATE) + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
}


@pytest.mark.parametrize("told", REFUSED)
def test_a_certificate_by_which_no_client_should_be_known_is_refused_with_the_reason(cast: Cast, told: str):
    application = make_application(cast.acme)
    with pytest.raises(ValidationError) as refused:
        services.certificate_add(actor=cast.bob, application=application, name="ci", certificate=REFUSED[told]())
    assert told in refused.value.message_dict["certificate"][0]
    assert not Credential.objects.exists()


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_certificate(key=ed25519.Ed25519PrivateKey.generate()),
        lambda: make_certificate(key=rsa.generate_private_key(65537, 2048)),
        lambda: make_certificate(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])),
        lambda: make_certificate(x509.BasicConstraints(ca=False, path_length=None)),
        lambda: make_certificate(begins=NOW + timedelta(days=1)),
    ],
    ids=["Ed25519", "RSA", "for clients", "no authority", "begins tomorrow"],
)
def test_usual_certificates_are_taken(cast: Cast, make: object):
    certificate = make()
    application = make_application(cast.acme)
    assert services.certificate_add(actor=cast.bob, application=application, name="ci", certificate=pem(certificate)).pk
