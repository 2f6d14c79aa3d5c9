"""JSON in one form: RFC 8785 (JSON Canonicalization Scheme), with RFC 8259 §4, §6, §8.2 and §9 on what is doubtful."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.httpcache.canonical import MAX_BYTES, MAX_DEPTH, Doubtful, canonical, number, parse, serialize

# RFC 8785, appendix B: the bits of a double, and how it is written.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_numbers_are_written_as_ecmascript_does(bits, text):
    assert number(struct.unpack(">d", bytes.fromhex(bits))[0]) == text


def test_the_example_of_the_rfc_comes_out_as_it_says():
    # §3.2.2 to §3.2.4; the first of its numbers is doubtful here, because a reader of decimals would keep its last digits.
    text = (
        '{ "numbers": [333333333.3333333, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],'
        r'"string": "\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false] }'
    ).replace(r"\'", "'")
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        r'"string":"€$\u000f\nA' + "'" + r'B\"\\\\\"/"}'
    )
    assert canonical(text.encode()) == expected.encode()


def test_names_are_sorted_by_utf_16_code_units():
    # §3.2.3: a character outside the basic plane comes before U+FB33, by its first surrogate.
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    written = canonical(json.dumps(dict.fromkeys(names, 0), ensure_ascii=False).encode())
    assert list(json.loads(written)) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1,"b":[true,null]}', b' { "b" : [ true , null ] ,\r\n\t"a" : 1.0 } '),
        (b'"\\u0041\\/"', b'"A/"'),
        (b"100", b"1e2"),
        (b"-0", b"0"),
        (b"10000000000000000000000", b"1e22"),
        ('"\U0001f600"'.encode(), b'"\\ud83d\\ude00"'),
    ],
)
def test_texts_that_mean_the_same_have_one_form(one, other):
    assert canonical(one) == canonical(other) is not None


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}',
        b'{"a":1,"\\u0061":1}',
        b'[{"a":{"b":0,"b":0}}]',
        b"9007199254740993",
        b"0.1000000000000000055511151231257827",
        b"1e-400",
        b"1e400",
        b"-1e400",
        b"1" + b"0" * 400,
        b"1" + b"0" * 5000,
        b"0e99999999999999999999",
        b"0." + b"0" * 70,
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b'"\\ud800"',
        b'{"\\udc00":1}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        b'"\x00"',
        b"01",
        b"\xd9\xa1",  # a digit of another script
        b"1\xd9\xa1",
        b"",
        b"{}{}",
        b"{'a':1}",
        b"[1,]",
        b"/**/1",
        b"[" * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * (MAX_DEPTH + 1) + b"0" + b"}" * (MAX_DEPTH + 1),
        b'"' + b"a" * MAX_BYTES + b'"',
    ],
)
def test_doubtful_json_has_no_form(text):
    assert canonical(text) is None


def test_what_is_just_within_the_bounds_has_one():
    assert canonical(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    assert canonical(b'"' + b"a" * (MAX_BYTES - 2) + b'"') is not None


def test_the_refusal_says_why():
    with pytest.raises(Doubtful, match="occurs twice"):
        parse(b'{"a":1,"a":1}')
    with pytest.raises(Doubtful, match="surrogate"):
        serialize("\ud800")
    with pytest.raises(Doubtful, match="more digits"):
        parse(b"0.12345678901234567890")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    # Without lone surrogates: those are doubtful.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_the_form_says_what_the_text_said_and_is_its_own_form(value):
    written = canonical(json.dumps(value).encode())
    assert json.loads(written, parse_int=float) == value
    assert canonical(written) == written


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_the_same_double(value):
    assert float(number(value)) == value
    assert ("e" in number(value)) == (value != 0 and not 1e-6 <= abs(value) < 1e21)


@given(values, values)
def test_two_forms_are_equal_only_if_the_values_are(one, other):
    # JSON has one kind of number and no booleans among them; Python says True == 1.
    same = _told_apart(one) == _told_apart(other)
    assert (serialize(one) == serialize(other)) == same


def _told_apart(value):
    if isinstance(value, list):
        return ["list", *map(_told_apart, value)]
    if isinstance(value, dict):
        return {name: _told_apart(each) for name, each in value.items()}
    return isinstance(value, bool), value
