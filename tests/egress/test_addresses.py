"""Where upstreams may be, in every spelling that reaches the same place."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.egress.addresses import inet_aton, refusal_of_address, refusal_of_host, refusal_of_url

METADATA = [
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.0.1/",
    "http://169.254.169.254:80/",
    "http://169.254.169.254./",
    "http://2852039166/",
    "http://0xA9FEA9FE/",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://0251.0376.0251.0376/",
    "http://025177524776/",
    "http://169.254.43518/",
    "http://169.16689662/",
    "http://0251.254.0xa9fe/",
    "http://[fe80::1]/",
    "http://[febf::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00:ec2::254]/",
    "http://[FD00:0EC2:0:0:0:0:0:254]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://metadata.google.internal/",
    "http://METADATA.google.internal./computeMetadata/v1/",
    "http://metadata/",
    "http://instance-data/latest/",
    "http://100.100.100.200/",
]

NO_URL = [
    "",
    "products",
    "ftp://files.test/",
    "file:///etc/passwd",
    "gopher://x.test/",
    "//host.test/",
    "http:host.test",
    "http:/host.test/",
    "http://",
    "http:///path",
    "http://user:secret@host.test/",
    "http://user@host.test/",
    "http://169.254.169.254@host.test/",
    "http://host.test:0/",
    "http://host.test:/",
    "http://host.test:99999/",
    "http://host.test:port/",
    "http://host.test/?q=1",
    "http://host.test/#part",
    "http://host.test/a/../b/",
    "http://host.test/a/%2e%2e/b/",
    "http://host.test/./",
    "http://host.test/a b/",
    "http://host.test/a\r\nX: 1/",
    "http://host.test\\@evil.test/",
    "http://host.test/%zz/",
    "http://hö.test/",
    "http://１６９.254.169.254/",
    "http://169。254。169。254/",
    "http://ho%73t.test/",
    "http://-host.test/",
    "http://256.1.1.1/",
    "http://1.2.3.4.5/",
    "http://0x.test.1/",
    "http://[::1/",
    "http://[zz::1]/",
    "http://host..test/",
    "http://" + "a" * 64 + ".test/",
]

GOOD = [
    "http://127.0.0.1:9000/",
    "http://localhost:9000",
    "https://api.shop.test/v1/",
    "https://api.shop.test/v1/caf%C3%A9/",
    "http://10.0.0.7/",
    "http://192.168.1.1:8080/base",
    "http://[::1]:9000/",
    "http://[fd12:3456::1]/",
    "http://xn--bcher-kva.test/",
    "http://my_service.internal:80/",
    "http://products/",
    "HTTP://Host.Test/",
]


@pytest.mark.parametrize("url", METADATA)
def test_metadata_services_and_link_local_addresses_are_refused(url: str):
    refusal = refusal_of_url(url)
    assert refusal is not None
    assert "can't be there" in refusal


@pytest.mark.parametrize("url", NO_URL)
def test_what_is_no_plain_http_url_is_refused(url: str):
    assert refusal_of_url(url) is not None


@pytest.mark.parametrize("url", GOOD)
def test_loopback_private_and_public_upstreams_are_fine(url: str):
    assert refusal_of_url(url) is None


@given(st.integers(0, 2**16 - 1), st.sampled_from(["{}", "0x{:x}", "0{:o}"]))
def test_no_number_that_resolvers_take_for_a_link_local_address_gets_through(low: int, form: str):
    number = (169 << 24) + (254 << 16) + low
    assert refusal_of_host(form.format(number)) is not None


@given(
    st.lists(
        st.one_of(st.integers(0, 300).map(str), st.integers(0, 300).map(hex), st.integers(0, 300).map("0{:o}".format)),
        min_size=1,
        max_size=4,
    ).map(".".join)
)
def test_our_reading_of_an_address_is_the_c_library_s(text: str):
    try:
        expected = ipaddress.IPv4Address(socket.inet_aton(text))
    except OSError:
        expected = None
    assert inet_aton(text) == expected


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_is_judged_alike_as_text_and_as_an_address(address: ipaddress.IPv6Address):
    assert refusal_of_host(f"[{address}]") == refusal_of_address(address)
