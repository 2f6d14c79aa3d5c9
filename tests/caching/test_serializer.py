"""Entries on their way to the shared tier: nothing foreign is believed, nothing personal is readable."""

import dataclasses
import pickle

import msgspec
import pytest

from apps.caching.http import Policy, Variants
from apps.caching.serializer import MAC_BYTES, REJECTED, EntrySerializer, Rejections
from tests.caching.http.build import plan, stored

KEY = b"k" * 32


@pytest.fixture
def serializer():
    Rejections.count = 0
    yield EntrySerializer(key=KEY)
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
    assert serializer.loads(EntrySerializer(key=b"o" * 32).dumps(entry())) is REJECTED


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


def test_the_installations_key_is_the_default(settings):
    one = EntrySerializer()
    settings.ENTRY_MAC_KEY = b"other" * 6
    assert one.loads(EntrySerializer().dumps(1)) is REJECTED
