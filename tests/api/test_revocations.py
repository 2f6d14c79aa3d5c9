"""Revocations over REST: made, listed, found, taken back, refused."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.access.models import Revocation
from tests.support.cast import make_issuer

ADDRESS = "/api/v1/revocations/"


def test_a_token_and_a_subject_are_revoked_with_a_receipt_and_shown_without_their_names(cast, calls_as, state_redis):
    make_issuer("own", cast.acme)
    alice = calls_as(cast.alice)
    token = alice.post(ADDRESS, {"issuer": "own", "jti": "the-id-of-a-token", "comment": "lost"})
    assert token.status_code == 201, token.content
    shown = token.json()
    assert "sentence" in shown.pop("receipt")
    assert (shown["kind"], shown["shown"], shown["comment"], shown["not_before"]) == ("jti", "the-…", "lost", None)
    assert shown["revoked_by"] == cast.alice.email
    until = (timezone.now() - timedelta(days=9)).isoformat()
    subject = alice.post(ADDRESS, {"issuer": "own", "subject": "ann@corp.test", "not_before": until})
    assert subject.status_code == 201, subject.content
    assert (subject.json()["kind"], subject.json()["not_before"][:10]) == ("subject", until[:10])
    listed = alice.get(ADDRESS).json()["results"]
    assert [each["kind"] for each in listed] == ["subject", "jti"]
    assert listed[1] == shown
    for query, found in (("jti=the-id-of-a-token", ["jti"]), ("subject=ann%40corp.test", ["subject"]), ("jti=ann", [])):
        assert [each["kind"] for each in alice.get(f"{ADDRESS}?{query}").json()["results"]] == found
    assert alice.get(f"{ADDRESS}?issuer=other").json()["results"] == []
    assert alice.get(f"{ADDRESS}{shown['id']}/").json() == shown


def test_a_subject_is_restored_by_delete_and_a_token_never(cast, calls_as, state_redis):
    make_issuer("own", cast.acme)
    alice = calls_as(cast.alice)
    token = alice.post(ADDRESS, {"issuer": "own", "jti": "1", "subject": "ann"}).json()
    subject = alice.post(ADDRESS, {"issuer": "own", "subject": "ann"}).json()
    assert alice.delete(f"{ADDRESS}{token['id']}/").status_code == 409
    assert alice.delete(f"{ADDRESS}{subject['id']}/").status_code == 204
    assert Revocation.objects.get().kind == "jti"


def test_others_may_not_and_see_nothing(cast, calls_as, state_redis):
    make_issuer("corp")
    make_issuer("own", cast.acme)
    row = calls_as(cast.alice).post(ADDRESS, {"issuer": "own", "subject": "ann"}).json()
    assert calls_as(cast.alice).post(ADDRESS, {"issuer": "corp", "jti": "1"}).status_code == 403
    assert calls_as(cast.vera).post(ADDRESS, {"issuer": "own", "jti": "1"}).status_code == 403
    assert calls_as(cast.charlie).post(ADDRESS, {"issuer": "own", "jti": "1"}).status_code == 400
    for person in (cast.vera, cast.charlie):
        assert calls_as(person).get(ADDRESS).json()["results"] == []
        assert calls_as(person).delete(f"{ADDRESS}{row['id']}/").status_code == 404
    assert calls_as(cast.ada).post(ADDRESS, {"issuer": "corp", "jti": "1"}).status_code == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "jti"),
        ({"jti": "1", "not_before": "2000-01-01T00:00:00Z"}, "not_before"),
        ({"subject": "ann", "expires_at": "2000-01-01T00:00:00Z"}, "expires_at"),
        ({"jti": "1", "expires_at": "2000-01-01T00:00:00Z"}, "expires_at"),
        ({"subject": "ann", "not_before": "2000-01-01T00:00:00Z"}, "not_before"),
        ({"jti": "x" * 4097}, "jti"),
        ({"jti": "1", "digest": "00"}, "digest"),
        ({"jti": "1", "issuer": "nobody"}, "issuer"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(cast, calls_as, body: dict[str, Any], field: str):
    make_issuer("corp")
    refused = calls_as(cast.ada).post(ADDRESS, {"issuer": "corp"} | body)
    assert refused.status_code == 400
    assert list(refused.json()["errors"]) == [field]
