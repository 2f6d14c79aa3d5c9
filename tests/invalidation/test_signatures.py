"""Signatures of messages: HMAC (RFC 2104) over time and body, for five minutes."""

import hashlib
import hmac

import pytest

from apps.invalidation.signatures import WINDOW, BadSignature, check, sign

NOW, BODY, SECRET = 1_800_000_000, b'{"kind": "api"}', "whs_secret"


def test_it_is_the_hmac_of_time_and_body():
    expected = hmac.new(b"whs_secret", b"1800000000." + BODY, hashlib.sha256).hexdigest()
    assert sign(SECRET, BODY, NOW) == f"t=1800000000,v1={expected}"
    assert check(f"t=1800000000, v1={expected}", BODY, [SECRET], NOW) == expected


@pytest.mark.parametrize("seconds", [0, -WINDOW, WINDOW])
def test_it_holds_for_five_minutes_around_its_time(seconds):
    assert check(sign(SECRET, BODY, NOW), BODY, [SECRET], NOW + seconds)


@pytest.mark.parametrize("seconds", [-WINDOW - 1, WINDOW + 1, 86400])
def test_an_old_one_and_one_from_the_future_are_refused(seconds):
    with pytest.raises(BadSignature, match="clock"):
        check(sign(SECRET, BODY, NOW), BODY, [SECRET], NOW + seconds)


def test_every_secret_that_holds_signs_and_no_other():
    assert check(sign("old", BODY, NOW), BODY, ["new", "old"], NOW)
    for secrets in (["new"], [""], []):
        with pytest.raises(BadSignature, match="not of this body"):
            check(sign("old", BODY, NOW), BODY, secrets, NOW)


@pytest.mark.parametrize("body", [b"", BODY + b" ", BODY[:-1]])
def test_another_body_is_refused(body):
    with pytest.raises(BadSignature):
        check(sign(SECRET, BODY, NOW), body, [SECRET], NOW)


def test_another_time_is_refused():
    value = sign(SECRET, BODY, NOW).replace("t=1800000000", "t=1800000001")
    with pytest.raises(BadSignature):
        check(value, BODY, [SECRET], NOW)


@pytest.mark.parametrize(
    "value", ["", "v1=ab", "t=1", "t=1,v1=zz", "t=-1,v1=" + "a" * 64, "t=1,v1=" + "A" * 64, "t=١,v1=" + "a" * 64]
)
def test_what_is_no_signature_is_told_how_to_be_one(value):
    with pytest.raises(BadSignature, match="Unix seconds"):
        check(value, BODY, [SECRET], NOW)
