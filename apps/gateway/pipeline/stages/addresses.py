"""May this client use the credential."""

from collections.abc import Callable
from functools import lru_cache

from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import GatewayResponse, refuse
from apps.gateway.pipeline.client_address import Network, client_of, is_within, networks_of
from apps.gateway.pipeline.stages import DependsOn, Stage

REMEMBERED = 256
"""Lists of networks that a worker keeps as it compares them."""


class Addresses(Stage):
    """Checks from where a credential that is bound to networks is used. ``trusts`` says whether an address is a trusted proxy's."""

    name = "addresses"
    depends_on = DependsOn.ADDRESS

    def __init__(self, trusts: Callable[[str], bool]) -> None:
        self._trusts = trusts

    def __call__(self, x: Call) -> GatewayResponse | None:
        """Refuse with 403 a client that is in none of the credential's networks, or whose address nobody knows."""
        bound = x.credential.addresses if x.credential is not None else ()
        if not bound or is_within(client_of(x, self._trusts), _networks(bound)):
            return None
        return refuse(x, Problem.KEY_NOT_FOR_API, "This credential is good for clients at other addresses only.")

    def describe(self, x: Call) -> str:
        return "ok" if x.credential is not None and x.credential.addresses else ""


@lru_cache(maxsize=REMEMBERED)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(networks_of(texts))
