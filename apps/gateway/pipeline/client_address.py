"""Where a call comes from: the client's address, behind trusted proxies too, and whether some networks have it."""

import ipaddress
from collections.abc import Callable, Iterable

from apps.egress.addresses import Address, plain
from apps.gateway.call.call import Call

LONGEST = 64
"""Characters of what can be an address."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks_of(texts: Iterable[str]) -> list[Network]:
    """The networks that a setting names, as addresses or with a prefix's length. Raises ``ValueError``."""
    return [ipaddress.ip_network(text, strict=False) for text in texts]


def is_within(address: Address | None, networks: Iterable[Network]) -> bool:
    """Whether an address is in one of some networks."""
    return address is not None and any(address.version == each.version and address in each for each in networks)


def address_of(text: str) -> Address | None:
    """The address of a client, as a socket or ``X-Forwarded-For`` has it; an IPv4 address in IPv6 (a socket for both) as IPv4.
    ``None``: it is none.
    """
    if len(text) > LONGEST:
        return None
    try:
        return plain(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return None


def client_of(x: Call, trusts: Callable[[str], bool]) -> Address | None:
    """The address of a call's client: the connection's, or behind a trusted proxy what that says. ``None``: nobody knows."""
    return client_behind(x, trusts) if trusts(x.client) else address_of(x.client)


def client_behind(x: Call, trusts: Callable[[str], bool]) -> Address | None:
    """The nearest address in ``X-Forwarded-For`` that isn't a trusted proxy's: what stands before it is hearsay."""
    way = b",".join(value for name, value in x.headers if name == b"x-forwarded-for").decode("latin-1")
    for node in reversed(way.split(",")):
        address = address_of(node.strip())
        if address is None or not trusts(str(address)):
            return address
    return None
