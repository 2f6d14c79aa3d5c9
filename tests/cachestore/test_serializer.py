"""Entries on their way to the shared tier: nothing foreign is believed, nothing personal is readable."""

import dataclasses
import pickle
import random
import zlib

import msgspec
import pytest

from apps.cachestore.serializer import (
    COMPRESS_FROM,
    LARGE,
    MAC_BYTES,
    REJECTED,
    CacheEntrySerializer,
    Rejections,
    becomes_large,
    is_large,
)
from apps.httpcache import Policy, Variants
from tests.httpcache.build import plan, stored

KEY = b"k" * 32


@pytest.fixture
def serializer():
    Rejections.count = 0
    yield CacheEntrySerializer(key=KEY)
    Rejections.count = 0


def entry(**how):
    fields = [("Cache-Control", "max-age=60"), ("Vary", "Foo"), ("Link", "1"), ("Link", "2"), ("Cache-Tag", "t\xff")]
    return stored(fields, body=b"\x00\xff body", **how).entry


@pytest.mark.parametrize(
    "value", [entry(), Variants(((b"a",), ()), (b"k",), 5.0), {"any": [1, "x", None]}, 7, True, "text"]
)
def test_what_goes_in_comes_out(serializer, value):
    assert serializer.loads(serializer.dumps(value)) == value
    assert Rejections.count == 0


def test_every_changed_byte_is_noticed(serializer):
    sealed = serializer.dumps(entry())
    for position in (0, 1, MAC_BYTES, MAC_BYTES + 1, len(sealed) // 2, len(sealed) - 1):
        forged = sealed[:position] + bytes((sealed[position] ^ 1,)) + sealed[position + 1 :]
        assert serializer.loads(forged) is REJECTED
    assert Rejections.count == 6


@pytest.mark.parametrize(
    "foreign",
    [b"", b"1", b"E", pickle.dumps({"a": 1}), b"M" + b"\x00" * MAC_BYTES + b"\x01", msgspec.msgpack.encode([1])],
)
def test_foreign_bytes_are_no_value(serializer, foreign):
    assert serializer.loads(foreign) is REJECTED
    assert Rejections.count == 1
    assert repr(REJECTED) == "REJECTED"


def test_another_installations_seal_is_foreign(serializer):
    assert serializer.loads(CacheEntrySerializer(key=b"o" * 32).dumps(entry())) is REJECTED


def test_what_another_version_wrote_is_a_miss_and_no_alarm(serializer):
    payload = msgspec.msgpack.encode({"key": b"only"})
    for kind in (b"E", b"V", b"P"):
        assert serializer.loads(kind + serializer._mac(kind, payload) + payload) is REJECTED
    assert Rejections.count == 0


def test_personal_entries_are_encrypted_and_each_time_differently(serializer):
    the_plan = plan([("Authorization", "x")], policy=Policy(api="products", sensitivity="personal"))
    personal = entry(the_plan=the_plan)
    sealed = serializer.dumps(personal)
    assert b" body" not in sealed
    assert b" body" in serializer.dumps(dataclasses.replace(personal, personal=False))
    assert serializer.dumps(personal) != sealed
    assert serializer.loads(sealed) == personal


JSON = b'{"id": 1, "name": "a name that comes again"}, ' * 400


def large(body=JSON, content_type="application/json", *, the_plan=None, **fields):
    given = [("Cache-Control", "max-age=60"), *((name.replace("_", "-"), value) for name, value in fields.items())]
    if content_type is not None:
        given.append(("Content-Type", content_type))
    return stored(given, body=body, the_plan=the_plan).entry


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/html; charset=utf-8", "application/problem+json", "image/svg+xml", "Application/XML"],
)
def test_large_bodies_of_types_that_shrink_are_compressed(serializer, content_type):
    value = large(content_type=content_type)
    sealed = serializer.dumps(value)
    assert len(sealed) < len(JSON) / 10
    assert serializer.loads(sealed) == value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(large(JSON[: COMPRESS_FROM - 1]), id="small"),
        pytest.param(large(content_type=None), id="of-no-type"),
        pytest.param(large(content_type="image/png"), id="of-a-type-that-doesn't-shrink"),
        pytest.param(large(content_type="application/jsonish"), id="of-a-type-that-only-begins-like-one"),
        pytest.param(large(Content_Encoding="br"), id="coded-already"),
        pytest.param(large(random.Random(1).randbytes(len(JSON))), id="of-which-nothing-would-be-saved"),
    ],
)
def test_what_would_gain_nothing_stays_as_it_is(serializer, value):
    sealed = serializer.dumps(value)
    assert value.body in sealed
    assert serializer.loads(sealed) == value


def test_personal_entries_are_never_compressed(serializer):
    """The length of what an attacker's guess was compressed with would tell whether the guess was right."""
    the_plan = plan([("Authorization", "x")], policy=Policy(api="products", sensitivity="personal"))
    lengths = {
        len(serializer.dumps(large(JSON + guess, the_plan=the_plan))) for guess in (b"a name", b"zzzzzz", b"~x0^Q1")
    }
    assert len(lengths) == 1
    assert lengths.pop() > len(JSON)


def test_an_entry_decompresses_to_what_it_says_and_no_more(serializer, monkeypatch):
    sealed = serializer.dumps(large())
    payload = sealed[1 + MAC_BYTES :]
    size, rest = int.from_bytes(payload[:4], "big"), payload[4:]
    bomb = zlib.compress(b"\0" * (size * 1000), 9)
    for said, data in (
        (size - 1, rest),
        (size + 1, rest),
        (0, rest),
        (size, rest[:-1]),
        (size, bomb),
        (2**32 - 1, rest),
        (size, b"?"),
    ):
        changed = said.to_bytes(4, "big") + data
        assert serializer.loads(b"Z" + serializer._mac(b"Z", changed) + changed) is REJECTED
    assert Rejections.count == 0, "ours, and broken: a miss and no alarm"
    monkeypatch.setattr("apps.cachestore.serializer.LARGEST", size - 1)
    assert serializer.loads(sealed) is REJECTED
    assert JSON in serializer.dumps(large()), "what could not be read is not written"


def test_what_is_large_is_known_before_it_is_worked_on(serializer):
    assert is_large(large(b"x" * LARGE))
    assert not is_large(large(b"x" * (LARGE - 1)))
    assert not is_large(Variants((), (), 0.0))
    assert becomes_large(serializer.dumps(large(b"x" * LARGE)))
    assert becomes_large(serializer.dumps(large(b"x" * LARGE, "image/png")))
    assert not becomes_large(serializer.dumps(large(b"x" * (LARGE // 2))))


def test_the_installations_key_is_the_default(settings):
    one = CacheEntrySerializer()
    settings.ENTRY_MAC_KEY = b"other" * 6
    assert one.loads(CacheEntrySerializer().dumps(1)) is REJECTED
