"""Certificates that vouch for an upstream: what is taken, what is kept, and that it comes round."""

import pytest
import yaml

from apps.catalog import services
from apps.catalog.certificates import LARGEST, read_certificates
from apps.catalog.document import UpstreamFields
from apps.catalog.models import API, Revision
from apps.catalog.validation import upstreams_error
from apps.declarative.exporting import export
from apps.fleet.compile import compile_api
from tests.catalog.test_apis import errors_of
from tests.declarative.test_apply import applied
from tests.support.cast import Cast, make_api
from tests.support.certificates import self_signed

ONE, TWO = self_signed("one.test"), self_signed("two.test")
URL = "https://backend.test/"


def test_what_stands_around_certificates_is_left_out():
    windows = ONE.pem.replace("\n", "\r\n")
    assert read_certificates(f"# our own\n  {windows}subject=/CN=two\n{TWO.pem.strip()}") == ONE.pem + TWO.pem
    assert read_certificates(ONE.pem + TWO.pem) == ONE.pem + TWO.pem
    assert read_certificates(" \n") == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a certificate", "PEM"),
        (ONE.pem + ONE.key, "private key"),
        (ONE.key, "private key"),
        (ONE.pem + "-----BEGIN CERTIFICATE-----\nMIIB", "PEM"),
        (ONE.pem + ONE.pem.replace("MII", "AAA", 1), "Certificate 2"),
        (ONE.pem.replace("CERTIFICATE", "X509 CRL"), "PEM"),
        (ONE.pem + "#" * LARGEST, "16 KiB"),
    ],
)
def test_what_is_no_certificate_is_refused_in_words(text: str, told: str):
    with pytest.raises(ValueError, match=told):
        read_certificates(text)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("upstream", "told"),
    [({"url": URL, "ca": ONE.key}, "private key"), ({"url": "http://backend.test/", "ca": ONE.pem}, "https")],
)
def test_a_refusal_stands_beside_the_certificates_and_keeps_nothing(cast: Cast, upstream: UpstreamFields, told: str):
    api = make_api(cast.platform)
    errors = errors_of(lambda: services.api_update(actor=cast.ada, api=api, upstreams=[upstream]))
    assert list(errors) == ["upstreams.0.ca"]
    assert told in errors["upstreams.0.ca"][0]
    assert not any("PRIVATE" in str(each.document) for each in Revision.objects.all())


@pytest.mark.django_db
def test_those_of_all_upstreams_together_are_bounded():
    """Each is read while the API is being saved, and every gateway holds it: a hundred upstreams had 1.6 MB of them."""
    upstreams = [UpstreamFields(url=f"https://{number}.test/", ca="#" * 15_000) for number in range(9)]
    assert upstreams_error(upstreams) == {"upstreams": ["Their certificates have at most 128 KiB together."]}


def test_they_reach_the_gateways_and_go_back_with_a_revision(cast: Cast):
    api = make_api(cast.platform)
    changed = services.api_update(actor=cast.ada, api=api, upstreams=[{"url": URL, "ca": f"ours:\n{ONE.pem}"}])
    assert compile_api(changed).upstreams[0].ca == ONE.pem
    services.api_update(actor=cast.ada, api=api, upstreams=[{"url": URL}])
    assert compile_api(API.objects.get()).upstreams[0].ca == ""
    services.api_rollback(actor=cast.ada, api=api, number=changed.revision)
    assert compile_api(API.objects.get()).upstreams[0].ca == ONE.pem


@pytest.mark.django_db
def test_they_are_exported_and_applied_again_change_nothing(cast: Cast):
    api = make_api(cast.platform)
    services.api_update(actor=cast.ada, api=api, upstreams=[{"url": URL, "weight": 2, "ca": ONE.pem}])
    said = export()
    assert said["apis"][0]["upstreams"] == [{"url": URL, "weight": 2, "ca": ONE.pem}]
    assert applied(yaml.safe_dump(said)) == []
