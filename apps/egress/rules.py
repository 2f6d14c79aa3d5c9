"""Whether a call may be made to an address: one judgement for both planes. Pure.

A ``Guard`` is what holds for one tenant: the rules that administrators set for the installation and for the tenant, and the
installation's own places. It judges an address that a host name resolved to, and the caller connects to that very address.
Three questions, in this order:

1. Link-local addresses and metadata services: never.
2. The installation's own places (console, gateway, Redis, database, broker): never, by the address and port that they resolve to.
3. Every other address that isn't public: only where a rule names its network, or the host's name, and the port.

A rule is a text: a network, an address, a name or ``*.suffix`` (names below it), each with ``:PORT`` or ``:FIRST-LAST`` behind it
where only those ports are meant. IPv6 stands in brackets before a port: ``[fd12::/16]:443``.
"""

import ipaddress
import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from apps.egress.addresses import (
    LINK_LOCAL_REFUSAL,
    METADATA_REFUSAL,
    Address,
    destinations,
    is_public,
    literal,
    plain,
    refusal_of_address,
    refusal_of_host,
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Place = tuple[str, int]
"""A host (name or address) and a port."""

MOST_RULES = 200
LOOPBACK = "localhost"
NOT_ALLOWED = (
    "This address is not public, and no egress rule allows it: a platform administrator can allow its network or name."
)
NO_ADDRESS = "This is no address that can be connected to."
OWN = "This place belongs to the platform itself: no API may lead there."

REASONS = {
    "egress_not_allowed": NOT_ALLOWED,
    "egress_own_place": OWN,
    "egress_link_local": LINK_LOCAL_REFUSAL,
    "egress_metadata": METADATA_REFUSAL,
    "egress_no_address": NO_ADDRESS,
}
"""Every refusal of a guard by the word under which call records have it."""
_WORDS = {sentence: word for word, sentence in REASONS.items()}

ONE_MACHINE = (
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
)
"""What everybody may reach where all of the platform is on one machine: loopback and private networks."""

_PORTS = {
    "http": 80,
    "https": 443,
    "redis": 6379,
    "rediss": 6379,
    "redis+sentinel": 26379,
    "sentinel": 26379,
    "postgres": 5432,
    "postgresql": 5432,
    "amqp": 5672,
    "amqps": 5671,
    "pyamqp": 5672,
    "confluentkafka": 9092,
    "kafka": 9092,
    "smtp": 25,
    "smtp+tls": 587,
    "submission": 587,
    "smtps": 465,
    "smtp+ssl": 465,
}


@dataclass(frozen=True)
class Rule:
    """One place, or many, that an administrator allowed. Either ``network``, or ``name`` with ``below`` for ``*.name``."""

    text: str
    network: Network | None
    name: str
    below: bool
    first: int
    last: int

    def allows(self, host: str, port: int, address: Address) -> bool:
        """Whether a connection for ``host`` (as ``host_key`` has it) may go to ``address`` and ``port``."""
        if not self.first <= port <= self.last:
            return False
        if self.network is not None:
            return address in self.network
        return host.endswith(f".{self.name}") if self.below else host == self.name


@lru_cache(maxsize=4096)
def rule_of(text: str) -> Rule:
    """The rule that ``text`` is. Raises ``ValueError`` with a sentence for the one who wrote it."""
    place, ports = _without_ports(text.strip())
    first, last = (1, 65535) if ports is None else _range(ports, text)
    if not place or len(text) > 300:
        raise ValueError(f"{text!r} is no rule: write a network, an address, a host name or *.suffix.")
    if "/" in place or literal(place) is not None:
        address = literal(place)
        try:
            # strict: 10.0.0.5/8 is a typing error more often than the network around it
            network = ipaddress.ip_network(str(address) if address is not None else place)
        except ValueError as error:
            raise ValueError(f"{text!r} is no network: {error}.") from None
        if refusal_of_address(network[0]) and refusal_of_address(network[-1]):
            raise ValueError(f"{text!r} can't be allowed: link-local and metadata addresses never are.")
        return Rule(text.strip(), network, "", False, first, last)
    below = place.startswith("*.")
    name = host_key(place.removeprefix("*."))
    if refusal_of_host(name) or literal(name) is not None:
        raise ValueError(f"{text!r} is no rule: write a network, an address, a host name or *.suffix.")
    return Rule(text.strip(), None, name, below, first, last)


def rules_error(texts: object) -> str | None:
    """What is wrong with a list of rules, in a sentence; ``None``: nothing."""
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        return "A list of networks and host names, like 10.0.0.0/8, billing.internal:8443 or *.corp.internal."
    if len(texts) > MOST_RULES:
        return f"At most {MOST_RULES} rules: name networks rather than addresses."
    for text in texts:
        try:
            rule_of(text)
        except ValueError as error:
            return str(error)
    return None


def opens_loopback(texts: Iterable[str]) -> bool:
    """Whether rules let calls reach this machine itself at some port that isn't the platform's own."""
    loopback = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))
    rules = [rule_of(text) for text in texts]
    return any(
        any(address in rule.network for address in loopback) if rule.network else is_loopback_name(rule.name)
        for rule in rules
    )


def host_key(host: str) -> str:
    """A host in the one form in which it is compared: an address in its usual spelling, or a name in lower case and ASCII, without
    the dot at its end (full-width dots and letters are what IDNA, RFC 3490 §3.1, makes of them)."""
    name = host
    if not name.isascii():
        try:
            name = name.encode("idna").decode()
        except UnicodeError:
            return host.lower()
    name = name.lower().removesuffix(".")
    address = literal(name)
    return name if address is None else str(address)


def place_of(url: str) -> Place | None:
    """Host (as ``host_key`` has it) and port of an ``http`` or ``https`` URL; ``None``: it has none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.scheme not in ("http", "https"):
        return None
    return host_key(host), port or _PORTS[parts.scheme]


def is_loopback_name(host: str) -> bool:
    """Whether a name is this machine's, whatever a resolver says (RFC 6761 §6.3)."""
    return host == LOOPBACK or host.endswith(f".{LOOPBACK}")


def is_this_host(address: Address) -> bool:
    """Whether ``address`` is one of this machine's own: datagrams to it would leave from it. Sends none."""
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ipaddress.ip_address(probe.getsockname()[0]) == address
    except (OSError, ValueError):
        return False


def own_places(urls: Iterable[str], ports: Iterable[int], extra: Iterable[str] = ()) -> tuple[Place, ...]:
    """The installation's own places: the servers that ``urls`` name (several hosts, and several URLs with ``;``, too), the
    ``ports`` that it listens on itself, and ``extra`` ones as ``host:port``.

    An ``http`` or ``https`` URL without a port is left out: what stands there as a rule is a proxy that other sites share.
    Raises ``ValueError`` for an extra one that is no place.
    """
    found: list[Place] = [(LOOPBACK, port) for port in ports]
    for url in (each for urls_of_one in urls for each in urls_of_one.split(";")):
        scheme, _, rest = url.partition("://")
        default = _PORTS.get(scheme.lower())
        authority = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
        if default is None or not authority:
            continue  # a Unix socket, a file, memory
        for each in authority.split(","):
            host, port = _without_ports(each)
            if default in (80, 443) and port in (None, str(default)):
                continue
            if host and (port is None or port.isdigit()):
                found.append((host_key(host), int(port or default)))
                if default == _PORTS["sentinel"]:  # which asks for a server that most often is on the same machines
                    found.append((host_key(host), _PORTS["redis"]))
    for text in extra:
        host, port = _without_ports(text.strip())
        if not host or port is None or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"{text!r} is no place: write host:port.")
        found.append((host_key(host), int(port)))
    return tuple(dict.fromkeys(found))


class Guard:
    """What holds for one tenant. Compared by identity: a connection opened under one guard is judged again under another."""

    __slots__ = ("_own", "rules")

    def __init__(self, rules: Sequence[Rule] = (), own: Iterable[Place] = ()) -> None:
        """``rules`` of the installation and of the tenant; the installation's ``own`` places."""
        self.rules = tuple(rules)
        self._own: dict[int, tuple[str, ...]] = {}
        for host, port in own:
            self._own[port] = (*self._own.get(port, ()), host)

    def own_names(self, port: int) -> tuple[str, ...]:
        """The names of hosts at which ``port`` is the installation's own: to be resolved before ``refusal`` is asked."""
        return tuple(host for host in self._own.get(port, ()) if literal(host) is None and not is_loopback_name(host))

    def refusal(
        self,
        host: str,
        port: int,
        address: Address | None,
        own: Collection[Address] = (),
        this_host: Callable[[Address], bool] = is_this_host,
    ) -> str | None:
        """Why a connection for ``host`` may not go to ``address`` and ``port``, in a sentence without it; ``None``: it may.

        ``own`` is what ``own_names(port)`` resolve to. Without an ``address`` (a name that wasn't resolved) only what
        can be said of the name is: what it resolves to is judged later.
        """
        host = host_key(host)
        mine = self._own.get(port, ())
        if host in mine:
            return OWN
        if address is None:
            return None
        address = plain(address)
        if refusal := refusal_of_address(address):
            return refusal
        if address.is_multicast or address.is_unspecified:
            return NO_ADDRESS
        if mine:
            places = {plain(each) for each in own} | {each for each in map(literal, mine) if each is not None}
            if address in places:
                return OWN
            here = any(is_loopback_name(name) for name in mine) or any(map(this_host, places))
            if here and this_host(address):
                return OWN
        for each in (address, *destinations(address)):
            if not is_public(each) and not any(rule.allows(host, port, each) for rule in self.rules):
                return NOT_ALLOWED
        return None

    def refusal_of_text(self, host: str, port: int) -> str | None:
        """As ``refusal``, of a host as it is written: what an address is, in any spelling, and this machine's names; not what other
        names resolve to."""
        key = host_key(host)
        if (address := literal(key)) is not None:
            return self.refusal(key, port, address)
        if is_loopback_name(key):
            return self.refusal(key, port, ipaddress.IPv4Address("127.0.0.1"))
        return self.refusal(key, port, None)


def allowed_addresses(
    guard: Guard, host: str, port: int, addresses: Iterable[str], own: Iterable[str] = ()
) -> tuple[list[str], str | None]:
    """Those of the resolved ``addresses`` that may be connected to, and why the first other one may not."""
    allowed: list[str] = []
    refused: str | None = None
    mine = [address for address in map(address_of, own) if address is not None]
    for text in addresses:
        address = address_of(text)
        why = NO_ADDRESS if address is None else guard.refusal(host, port, address, mine)
        if why is None:
            allowed.append(text)
        else:
            refused = refused or why
    return allowed, refused


def reason_of(refusal: str | None) -> str:
    """The word under which call records have a refusal; ``None``: there was no address to judge."""
    return _WORDS[refusal or NO_ADDRESS]


def address_of(text: str) -> Address | None:
    """A resolved address; ``None`` for what is none, and for one with a zone: those are link-local."""
    try:
        return ipaddress.ip_address(text) if "%" not in text else None
    except ValueError:
        return None


def _without_ports(text: str) -> tuple[str, str | None]:
    """``[fd00::/8]:443`` as ``("fd00::/8", "443")``; IPv6 without brackets has no port."""
    if text.startswith("["):
        place, _, rest = text[1:].partition("]")
        return place, rest.removeprefix(":") if rest else None
    if text.count(":") == 1:
        place, _, ports = text.partition(":")
        return place, ports
    return text, None


def _range(ports: str, text: str) -> tuple[int, int]:
    low, dash, high = ports.partition("-")
    if not (low.isascii() and low.isdigit()) or (dash and not (high.isascii() and high.isdigit())):
        raise ValueError(f"{text!r} names no port: write :443 or :8000-8010.")
    first, last = int(low), int(high if dash else low)
    if not 0 < first <= last < 65536:
        raise ValueError(f"{text!r} names no port: ports are from 1 to 65535.")
    return first, last
