"""A token with all that is right and wrong with it, for people who want to know why it opens nothing. By the very checks that calls
go through; pure.
"""

from dataclasses import dataclass, field
from typing import Any

from apps.gateway.pipeline.authenticators.jwt.checks import CLAIM_CHECKS, CLIENT, client_of, signature_fault
from apps.gateway.pipeline.authenticators.jwt.key_sets import KeySet
from apps.gateway.pipeline.authenticators.jwt.parsing import parse
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.gateway.pipeline.authenticators.token_rules import scopes_of
from apps.wire.snapshot import Issuer


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what it is about (``form``, ``signature``, or the claim), what the token says there (``None``: nothing), and what
    is wrong with that.
    """

    about: str
    said: Any
    fault: TokenFault | None = None


@dataclass(frozen=True, slots=True)
class Examination:
    """``findings`` are in the order in which gateways check; their first fault is the one that they tell. ``client`` is the client
    ID that the token names, ``scopes`` what it may, by its own word.
    """

    findings: tuple[Finding, ...]
    client: str | None = None
    scopes: frozenset[str] = frozenset()
    header: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)

    @property
    def fault(self) -> TokenFault | None:
        """Why gateways refuse it; ``None``: they don't, as far as the issuer goes."""
        return next((each.fault for each in self.findings if each.fault is not None), None)


def examine(token: bytes, issuer: Issuer, keys: KeySet | None, now: float) -> Examination:
    """All checks of a token at ``now`` (Unix seconds), with the issuer's ``keys`` as they were fetched; ``None``: they weren't."""
    read = parse(token)
    if isinstance(read, TokenFault):
        return Examination((Finding("form", None, read),))
    fault = TokenFault.ISSUER_AWAY if keys is None else signature_fault(read, issuer, keys)
    findings = [
        Finding("form", read.header.get("typ")),
        Finding("signature", " ".join(filter(None, (read.algorithm, read.key_id))), fault),
    ]
    client = client_of(read.claims, issuer)
    for about, check in CLAIM_CHECKS:
        said = client if about == CLIENT else read.claims.get(about)
        findings.append(Finding(about, said, check(read.claims, issuer, now)))
    return Examination(tuple(findings), client, scopes_of(read.claims), read.header, read.claims)
