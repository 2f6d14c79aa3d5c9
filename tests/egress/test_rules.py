"""Who may reach what: public addresses for everybody, the rest by rule, the platform itself for nobody."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.egress.addresses import is_public
from apps.egress.rules import (
    ONE_MACHINE,
    OWN,
    REASONS,
    Guard,
    allowed_addresses,
    host_key,
    is_this_host,
    own_places,
    place_of,
    rule_of,
    rules_error,
)

PRIVATE = [
    "0.0.0.1",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.254",
    "127.0.0.1",
    "127.9.9.9",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    "240.0.0.1",
    "255.255.255.254",
    "::1",
    "::2",
    "::ffff:10.0.0.1",
    "::10.0.0.1",
    "64:ff9b::808:808",
    "64:ff9b::a00:1",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:808:808::1",
    "2002:a00:1::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
]
PUBLIC = ["93.184.215.14", "1.1.1.1", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "::ffff:93.184.215.14"]
NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1:a9fe:a9:fe00::",  # RFC 6052 §2.2 behind 48 bits
    "64:ff9b:1:a9:fe:a9fe::",  # behind 56
    "64:ff9b:1:0:a9:fea9:fe00:0",  # behind 64
    "64:ff9b:1::a9fe:a9fe",  # behind 96
    "2002:a9fe:a9fe::",
    "2606:4700::5efe:a9fe:a9fe",  # ISATAP
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd00:ec2:0:1::123",
    "fd20:ce::254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "ff02::1",
    "0.0.0.0",
    "::",
]
EVERYTHING = [rule_of("0.0.0.0/0"), rule_of("::/0"), rule_of("any.test")]


def refused(guard: Guard, host: str, port: int, address: str) -> bool:
    return bool(allowed_addresses(guard, host, port, [address])[1])


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_needs_a_rule(address: str):
    assert refused(Guard(), "any.test", 80, address)
    assert not refused(Guard(EVERYTHING), "other.test", 80, address)
    assert not refused(Guard([rule_of("any.test")]), "any.test", 80, address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_needs_none(address: str):
    assert not refused(Guard(), "any.test", 80, address)


@pytest.mark.parametrize("address", NEVER)
def test_no_rule_opens_link_local_metadata_and_group_addresses(address: str):
    assert refused(Guard(EVERYTHING), "any.test", 80, address)


@pytest.mark.parametrize("address", ["fe80::1%eth0", "10.0.0.1%1", "", "x", "10.0.0"])
def test_what_is_no_plain_address_is_refused(address: str):
    assert refused(Guard(EVERYTHING), "any.test", 80, address)


@given(st.ip_addresses(v=4))
def test_what_is_public_is_never_one_that_python_calls_private(address: ipaddress.IPv4Address):
    assert not is_public(address) or not (address.is_private or address.is_reserved or address.is_multicast)


@given(st.ip_addresses(v=4), st.sampled_from(["64:ff9b::{}", "::ffff:{}"]))
def test_an_ipv4_address_inside_an_ipv6_one_needs_the_rule_that_it_needs_itself(
    address: ipaddress.IPv4Address, form: str
):
    inside = [rule_of("64:ff9b::/96")]
    bare, wrapped = (
        refused(Guard(), "a.test", 80, str(address)),
        refused(Guard(inside), "a.test", 80, form.format(address)),
    )
    assert wrapped or not bare


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.1.1.1", "172.20.0.1", "192.168.1.1", "100.64.1.1", "fd12::1"]
)
def test_on_one_machine_loopback_and_private_networks_are_open(address: str):
    assert not refused(Guard([rule_of(text) for text in ONE_MACHINE]), "a.test", 80, address)


@pytest.mark.parametrize("form", ["64:ff9b::a00:1", "2002:a00:1::", "2001:0:808:808::f5ff:fffe"])
def test_a_translated_address_needs_a_rule_for_its_form_and_one_for_what_it_carries(form: str):
    forms = [rule_of(text) for text in ("64:ff9b::/96", "2002::/16", "2001::/32")]
    assert refused(Guard(forms), "a.test", 80, form)
    assert refused(Guard([rule_of("10.0.0.0/8")]), "a.test", 80, form)
    assert not refused(Guard([*forms, rule_of("10.0.0.0/8")]), "a.test", 80, form)
    assert not refused(Guard(forms), "a.test", 80, "64:ff9b::808:808")


def test_a_rule_names_networks_names_and_ports():
    guard = Guard([rule_of(each) for each in ("10.1.0.0/16:8000-8010", "[fd12::/16]:443", "*.corp.test", "db.test:81")])
    for host, port, address, allowed in [
        ("a.test", 8000, "10.1.2.3", True),
        ("a.test", 8010, "10.1.2.3", True),
        ("a.test", 8011, "10.1.2.3", False),
        ("a.test", 8000, "10.2.2.3", False),
        ("a.test", 443, "fd12::7", True),
        ("a.test", 80, "fd12::7", False),
        ("a.corp.test", 1, "10.9.9.9", True),
        ("b.a.corp.test", 1, "::1", True),
        ("corp.test", 1, "10.9.9.9", False),
        ("evilcorp.test", 1, "10.9.9.9", False),
        ("db.test", 81, "192.168.0.1", True),
        ("db.test", 82, "192.168.0.1", False),
        ("x.db.test", 81, "192.168.0.1", False),
    ]:
        assert refused(guard, host, port, address) is not allowed, (host, port, address)


@pytest.mark.parametrize(
    "spelling",
    ["LOCALHOST", "localhost.", "api.localhost", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "127。0。0。1"],
)
def test_this_machine_is_recognised_in_every_spelling(spelling: str):
    assert Guard().refusal_of_text(spelling, 80)
    assert not Guard([rule_of("127.0.0.0/8")]).refusal_of_text(spelling, 80)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://Billing.Internal./x", ("billing.internal", 80)),
        ("https://billing.internal/", ("billing.internal", 443)),
        ("http://0x0A000005:9000/", ("10.0.0.5", 9000)),
        ("http://[::ffff:10.0.0.5]:9000/", ("10.0.0.5", 9000)),
        ("http://[FD12::0:1]/", ("fd12::1", 80)),
        ("ftp://a.test/", None),
        ("http://[::1/", None),
        ("nothing", None),
    ],
)
def test_two_urls_of_one_place_are_one_place(url: str, place: object):
    assert place_of(url) == place


@pytest.mark.parametrize("host", ["bücher.test", "BÜCHER.test.", "xn--bcher-kva.test", "bücher。test"])
def test_a_name_is_compared_in_its_ascii_form(host: str):
    assert host_key(host) == "xn--bcher-kva.test"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "*.",
        "a b",
        "10.0.0.5/8",
        "10.0.0.0/33",
        "10.0.0.0/8:",
        "10.0.0.0/8:0",
        "10.0.0.0/8:90-80",
        "10.0.0.0/8:65536",
        "a.test:http",
        "http://a.test",
        "*.10.0.0.1",
        "169.254.0.0/16",
        "169.254.169.254",
        "fe80::/10",
        "fd00:ec2::254",
        "fd00:ec2::/32",
        "metadata.google.internal",
        "a" * 400,
    ],
)
def test_a_rule_that_means_nothing_or_too_much_is_refused_with_a_sentence(text: str):
    assert (rules_error([text]) or "").endswith(".")


def test_a_list_of_rules_is_a_list_of_texts_and_not_endless():
    assert rules_error([]) is None
    assert rules_error(list(ONE_MACHINE)) is None
    assert rules_error("10.0.0.0/8")
    assert rules_error([1])
    assert rules_error(["a.test"] * 201)


def test_the_places_of_an_installation_are_read_from_its_urls():
    assert own_places(
        [
            "redis://user:p@ss@state:6380/0",
            "redis+sentinel://s1,s2:26380/main",
            "sentinel://q1:26379;sentinel://q2",
            "unix:///tmp/state.sock",
            "postgres://u:p@10.0.0.7/db",
            "amqps://[fd12::1]/vhost",
            "http://gateway:8080",
            "https://console.example.com",
            "",
        ],
        ports=[8000],
        extra=["console:8000"],
    ) == (
        ("localhost", 8000),
        ("state", 6380),
        ("s1", 26379),
        ("s1", 6379),
        ("s2", 26380),
        ("s2", 6379),
        ("q1", 26379),
        ("q1", 6379),
        ("q2", 26379),
        ("q2", 6379),
        ("10.0.0.7", 5432),
        ("fd12::1", 5671),
        ("gateway", 8080),
        ("console", 8000),
    )
    with pytest.raises(ValueError, match="write host:port"):
        own_places([], [], ["console"])


def test_no_rule_opens_a_place_of_the_platform():
    guard = Guard(EVERYTHING, [("localhost", 8000), ("state", 6379), ("10.0.0.7", 5432)])
    for address in ("127.0.0.1", "127.8.8.8", "::1"):
        assert guard.refusal("a.test", 8000, ipaddress.ip_address(address)) == OWN
        assert guard.refusal("a.test", 9000, ipaddress.ip_address(address)) is None
    mine = ipaddress.ip_address("10.0.0.99")
    assert guard.refusal("a.test", 8000, mine, this_host=lambda each: each == mine) == OWN
    assert guard.refusal("a.test", 8000, mine, this_host=lambda each: False) is None
    # by name, by what the name resolves to, and by the address itself
    assert guard.refusal_of_text("STATE.", 6379) == OWN
    assert allowed_addresses(guard, "a.test", 6379, ["10.0.0.8"], ["10.0.0.8"]) == ([], OWN)
    assert allowed_addresses(guard, "a.test", 6379, ["10.0.0.9"], ["10.0.0.8"]) == (["10.0.0.9"], None)
    assert guard.refusal_of_text("0x0A000007", 5432) == OWN
    assert guard.refusal_of_text("10.0.0.7", 5433) is None
    # a server on this machine under a name of its own
    assert allowed_addresses(guard, "a.test", 6379, ["127.0.0.1"], ["127.0.0.1"]) == ([], OWN)


@given(st.ip_addresses(), st.integers(1, 65535), st.booleans())
def test_every_refusal_has_a_word_for_the_call_record_and_names_no_address(address, port: int, own: bool):
    guard = Guard([], [("localhost", port), (str(address), port)] if own else [])
    refusal = guard.refusal("a.test", port, address)
    assert refusal is None or refusal in REASONS.values()
    assert refusal is None or str(address) not in refusal
    assert refusal or not own


def test_this_host_knows_its_own_addresses():
    assert is_this_host(ipaddress.ip_address("127.0.0.1"))
    assert is_this_host(ipaddress.ip_address("::1"))
    assert not is_this_host(ipaddress.ip_address("192.0.2.77"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.77", 9))
        except OSError:
            return  # a machine without a network has no other address
        assert is_this_host(ipaddress.ip_address(probe.getsockname()[0]))
