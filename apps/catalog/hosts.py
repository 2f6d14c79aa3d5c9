"""Host names of tenants: which can be proved, and by what. Pure but for the settings.

A name is proved by a DNS record or by a file, whose text is made of the tenant, the name and a secret of the installation: so it
can be shown before a claim is made, and what one tenant publishes proves nothing for another.
"""

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.crypto import salted_hmac

from apps.catalog.field_checks import normal_host
from apps.tenants.models import Tenant
from apps.wire.host_names import is_wildcard, wildcard_of
from apps.wire.snapshot import PROOF_PATH


def record_name(host: str) -> str:
    """The name of the TXT record that proves ``host``; of a wildcard: at the domain whose names it reaches."""
    return f"_apimgr.{host.removeprefix('*.')}"


def proof(tenant: Tenant, host: str) -> str:
    """What that record's value, or a line of the file, is."""
    digest = salted_hmac("apps.catalog.hosts", f"{tenant.pk}\0{host}", algorithm="sha256").hexdigest()
    return f"apimgr-host={digest[:40]}"


def instructions(tenant: Tenant, host: str) -> str:
    """What to publish to prove ``host``, in a sentence."""
    value = proof(tenant, host)
    record = f"a DNS record TXT {record_name(host)} with the value {value}"
    return record if is_wildcard(host) else f"{record}, or a file at {PROOF_PATH} on the host with this line"


def is_shared(host: str) -> bool:
    """Whether a name is the installation's own, or an address: it leads to the gateways whoever's API is called, so that nobody can
    prove it."""
    if is_address(host) or host == "localhost" or host.endswith(".localhost") or "." not in host:
        return True
    return host in _own_names() or own_name_below(host) is not None


def own_name_below(wildcard: str) -> str | None:
    """A name of the installation itself that ``wildcard`` reaches: everybody's APIs answer there. ``None``: there is none, or
    this is no wildcard."""
    if not is_wildcard(wildcard):
        return None
    return next((own for own in sorted(_own_names()) if wildcard in (wildcard_of(own), f"*{own}")), None)


def is_address(host: str) -> bool:
    """Whether this is an address rather than a name."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.rpartition(".")[2].isdigit()
    return True


def _own_names() -> set[str]:
    urls = (settings.GATEWAY_URL, settings.CONSOLE_URL)
    return {normal_host(each) for each in (*map(_host_of, urls), *settings.ALLOWED_HOSTS)}


def _host_of(url: str) -> str:
    return urlsplit(url).hostname or ""
