"""Structured Fields (RFC 9651), as far as signatures and digests need them."""

import pytest

from apps.gateway.call.structured_fields import InnerList, Token, dictionary


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([b""], {}),
        ([], {}),
        ([b"a"], {"a": True}),
        ([b"a;x=1, b=?0"], {"a": True, "b": False}),
        ([b"a=1", b"b=-2 , c=:AQI=:"], {"a": 1, "b": -2, "c": b"\x01\x02"}),
        ([rb'a="q\"\\", b=to/ken'], {"a": 'q"\\', "b": Token("to/ken")}),
        ([b" a=1 "], {"a": 1}),
    ],
)
def test_dictionaries_are_read(lines: list[bytes], found: dict[str, object]):
    assert dictionary(lines) == found


def test_a_list_has_one_form_whatever_its_blanks():
    read = dictionary([rb'sig=(  "@method"   "a\\b" );created=1;  keyid="k\"";t=tok;y;n=?0;b=:AQI=:'])
    assert read is not None
    said = read["sig"]
    assert isinstance(said, InnerList)
    assert said.items == ("@method", "a\\b")
    assert said.parameters == {
        "created": 1,
        "keyid": 'k"',
        "t": Token("tok"),
        "y": True,
        "n": False,
        "b": b"\x01\x02",
    }
    assert said.text == r'("@method" "a\\b");created=1;keyid="k\"";t=tok;y;n=?0;b=:AQI=:'


@pytest.mark.parametrize(
    "text",
    [
        b"A=1",
        b"a=",
        b"a=1,",
        b"a=1,,b=2",
        b"a=1 b=2",
        b"a=1, a=2",
        b"a=1.5",
        b"a=1234567890123456",
        b'a="open',
        b'a="\x00"',
        b'a="\xc3\xa4"',
        rb'a="\x"',
        b"a=:!:",
        b"a=:AQ:",
        b"a=:AQI=",
        b'a=("x"',
        b'a=("x""y")',
        b"a=(x)",
        b'a=("x";req)',
        b'a=(("x"))',
        b"a=();x=1;x=2",
        b"a=?2",
        b"a;=1",
        ", ".join(f"a{number}" for number in range(33)).encode(),
        b"a=(" + b'"x" ' * 33 + b")",
        b"a=()" + b"".join(b";p%d" % number for number in range(33)),
    ],
)
def test_what_is_none_is_refused(text: bytes):
    assert dictionary([text]) is None
