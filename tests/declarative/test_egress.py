"""Egress rules in the file: of the installation and of a tenant, before the APIs that need them."""

import pytest

from apps.catalog.models import API
from apps.declarative.applying import apply
from apps.declarative.exporting import as_yaml, export
from apps.declarative.reader import FileError, read_text
from apps.tenants.egress import administrators_rules
from apps.tenants.models import Tenant

pytestmark = pytest.mark.django_db

FILE = """
version: 1
egress: {allow: [10.0.0.0/8, "*.corp.internal:443"]}
tenants:
  - {slug: acme, name: Acme, egress: {allow: ["192.168.7.0/24:8000-8010"]}}
apis:
  - {slug: billing, name: Billing, tenant: acme, listen_path: /billing/, upstreams: [{url: "http://10.0.0.5:8080/"}, {url: "http://192.168.7.1:8001/"}]}
"""


@pytest.fixture(autouse=True)
def closed(settings):
    settings.EGRESS_ALLOW = []


def applied(text, **options):
    return apply(read_text(text.encode()), **options)


def test_a_file_brings_its_rules_and_what_needs_them():
    assert applied(FILE) == [
        "~ egress of all tenants: allow [] → ['10.0.0.0/8', '*.corp.internal:443']",
        "+ tenant acme",
        "+ api billing",
    ]
    assert administrators_rules() == ["10.0.0.0/8", "*.corp.internal:443"]
    assert Tenant.objects.get().egress == ["192.168.7.0/24:8000-8010"]
    assert applied(FILE) == []
    assert applied(as_yaml(export())) == []
    assert export()["egress"] == {"allow": ["10.0.0.0/8", "*.corp.internal:443"]}


def test_a_file_without_rules_leaves_them_and_an_empty_list_ends_them():
    applied(FILE)
    assert applied("version: 1\ntenants: [{slug: acme}]\n") == []
    assert applied("version: 1\negress: {allow: []}\ntenants: [{slug: acme, egress: {allow: []}}]\n") == [
        "~ egress of all tenants: allow ['10.0.0.0/8', '*.corp.internal:443'] → []",
        "~ tenant acme: egress.allow ['192.168.7.0/24:8000-8010'] → []",
    ]
    assert "egress" not in export()
    assert (
        applied(FILE.replace('egress: {allow: [10.0.0.0/8, "*.corp.internal:443"]}', "").replace("Billing", "Bill"))
        != []
    )
    assert API.objects.get().name == "Bill", "upstreams that are there may stay"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("[10.0.0.0/8,", "[169.254.0.0/16,"), "file:3: egress.allow: '169.254.0.0/16' can't be allowed"),
        (("{allow: [10.0.0.0/8,", "{alow: [10.0.0.0/8,"), "file:3: egress.alow: "),
        (
            ("egress: {allow: [10.0.0.0/8", "egress: {allow: [10.9.0.0/16"),
            "file:7: apis[0].upstreams[0].url: This address is not",
        ),
        (("192.168.7.0/24:8000", "192.168.7.0/24:x"), "file:5: tenants[0].egress.allow: "),
    ],
)
def test_a_rule_that_is_none_and_an_upstream_without_one_are_refused_with_their_lines(change, line):
    with pytest.raises(FileError) as refused:
        applied(FILE.replace(*change))
    assert refused.value.problems[0].startswith(line)
    assert not Tenant.objects.exists()
    assert administrators_rules() == []
