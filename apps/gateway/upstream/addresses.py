"""Which network addresses an upstream may have. Pure.

Link-local addresses are where clouds serve a machine's own credentials; whoever registers an API must not be able to read them through
the gateway. The check is on the resolved address at connect time, so that a name which changes its mind doesn't get past it.
"""

import ipaddress

_REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "100.100.100.200/32",  # metadata service of a cloud that doesn't use a link-local address
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "fe80::/10",
        "fd00:ec2::254/128",  # the same over IPv6
        "ff00::/8",
    )
)
_WRAPPING = (ipaddress.ip_network("::ffff:0:0/96"), ipaddress.ip_network("64:ff9b::/96"))


def may_connect(address: str) -> bool:
    """Whether the resolved IP ``address`` (a zone after ``%`` is ignored) may be an upstream's. What is no address may not."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if ip.version == 6 and any(ip in network for network in _WRAPPING):
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return not any(ip.version == network.version and ip in network for network in _REFUSED)
