"""Certificates, signing keys and the limits of keys in the file."""

from textwrap import indent

import pytest

from apps.access.models import Credential
from apps.audit.models import Entry
from apps.declarative.exporting import as_yaml, export
from tests.declarative.test_apply import applied, refusal_of
from tests.support.client_certificates import make_certificate, pem

pytestmark = pytest.mark.django_db

SECRET = "a-secret-that-exists-elsewhere-00001"


def file(certificate: str, *, key_id: str = "partner-7") -> str:
    return f"""
version: 1
tenants: [{{slug: acme}}]
applications:
  - tenant: acme
    slug: bot
    keys:
      - name: ci
        secret: a-key-of-acme-bot-0001
        methods: [GET]
        operations: [{{path: "/items/{{id}}", methods: [GET]}}, {{path: /search/**}}]
        addresses: [10.0.0.0/8]
    certificates:
      - name: ci
        addresses: [10.0.0.0/8]
        certificate: |
{indent(certificate, " " * 10)}
    signing_keys:
      - {{key_id: {key_id}, secret_env: SIGNING_SECRET, methods: [POST]}}
"""


CERTIFICATE = pem(make_certificate())
FILE = file(CERTIFICATE)


@pytest.fixture(autouse=True)
def signing_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable that the file names."""
    monkeypatch.setenv("SIGNING_SECRET", SECRET)


def test_the_file_makes_them_and_applied_again_it_changes_nothing():
    assert applied(FILE) == [
        "+ tenant acme",
        "+ application acme/bot",
        "+ key acme/bot/ci",
        "+ certificate acme/bot/ci",
        "+ signing key acme/bot/partner-7",
    ]
    kinds = {row.kind: row for row in Credential.objects.all()}
    assert kinds["signing_key"].secret == SECRET
    assert kinds["certificate"].addresses == ["10.0.0.0/8"]
    assert kinds["api_key"].operations == [{"path": "/items/{id}", "methods": ["GET"]}, {"path": "/search/**"}]
    entries = Entry.objects.count()
    assert applied(FILE, prune=True) == []
    assert Entry.objects.count() == entries


def test_what_is_exported_holds_no_secret_and_applied_changes_nothing():
    applied(FILE)
    exported = as_yaml(export())
    assert SECRET not in exported
    assert "BEGIN" not in exported
    assert applied(exported, prune=True) == []
    assert as_yaml(export()) == exported


def test_another_certificate_of_a_name_takes_the_place_of_the_one_before():
    applied(FILE)
    assert applied(file(pem(make_certificate()))) == ["+ certificate acme/bot/ci"]
    states = Credential.objects.filter(kind="certificate").order_by("pk").values_list("state", flat=True)
    assert list(states) == ["revoked", "active"]


def test_limits_change_by_the_file():
    applied(FILE)
    assert applied(FILE.replace("[10.0.0.0/8]", "[10.1.0.0/16]").replace("[POST]", "null")) == [
        "~ key acme/bot/ci: addresses ['10.0.0.0/8'] → ['10.1.0.0/16']",
        "~ certificate acme/bot/ci: addresses ['10.0.0.0/8'] → ['10.1.0.0/16']",
        "~ signing key acme/bot/partner-7: methods ['POST'] → none",
    ]


def test_what_the_lists_do_not_name_goes_only_with_prune():
    applied(FILE)
    without = FILE[: FILE.index("    certificates:")] + "    certificates: []\n    signing_keys: []\n"
    assert applied(without) == []
    assert applied(without, prune=True) == ["- certificate acme/bot/ci", "- signing key acme/bot/partner-7"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (FILE[: FILE.index("        certificate:")], "give its certificate"),
        (FILE.replace(", secret_env: SIGNING_SECRET", ""), "give its secret_env"),
        (FILE.replace("secret_env: SIGNING_SECRET", "secret_env: SIGNING_SECRET, secret: x"), "not both"),
        (FILE.replace("secret_env: SIGNING_SECRET", "secret: short"), "32 to 512"),
        (FILE.replace("-----BEGIN", "-----BEGUN"), "PEM"),
        (FILE.replace("[POST]", "[FETCH]"), "FETCH"),
    ],
)
def test_what_can_not_be_made_true_is_refused_with_the_reason(text: str, told: str):
    [problem] = refusal_of(text)
    assert told in problem
    assert not Credential.objects.exists()


def test_the_secret_of_a_signing_key_never_changes(monkeypatch: pytest.MonkeyPatch):
    applied(FILE)
    monkeypatch.setenv("SIGNING_SECRET", SECRET + "2")
    [problem] = refusal_of(FILE)
    assert "another key_id" in problem
