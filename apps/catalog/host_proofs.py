"""Looks for what proves a host name: its TXT record, then its file. Calls out, so never within a transaction.

Both have few seconds and few kilobytes, whatever answers; the file comes from an address that the tenant's guard allows.
"""

from typing import NamedTuple

import dns.exception
import dns.resolver
import httpx
from django.conf import settings

from apimgr.environment import name_server
from apps.catalog.choices import HostMethod
from apps.catalog.hosts import record_name
from apps.egress.outbound import fetch_text
from apps.egress.rules import Guard
from apps.wire.snapshot import PROOF_PATH

SECONDS = 5.0
"""That each of the two may take; the file twice, by https and by http."""

MOST_RECORDS = 50
PLACES = ("https://{}", "http://{}")


class ProofResult(NamedTuple):
    """By which way a name is proved (``None``: it isn't), and what was found, in a sentence or two."""

    method: HostMethod | None
    sentence: str


def find_proof(host: str, proof: str, guard: Guard, *, by_file: bool = True) -> ProofResult:
    """Look for ``proof`` of ``host``; without ``by_file`` in DNS alone. Never raises for what others answer."""
    said = []
    for method, way in (
        (HostMethod.DNS, lambda: _in_dns(host, proof)),
        (HostMethod.FILE, lambda: _on_host(host, proof, guard) if by_file else "Only the record counts for this name."),
    ):
        refusal = way()
        if refusal is None:
            return ProofResult(method, "")
        said.append(refusal)
    return ProofResult(None, " ".join(said)[:300])


def _in_dns(host: str, proof: str) -> str | None:
    name = record_name(host)
    try:
        answer = _resolver().resolve(f"{name}.", "TXT", lifetime=SECONDS, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return f"There is no TXT record at {name}."
    except dns.exception.Timeout:
        return f"The name servers of {name} didn't answer in time."
    except (dns.exception.DNSException, OSError, ValueError):
        return f"The TXT record at {name} could not be looked up."
    values = [b"".join(record.strings).decode("latin-1").strip() for record in list(answer)[:MOST_RECORDS]]
    return None if proof in values else f"The TXT record at {name} has another value."


def _resolver() -> dns.resolver.Resolver:
    """A resolver without a cache: who just made the record wants it seen."""
    if not settings.DNS_SERVERS:
        return dns.resolver.Resolver()
    resolver = dns.resolver.Resolver(configure=False)
    servers = [name_server(text) for text in settings.DNS_SERVERS]
    resolver.nameservers = [address for address, _ in servers]
    resolver.nameserver_ports = dict(servers)
    return resolver


def _on_host(host: str, proof: str, guard: Guard) -> str | None:
    refusal = ""
    for place in PLACES:
        url = httpx.URL(place.format(host) + PROOF_PATH)
        try:
            status, body = fetch_text(guard, url, seconds=SECONDS)
        except (OSError, ValueError):
            refusal = refusal or f"The file at {PROOF_PATH} could not be read."
            continue
        if status == 200 and proof in (line.strip() for line in body.decode("latin-1").splitlines()):
            return None
        refusal = (
            f"The file at {PROOF_PATH} lacks the line."
            if status == 200
            else f"The file at {PROOF_PATH} answers {status}."
        )
    return refusal
