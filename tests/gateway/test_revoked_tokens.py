"""Revoked tokens and subjects at a gateway: in force with the event, for remembered tokens and heads too."""

from time import time
from typing import Any

import pytest
from django.conf import settings

from apps.gateway.pipeline.authenticators.jwt.revocations import hashes_of, issued_at
from apps.httpcache import subject_of_caller, tag_of_subject
from apps.httpcache.policy import Policy
from apps.wire.revocations import FOR_GOOD, bucket_of, caller_of, pack, revocation_hash
from apps.wire.snapshot import Revoked
from tests.gateway.house import Answered, Door, Origin, Published, ok
from tests.gateway.test_token_calls import called, opened
from tests.gateway.tokens import issuer, token
from tests.support.waiting import until


def revoked(kind: str, value: str, mark: int = FOR_GOOD, slug: str = "corp") -> Revoked:
    """The bucket with this one in it."""
    hashed = revocation_hash(settings.KEY_PEPPER, kind, slug, value)
    return pack(f"{bucket_of(hashed):02x}", [(hashed, mark)])


async def applied(door: Door, published: Published, *parts: Revoked, gone: tuple[str, ...] = ()) -> None:
    epoch = door.gateway.config.epoch
    published.change(*parts, gone=gone)
    await until(lambda: door.gateway.config.epoch > epoch)


def refused(door: Door, answer: Answered) -> bool:
    """As a token that is over, and in the trace as a revoked one."""
    assert answer.status == 401
    assert b'error="invalid_token", error_description="The token was revoked."' in answer["www-authenticate"].encode()
    return door.calls()[-1].trace[-1][:2] == ("authenticate", "token_revoked")


async def test_a_revoked_token_is_refused_and_others_of_its_subject_are_not(
    lane: Door, published: Published, origin: Origin
):
    await opened(lane, published, origin)
    lost, other = token(None, None, jti="lost"), token(None, None, jti="other")
    for _ in range(3):  # remembered, as a token and as a head
        assert [(await called(lane, each)).status for each in (lost, other)] == [200, 200]
    await applied(lane, published, revoked("jti", "lost"))
    for _ in range(2):
        assert refused(lane, await called(lane, lost))
        assert (await called(lane, other)).status == 200
    assert refused(lane, await called(lane, token(None, None, jti="lost", aud=["apimgr", "x"])))


async def test_tokens_of_a_subject_that_were_issued_until_then_are_over(
    lane: Door, published: Published, origin: Origin
):
    await opened(lane, published, origin)
    now = int(time())
    old, late = token(None, None, iat=now - 10), token(None, None, iat=now - 9)
    silent, ben = token(None, None, iat=None), token(None, None, sub="ben", iat=now - 100)
    part = revoked("subject", "ann", now - 10)
    assert [(await called(lane, each)).status for each in (old, late, silent, ben)] == [200] * 4
    await applied(lane, published, part)
    assert refused(lane, await called(lane, old))
    assert refused(lane, await called(lane, silent)), "it doesn't say when it was issued"
    assert [(await called(lane, each)).status for each in (late, ben)] == [200, 200]
    await applied(lane, published, gone=(f"revoked:{part.bucket}",))
    assert (await called(lane, old)).status == 200, "the subject was restored"


async def test_another_issuers_revocations_are_its_own(lane: Door, published: Published, origin: Origin):
    await opened(lane, published, origin, revoked("jti", "1", slug="other"), revoked("subject", "ann", slug="other"))
    assert (await called(lane, token(None, None, jti="1"))).status == 200


async def test_a_revoked_token_passes_to_no_other_way(lane: Door, published: Published, origin: Origin):
    await opened(lane, published, origin, authentication=("jwt", "introspection", "api_key", "none"))
    await applied(lane, published, revoked("jti", "lost"))
    assert refused(lane, await called(lane, token(None, None, jti="lost")))


async def test_what_was_stored_for_a_revoked_subject_is_ended_and_read_by_nobody(
    lane: Door, published: Published, origin: Origin
):
    origin.paths["/items"] = ok(b"items", "cache-control: max-age=60")
    await opened(lane, published, origin, policy=Policy(api="products", scope="subject"))
    now = int(time())
    ann, ben, again = token(None, None, iat=now - 10), token(None, None, sub="ben"), token()
    assert [(await called(lane, each)).cache for each in (ann, ben, again)] == ["MISS", "MISS", "HIT"]
    purges = lane.gateway.store.purges
    await applied(lane, published, revoked("subject", "ann", now - 5))
    purges.apply([tag_of_subject(subject_of_caller(caller_of("corp", "ann")))], purges.clock + 1, soft=False)
    assert refused(lane, await called(lane, ann))
    assert [(await called(lane, each)).cache for each in (ben, again)] == ["HIT", "MISS"]


async def test_revocations_outlive_a_change_of_the_issuer(lane: Door, published: Published, origin: Origin):
    await opened(lane, published, origin)
    lost = token(None, None, jti="lost")
    await applied(lane, published, revoked("jti", "lost"))
    published.change(issuer(leeway=10.0))
    await until(lambda: lane.gateway.config.issuer("corp") == issuer(leeway=10.0))
    assert refused(lane, await called(lane, lost))


@pytest.mark.parametrize(
    ("claims", "kinds"),
    [
        ({}, []),
        ({"jti": "1", "sub": "1"}, ["jti", "subject"]),
        ({"jti": 1}, ["jti"]),
        ({"jti": "", "sub": ""}, []),
        ({"jti": None, "sub": ["1"]}, []),
        ({"jti": True}, []),
    ],
)
def test_a_token_is_known_by_its_id_and_its_subject(claims: dict[str, Any], kinds: list[str]):
    found = [revocation_hash(b"pepper", kind, "corp", "1") for kind in kinds]
    assert hashes_of(claims, "corp", b"pepper") == tuple(found)


@pytest.mark.parametrize(("iat", "second"), [(None, None), (100, 100), (100.9, 100)])
def test_a_token_was_issued_in_a_second(iat: float | None, second: int | None):
    assert issued_at({"iat": iat}) == second
