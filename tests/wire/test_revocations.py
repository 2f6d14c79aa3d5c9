"""How revocations travel: as hashes in buckets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.gateway.config.revoked import RevokedTable
from apps.wire.revocations import BUCKETS, FOR_GOOD, bucket_of, pack, revocation_hash, unpack
from apps.wire.snapshot import Revoked

NOW = 1_800_000_000


@given(st.dictionaries(st.integers(0, 2**56 - 1).map(lambda low: 0xAB << 56 | low), st.integers(0, FOR_GOOD)))
def test_a_bucket_is_read_as_it_was_packed(marks: dict[int, int]):
    part = pack("ab", marks.items())
    hashes, read = unpack(part)
    assert dict(zip(hashes, read, strict=True)) == marks
    assert list(hashes) == sorted(marks)
    assert len(part.hashes) + len(part.marks) == 12 * len(marks)
    table = RevokedTable()
    table.put(part)
    assert table.get("ab") == part


@given(st.sets(st.integers(0, 2**64 - 1), max_size=50), st.integers(0, 2**64 - 1))
def test_a_token_is_over_whose_hash_is_there_and_no_other(revoked: set[int], other: int):
    table = RevokedTable()
    for bucket in BUCKETS:
        found = [each for each in revoked if f"{bucket_of(each):02x}" == bucket]
        if found:
            table.put(pack(bucket, [(each, FOR_GOOD) for each in found]))
    assert len(table) == len(revoked)
    assert all(table.is_over(each, NOW) and table.is_over(each, None) for each in revoked)
    assert table.is_over(other, NOW) is (other in revoked)


def test_of_a_subject_those_are_over_that_were_issued_until_then_or_do_not_say():
    table = RevokedTable()
    hashed = revocation_hash(b"pepper", "subject", "corp", "ann")
    table.put(pack(f"{bucket_of(hashed):02x}", [(hashed, NOW), (hashed, NOW - 5)]))
    assert [table.is_over(hashed, at) for at in (NOW - 1, NOW, NOW + 1, None)] == [True, True, False, True]
    table.drop(f"{bucket_of(hashed):02x}")
    assert not table.is_over(hashed, None)


def test_what_is_no_bucket_changes_nothing(caplog: pytest.LogCaptureFixture):
    table = RevokedTable()
    good = pack("00", [(1, FOR_GOOD)])
    table.put(good)
    for part in (Revoked("00", b"", b"1234"), Revoked("00", b"123", b""), Revoked("xyz", b"", b"")):
        table.put(part)
        table.drop("xyz")
    assert table.get("00") == good
    assert table.get("xyz") is None
    assert len(caplog.records) == 3


def test_what_is_hashed_is_kept_apart():
    told = [
        (b"pepper", "jti", "corp", "a"),
        (b"other", "jti", "corp", "a"),
        (b"pepper", "subject", "corp", "a"),
        (b"pepper", "jti", "own", "a"),
        (b"pepper", "jti", "corp", "b"),
    ]
    assert len({revocation_hash(*each) for each in told}) == len(told)
