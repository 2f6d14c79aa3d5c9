"""What addresses are, in every spelling, and which no call may ever reach. Pure: no look-ups.

Link-local addresses and the metadata services of clouds are refused whatever an administrator allows. A name's text is checked
here, in every spelling that resolvers accept (``inet_aton`` takes ``0xA9FEA9FE``, ``2852039166``, ``0251.0376.43518``; IPv6 has
several ways to hold an IPv4 address); what it resolves to is checked when a connection is made. Which of the other addresses are
public (IANA's special-purpose registries, RFC 6890) decides ``is_public``; the rest needs a rule: ``rules``.
"""

import ipaddress
import re
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LINK_LOCAL_REFUSAL = "Link-local addresses hold the metadata services of clouds: upstreams can't be there."
METADATA_REFUSAL = "This address belongs to a cloud's metadata service: upstreams can't be there."

LINK_LOCAL = (ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10"))
METADATA = tuple(
    ipaddress.ip_network(text)
    for text in (
        "fd00:ec2::/32",  # Amazon: metadata, time, names and the like
        "fd20:ce::254",  # Google
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle
    )
)
METADATA_NAMES = frozenset(
    {
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "metadata.internal",
        "metadata.azure.com",
        "metadata.azure.internal",
        "metadata.tencentyun.com",
        "instance-data",
        "instance-data.ec2.internal",
    }
)

# Everything of IPv4 that isn't global unicast (IANA's special-purpose registry, RFC 6890), and of IPv6 all but 2000::/3 less these.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        "2001::/23",  # Teredo, benchmarks, ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
_HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")
_ATON_PART = re.compile(r"(?:0[xX][0-9A-Fa-f]*|[0-9]+)\Z")
_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*\Z")


def refusal_of_url(url: str) -> str | None:
    """Why ``url`` can't be an upstream, in a sentence for the one who typed it; ``None``: it can."""
    if not url.isascii() or any(character <= " " or character in '\\"<>^`{|}\x7f' for character in url):
        return "Write the URL in plain ASCII without spaces, quotes or backslashes."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "This is not a URL."
    if parts.scheme not in {"http", "https"}:
        return "An upstream's URL starts with http:// or https://."
    if not url.lower().startswith(f"{parts.scheme}://") or not parts.hostname:
        return "The URL names no host."
    if "@" in parts.netloc:
        return "Don't put credentials in the URL: set a request header instead."
    if port == 0 or parts.netloc.endswith(":"):
        return "The URL's port is missing or 0."
    if "?" in url or "#" in url:
        return "An upstream's URL has no query and no fragment: the call brings its own."
    if not _PATH.match(parts.path) or any(_dots(segment) for segment in parts.path.split("/")):
        return "The URL's path has dot segments or characters that belong percent-encoded."
    host = parts.hostname
    return refusal_of_host(f"[{host}]" if "[" in parts.netloc else host)


def refusal_of_host(host: str) -> str | None:
    """Why a host (name, IPv4 in any spelling, or IPv6 in brackets) can't be an upstream's; ``None``: it can."""
    if host.startswith("["):
        if "%" in host:
            return "An address with a zone is link-local: upstreams can't be there."
        try:
            return refusal_of_address(ipaddress.IPv6Address(host.strip("[]")))
        except ValueError:
            return "This is not an IPv6 address."
    name = host.lower().removesuffix(".")
    if (address := inet_aton(name)) is not None:
        return refusal_of_address(address)
    if len(name) > 253 or not all(_HOST_LABEL.match(label) for label in name.split(".")):
        return "This is not a host name."
    if _ATON_PART.match(name.rsplit(".", 1)[-1]):
        return "This is neither a host name nor an IPv4 address."
    if name in METADATA_NAMES:
        return "This name belongs to a cloud's metadata service: upstreams can't be there."
    return None


def refusal_of_address(address: Address) -> str | None:
    """Why no call may ever reach an address: link-local or a metadata service, also as IPv4 inside IPv6."""
    for candidate in (address, *embedded(address)):
        if any(candidate in network for network in LINK_LOCAL):
            return LINK_LOCAL_REFUSAL
        if any(candidate in network for network in METADATA):
            return METADATA_REFUSAL
    return None


def is_public(address: Address) -> bool:
    """Whether an address is global unicast. Forms of IPv6 that carry an IPv4 address to a translator or a tunnel are not, whatever
    they carry."""
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return not any(address in network for network in _NOT_PUBLIC)


def plain(address: Address) -> Address:
    """An IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) as the IPv4 address that a connection goes to; else as it is."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def literal(host: str) -> Address | None:
    """The address that ``host`` is in any spelling (IPv6 with or without brackets); ``None``: a name."""
    name = host.lower().removesuffix(".")
    if (address := inet_aton(name)) is not None:
        return address
    try:
        return plain(ipaddress.IPv6Address(name.removeprefix("[").removesuffix("]")))
    except ValueError:
        return None


def inet_aton(text: str) -> ipaddress.IPv4Address | None:
    """The IPv4 address that C's ``inet_aton`` reads: 1 to 4 parts, each decimal, 0octal or 0xhex; ``None``: not one."""
    parts = text.split(".")
    if len(parts) > 4 or not all(_ATON_PART.match(part) for part in parts):
        return None
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        return None
    *leading, last = numbers
    if any(number > 255 for number in leading) or last >= 256 ** (5 - len(parts)):
        return None
    value = last
    for position, number in enumerate(leading):
        value += number << (8 * (3 - position))
    return ipaddress.IPv4Address(value)


def _number(part: str) -> int:
    if part[:2] in {"0x", "0X"}:
        return int(part[2:] or "0", 16)
    return int(part, 8) if len(part) > 1 and part.startswith("0") else int(part)


def embedded(address: Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address may carry: mapped, compatible, 6to4 (RFC 3056), Teredo (RFC 4380), ISATAP (RFC 5214),
    NAT64 (RFC 6052) under its well-known prefix, and under the local one (RFC 8215) at every place where RFC 6052 §2.2 puts it.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return []
    bits = int(address)
    low = bits & 0xFFFFFFFF
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if bits >> 32 == 0 or address in _NAT64 or (bits >> 32) & 0xFDFFFFFF == 0x00005EFE:
        found.append(ipaddress.IPv4Address(low))
    if address in _LOCAL_NAT64:
        after_48 = (bits >> 64 & 0xFFFF) << 16 | (bits >> 40 & 0xFFFF)  # bits 64 to 71 stay empty
        after_56 = (bits >> 64 & 0xFF) << 24 | (bits >> 32 & 0xFFFFFF)
        after_64 = bits >> 24 & 0xFFFFFFFF
        found += [ipaddress.IPv4Address(number) for number in (after_48, after_56, after_64, low)]
    return [inner for inner in found if inner is not None]


def destinations(address: Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses at which a connection to an IPv6 address ends where the usual translators and tunnels are: NAT64's
    well-known prefix, 6to4, Teredo."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    if address in _NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    return [inner for inner in (address.sixtofour, *(address.teredo or ())) if inner is not None]


def _dots(segment: str) -> bool:
    return segment.lower().replace("%2e", ".") in {".", ".."}
