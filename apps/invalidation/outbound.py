"""Calls to addresses that administrators name: never to a cloud's metadata service, whatever a name resolves to.

A name is resolved once, every address is judged as an upstream's is, and the connection goes to an address that was
judged: a name that resolves to something else a moment later (DNS rebinding) changes nothing.
"""

import ipaddress
import socket

import httpx

from apps.catalog.addresses import refusal_of_address

TIMEOUT = 5.0
"""Seconds that a call may take to connect, and between two reads."""


class Refused(httpx.RequestError):
    """The address may not be called."""


class Judged(httpx.HTTPTransport):
    """Connects to the address that was judged, under the name that was asked for."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As usual, to the first of the name's addresses. Raises ``Refused``."""
        host = request.url.host
        address = _address(request, host)
        if address != host:
            # The Host field was set from the name when the request was made.
            request.extensions = {**request.extensions, "sni_hostname": host}
            request.url = request.url.copy_with(host=address)
        return super().handle_request(request)


def _address(request: httpx.Request, host: str) -> str:
    try:
        found = socket.getaddrinfo(host, request.url.port or 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(f"The name {host} can't be resolved.", request=request) from error
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    for address in addresses:
        if refusal := refusal_of_address(ipaddress.ip_address(address)):
            raise Refused(refusal, request=request)
    return addresses[0]


def client() -> httpx.Client:
    """A client for such calls: no redirects, no proxy of the environment."""
    return httpx.Client(transport=Judged(), timeout=TIMEOUT, follow_redirects=False, trust_env=False)
