"""Who may read what a gateway tells of itself: this machine, and the networks that ``METRICS_NETWORKS`` names.

A reverse proxy on this machine makes every stranger come from loopback. So a call with any field that only proxies set is
not this machine's own, and where it came from is believed only if a trusted proxy says so. A proxy on loopback that is
trusted takes loopback's own right away: unless the setting names it, silence about the client is no proof. And whatever
carries ``CDN-Loop`` was forwarded, perhaps by this very gateway for an API of somebody's: it is refused in any case.
"""

import ipaddress
from collections.abc import Callable, Iterable, Sequence

from apps.egress.addresses import Address, plain
from apps.gateway.call.call import Call
from apps.gateway.pipeline.stages.route import is_proxy_field
from apps.gateway.upstream.loop_detection import FIELD

LONGEST = 64
"""Characters of what can be an address."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class MetricsReaders:
    """``networks`` may read beside loopback; ``trusts`` says whether an address is a trusted proxy's."""

    def __init__(self, networks: Sequence[str], trusts: Callable[[str], bool]) -> None:
        self._networks = networks_of(networks)
        self._trusts = trusts

    def admit(self, x: Call) -> bool:
        """Whether this call's client may read."""
        names = {name for name, _ in x.headers}
        if FIELD in names:
            return False
        if any(is_proxy_field(name) for name in names) or b"via" in names:
            return self._trusts(x.client) and self._is_named(self._client_behind(x))
        address = address_of(x.client)
        if address is not None and address.is_loopback and not self._trusts(x.client):
            return True
        return self._is_named(address)

    def _client_behind(self, x: Call) -> Address | None:
        """The nearest address in ``X-Forwarded-For`` that isn't a trusted proxy's: what stands before it is hearsay."""
        way = b",".join(value for name, value in x.headers if name == b"x-forwarded-for").decode("latin-1")
        for node in reversed(way.split(",")):
            address = address_of(node.strip())
            if address is None or not self._trusts(str(address)):
                return address
        return None

    def _is_named(self, address: Address | None) -> bool:
        return is_within(address, self._networks)


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
