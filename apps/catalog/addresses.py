"""Where an upstream may be: any http(s) address but link-local ones and the metadata services of clouds. Pure: no look-ups.

Loopback and private networks are allowed: that is where upstreams live. What a name resolves to is checked when the
gateway connects, with ``refusal_of_address``; here its text is, in every spelling that resolvers accept
(``inet_aton`` takes ``0xA9FEA9FE``, ``2852039166``, ``0251.0376.43518``; IPv6 has several ways to hold an IPv4 address).
"""

import ipaddress
import re
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LINK_LOCAL = (ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10"))
METADATA_ADDRESSES = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "fd00:ec2::254",  # Amazon
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

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
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
    """Why an address can't be an upstream's: link-local or a metadata service, also as IPv4 inside IPv6."""
    for candidate in (address, *_inside(address)):
        if any(candidate in network for network in LINK_LOCAL if network.version == candidate.version):
            return "Link-local addresses hold the metadata services of clouds: upstreams can't be there."
        if candidate in METADATA_ADDRESSES:
            return "This address belongs to a cloud's metadata service: upstreams can't be there."
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


def _inside(address: Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address carries: mapped, compatible, 6to4, NAT64, Teredo."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    found = [address.ipv4_mapped, address.sixtofour]
    if int(address) >> 32 == 0 or address in _NAT64:
        found.append(low)
    if address.teredo:
        found.extend(address.teredo)
    return [inner for inner in found if inner is not None]


def _dots(segment: str) -> bool:
    return segment.lower().replace("%2e", ".") in {".", ".."}
