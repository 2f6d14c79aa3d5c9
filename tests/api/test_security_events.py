"""Security events that issuers push (RFC 8935): which are taken, what they end, and what is said of the others."""

import json
from time import time
from typing import Any

import pytest
from joserfc import jwt
from rest_framework.test import APIClient

from apps.access.models import Issuer, Revocation
from apps.access.services import subject_restore
from apps.audit.models import Entry
from apps.fleet.issuer_keys import KeysAway
from apps.security_events import inbox
from apps.security_events.events import CAEP, ENDING, RISC
from apps.tenants.actors import PLATFORM
from tests.gateway.tokens import ISSUER, key, key_set, token
from tests.support.cast import Cast, make_issuer

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/issuers/corp/security-events/"
REVOKED = f"{CAEP}session-revoked"
ANN = {"format": "iss_sub", "iss": ISSUER, "sub": "ann"}


@pytest.fixture(autouse=True)
def corp(cast: Cast, state_redis: Any) -> Issuer:
    inbox._keys.clear()
    return make_issuer(jwks=json.loads(key_set()))


def event(header: dict[str, Any] | None = None, signed_by: Any = None, **changes: Any) -> str:
    """A good one, with these ``changes`` of its claims; ``None`` leaves one out."""
    said: dict[str, Any] = {
        "iss": ISSUER,
        "aud": "apimgr",
        "iat": int(time()),
        "jti": "event-1",
        "sub_id": ANN,
        "events": {REVOKED: {}},
    }
    claims = {name: value for name, value in (said | changes).items() if value is not None}
    fields = {"alg": "ES256", "kid": "one", "typ": "secevent+jwt"} | (header or {})
    return jwt.encode(fields, claims, signed_by or key(), algorithms=[fields["alg"]])


def pushed(body: str, content_type: str = "application/secevent+jwt", address: str = ADDRESS) -> Any:
    return APIClient().generic("POST", address, body, content_type=content_type)


def refusal(body: str, **how: Any) -> str:
    answer = pushed(body, **how)
    assert answer.status_code == 400, answer.content
    assert answer.json()["description"]
    assert not Revocation.objects.exists()
    return answer.json()["err"]


@pytest.mark.parametrize("kind", ENDING)
def test_an_event_revokes_what_its_subject_had(kind: str):
    answer = pushed(event(events={kind: {}}))
    assert (answer.status_code, answer.content) == (202, b"")
    row = Revocation.objects.get()
    assert (row.kind, row.shown, row.comment) == ("subject", "a…", f"The issuer says: {ENDING[kind]}.")
    entry = Entry.objects.get(verb="revocation.subject")
    assert (entry.via, entry.target) == ("api", "corp: subject a…")


@pytest.mark.parametrize(
    "subject",
    [
        {"sub_id": {"format": "opaque", "id": "ann"}},
        {"sub_id": {"format": "complex", "user": ANN, "session": {"format": "opaque", "id": "1"}}},
        {"sub_id": None, "events": {REVOKED: {"subject": {"subject_type": "iss-sub", "iss": ISSUER, "sub": "ann"}}}},
    ],
)
def test_a_subject_is_named_in_several_ways(subject: dict[str, Any]):
    assert pushed(event(**subject)).status_code == 202
    assert Revocation.objects.get().shown == "a…"


def test_tokens_that_were_issued_until_it_happened_are_over():
    now = int(time())
    for number, (said, at) in enumerate(
        [
            ({"toe": now - 300, "iat": now - 10}, now - 300),
            ({"events": {REVOKED: {"event_timestamp": now - 200}}}, now - 200),
            ({"toe": now + 1000, "iat": now - 10}, now - 10),
        ]
    ):
        assert pushed(event(jti=str(number), sub_id=ANN | {"sub": f"ann-{number}"}, **said)).status_code == 202
        row = Revocation.objects.latest("pk")
        assert row.not_before is not None
        assert int(row.not_before.timestamp()) == at


def test_the_same_token_is_taken_again_and_changes_nothing():
    given = event()
    assert pushed(given).status_code == 202
    subject_restore(actor=PLATFORM, revocation=Revocation.objects.get())
    assert pushed(given).status_code == 202
    assert not Revocation.objects.exists(), "it was restored meanwhile"
    assert pushed(event(jti="event-2")).status_code == 202
    assert Revocation.objects.exists()


def test_other_events_are_taken_and_nothing_is_done():
    for number, kind in enumerate(
        (f"{RISC}account-enabled", "https://schemas.openid.net/secevent/ssf/event-type/verification")
    ):
        assert pushed(event(jti=str(number), events={kind: {"state": "x"}}, sub_id=None)).status_code == 202
    assert not Revocation.objects.exists()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"signed_by": key("ES256", "one", 1)}, "invalid_key"),
        ({"header": {"kid": "two"}}, "invalid_key"),
        ({"signed_by": key("RS256"), "header": {"alg": "RS256"}}, "invalid_key"),
        ({"header": {"typ": "JWT"}}, "invalid_request"),
        ({"header": {"typ": "at+jwt"}}, "invalid_request"),
        ({"iss": "https://other.test/"}, "invalid_issuer"),
        ({"aud": "other"}, "invalid_audience"),
        ({"aud": None}, "invalid_audience"),
        ({"aud": {"apimgr": 1}}, "invalid_audience"),
        ({"iat": None}, "invalid_request"),
        ({"iat": int(time()) - 1200}, "invalid_request"),
        ({"iat": int(time()) + 600}, "invalid_request"),
        ({"iat": "now"}, "invalid_request"),
        ({"jti": None}, "invalid_request"),
        ({"jti": "x" * 4097}, "invalid_request"),
        ({"events": None}, "invalid_request"),
        ({"events": [REVOKED]}, "invalid_request"),
        ({"events": {REVOKED: None}}, "invalid_request"),
        ({"sub_id": None}, "invalid_request"),
        ({"sub_id": ANN | {"iss": "https://other.test/"}}, "invalid_request"),
        ({"sub_id": {"format": "email", "email": "ann@corp.test"}}, "invalid_request"),
        ({"sub_id": {"format": "opaque", "id": ""}}, "invalid_request"),
    ],
)
def test_what_is_wrong_with_a_token_is_said_by_its_code(changes: dict[str, Any], code: str):
    assert refusal(event(**changes)) == code


def test_an_access_token_is_no_event_and_rubbish_none_either():
    assert refusal(token()) == "invalid_request"
    assert refusal("rubbish") == "invalid_request"
    assert refusal("") == "invalid_request"
    header, payload, _ = event().split(".")
    assert refusal(f"{header}.{payload}.") in ("invalid_request", "invalid_key")
    assert refusal(event(), content_type="application/json") == "invalid_request"
    assert refusal(event(), address=ADDRESS.replace("corp", "nobody")) == "invalid_issuer"
    assert pushed("x" * 70_000).status_code == 413


def test_a_tenants_issuer_ends_its_own_tokens_alone(cast):
    make_issuer("own", cast.acme, jwks=json.loads(key_set()))
    assert pushed(event(), address=ADDRESS.replace("corp", "own")).status_code == 202
    assert Revocation.objects.get().issuer.slug == "own"


def test_keys_that_are_away_are_asked_for_again_later_and_seldom(corp: Issuer, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def away(row: Issuer) -> Any:
        asked.append(row)
        raise KeysAway("There was no answer.")

    monkeypatch.setattr(inbox, "keys_of", away)
    for _ in range(5):
        answer = pushed(event())
        assert (answer.status_code, answer["retry-after"]) == (503, "30")
    assert len(asked) == 1
    assert not Revocation.objects.exists()


def test_one_has_to_sign_in_for_nothing_else_there():
    assert APIClient().get(ADDRESS).status_code == 405
