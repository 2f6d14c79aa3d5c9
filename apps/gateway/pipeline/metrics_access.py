"""Which clients may read a gateway's metrics and readiness: this machine, and the networks that ``METRICS_NETWORKS`` names.

A reverse proxy on this machine makes every client come from loopback. So a call with any field that only proxies set is
not this machine's own, and where it came from is believed only if a trusted proxy says so. A proxy on loopback that is
trusted takes loopback's own right away: unless the setting names it, silence about the client is no proof. And whatever
carries ``CDN-Loop`` was forwarded, perhaps by this very gateway for some tenant's API: it is refused in any case.
"""

from collections.abc import Callable, Sequence

from apps.egress.addresses import Address
from apps.gateway.call.call import Call
from apps.gateway.pipeline.client_address import address_of, client_behind, is_within, networks_of
from apps.gateway.pipeline.stages.route import is_proxy_field
from apps.gateway.upstream.loop_detection import FIELD


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
            return self._trusts(x.client) and self._is_named(client_behind(x, self._trusts))
        address = address_of(x.client)
        if address is not None and address.is_loopback and not self._trusts(x.client):
            return True
        return self._is_named(address)

    def _is_named(self, address: Address | None) -> bool:
        return is_within(address, self._networks)
