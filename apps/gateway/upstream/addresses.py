"""Which network addresses an upstream may have. Pure.

The catalogue refuses what can be seen in a URL. A name may resolve to anything, and to something else tomorrow, so
that the address itself is checked each time a connection is made.
"""

import ipaddress

from apps.catalog.addresses import refusal_of_address


def may_connect(address: str) -> bool:
    """Whether the resolved IP ``address`` may be an upstream's. What is no address may not, nor one with a zone:
    those are link-local.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (ip.is_multicast or ip.is_unspecified or refusal_of_address(ip))
