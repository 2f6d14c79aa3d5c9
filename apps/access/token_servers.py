"""Where gateways fetch keys, and ask about tokens: the form of these addresses, and whether calls may lead there."""

from collections.abc import Iterable

from apps.catalog.egress import is_private, private_names
from apps.egress.addresses import refusal_of_url
from apps.egress.rules import place_of
from apps.tenants.actors import Actor
from apps.tenants.egress import guard_of
from apps.tenants.models import Tenant
from apps.tenants.policies import is_administrator

LONGEST = 2048
"""Characters of an address."""


def refusal_of_address(url: str, tenant: Tenant | None, *, with_query: bool = True) -> str | None:
    """Why ``url`` can't be a server's, in a sentence for its author; ``None``: it can. One query where it is ``http``."""
    if len(url) > LONGEST:
        return f"At most {LONGEST:,} characters."
    address, question, query = url.partition("?")
    if question and not with_query:
        return "This URL has no query."
    if not address.startswith(("https://", "http://")):
        return "This is a URL that starts with https://."
    if "#" in url:
        return "This URL has no fragment."
    if "@" in address:
        return "No credentials in the URL."
    # A query is judged by the characters that a path may have, and the question mark, which it may have too.
    if refused := refusal_of_url(address) or (question and refusal_of_url(f"https://query/{query.replace('?', '/')}")):
        return refused
    place = place_of(url)
    if address.startswith("http:") and place is not None and not is_private(place, guard_of(tenant)):
        return "Write https://: over http, whoever is on the way could answer in its place."
    return None


def private_hosts(actor: Actor, tenant: Tenant | None, urls: Iterable[str]) -> frozenset[str]:
    """Which hosts of ``urls`` are private and another tenant's upstream too. Resolves names: not in a transaction."""
    return frozenset() if tenant is None or is_administrator(actor) else private_names(tenant, urls)
