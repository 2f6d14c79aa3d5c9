"""Signed access tokens (JWT, RFC 9068) of issuers that the platform, or the API's tenant, trusts.

``parsing`` reads a token, ``key_sets`` the keys of an issuer, ``checks`` says what is wrong with a token and ``revocations`` by
what it may be revoked, all of them pure; ``issuer_keys`` fetches and keeps keys, ``verified_tokens`` remembers good tokens,
``dpop`` checks proofs, and ``examination`` says all that is right and wrong with a token. What an API wants of any token is in
``token_rules``, beside the other ways.
"""

from hashlib import sha256

from apps.gateway.call.call import Call
from apps.gateway.pipeline.authenticators import AUTHORIZATION, Identified, Presented, Refused
from apps.gateway.pipeline.authenticators.bearer import (
    BearerTokens,
    insufficient_scope,
    invalid_token,
    not_known_now,
    presented_in,
    token_in,
)
from apps.gateway.pipeline.authenticators.jwt.checks import claims_fault, client_of, proof_key, signature_fault
from apps.gateway.pipeline.authenticators.jwt.dpop import WINDOW, proof_fault
from apps.gateway.pipeline.authenticators.jwt.issuer_keys import IssuerKeys
from apps.gateway.pipeline.authenticators.jwt.key_sets import KeySet
from apps.gateway.pipeline.authenticators.jwt.parsing import ParsedToken, parse
from apps.gateway.pipeline.authenticators.jwt.revocations import hashes_of, issued_at
from apps.gateway.pipeline.authenticators.jwt.verified_tokens import VerifiedToken, VerifiedTokens
from apps.gateway.pipeline.authenticators.sources import Sources
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.gateway.pipeline.authenticators.token_rules import missing, plain_claims, scopes_of
from apps.gateway.pipeline.stages import Need
from apps.httpcache.messages import Headers
from apps.wire.revocations import caller_of
from apps.wire.snapshot import API, Issuer

DPOP = b"dpop"
"""The scheme, and the field with the proof."""


class SignedTokens(BearerTokens):
    """A token in ``Authorization``, under ``Bearer`` or, with a proof beside it, under ``DPoP``."""

    word = "jwt"
    label = "Token (JWT)"
    usual = frozenset({AUTHORIZATION, DPOP})

    def secret_in(self, value: bytes) -> bytes | None:
        return token_in(value) or token_in(value, DPOP)

    def find(self, api: API, headers: Headers) -> Presented | None:
        values = [value for name, value in headers if name == AUTHORIZATION]
        return (presented_in(values) or presented_in(values, DPOP)) if values else None

    def identify(self, x: Call, presented: Presented, sources: Sources) -> Identified | Need | Refused:
        """The client that the token names, once the token was found good, and enough for the call."""
        if presented.secret is None:
            return invalid_token(x.api, TokenFault.MALFORMED, passes=True)
        found = _verified(x, presented.secret, sources)
        if not isinstance(found, VerifiedToken):
            return found
        if any(sources.config.is_revoked(each, found.issued) for each in found.hashes):
            return invalid_token(x.api, TokenFault.REVOKED)
        if found.proof_key and (fault := _proof_fault(x, presented.secret, found, sources)):
            return invalid_token(x.api, fault, scheme="DPoP")
        lacks = missing(x.api, found.scopes, found.claims, x.method, x.path)
        if lacks is not None:
            return insufficient_scope(x.api, *lacks)
        keys_until = sources.of(IssuerKeys).hold_until(found.issuer)
        until = x.at if found.proof_key else min(found.expires, keys_until)  # a proof is for one call
        return Identified(found.client.encode(), until, "client_id", found.issuer.namespace, found.subject)


def issuer_of(api: API, iss: object, sources: Sources) -> Issuer | None:
    """The first of the API's issuers that calls itself so. A tenant's is good for the tenant's own APIs alone."""
    for slug in api.jwt.issuers:
        issuer = sources.config.issuer(slug)
        if issuer is not None and issuer.issuer == iss and issuer.tenant in ("", api.tenant):
            return issuer
    return None


def _verified(x: Call, token: bytes, sources: Sources) -> VerifiedToken | Need | Refused:
    """The token as it was found good, now or before."""
    api, known = x.api, sources.of(VerifiedTokens).get(token)
    parsed = parse(token) if known is None else None
    if isinstance(parsed, TokenFault):
        return invalid_token(api, parsed, passes=True)
    iss = known.issuer.issuer if known is not None else parsed.claims.get("iss") if parsed is not None else None
    issuer = issuer_of(api, iss, sources)
    if issuer is None:
        return invalid_token(api, TokenFault.UNKNOWN_ISSUER, passes=True)
    keys = sources.of(IssuerKeys).of(issuer)
    if isinstance(keys, Need):
        return keys
    if keys is None:
        return not_known_now(TokenFault.ISSUER_AWAY, sources.of(IssuerKeys).retry_after(issuer))
    if known is not None and known.issuer is issuer and known.keys is keys and x.at < known.expires:
        return known
    return _verify(x, token, parsed or parse(token), issuer, keys, sources)


def _verify(
    x: Call, token: bytes, parsed: ParsedToken | TokenFault, issuer: Issuer, keys: KeySet, sources: Sources
) -> VerifiedToken | Need | Refused:
    if isinstance(parsed, TokenFault):
        return invalid_token(x.api, parsed)
    fault = signature_fault(parsed, issuer, keys)
    if fault is TokenFault.UNKNOWN_KEY:
        certain = sources.of(IssuerKeys).anew(issuer)
        if isinstance(certain, Need):
            return certain
        if not certain:
            return not_known_now(TokenFault.ISSUER_AWAY, sources.of(IssuerKeys).retry_after(issuer))
    fault = fault or claims_fault(parsed.claims, issuer, x.at)
    if fault is not None:
        return invalid_token(x.api, fault)
    found = read_verified(token, parsed, issuer, keys, sources.pepper)
    sources.of(VerifiedTokens).put(token, found)
    return found


def read_verified(token: bytes, parsed: ParsedToken, issuer: Issuer, keys: KeySet, pepper: bytes) -> VerifiedToken:
    """What a token says in which no fault was found."""
    claims = parsed.claims
    return VerifiedToken(
        issuer=issuer,
        keys=keys,
        expires=float(claims["exp"]),
        client=client_of(claims, issuer) or "",
        subject=_caller(token, claims.get("sub"), issuer),
        scopes=scopes_of(claims),
        claims=plain_claims(claims),
        proof_key=proof_key(claims),
        hashes=hashes_of(claims, issuer.slug, pepper),
        issued=issued_at(claims),
    )


def _caller(token: bytes, subject: str | None, issuer: Issuer) -> str:
    """Who calls with a client's token. Where it doesn't say, whoever has this very token: the client's next one may be another
    user's.
    """
    if subject:
        return caller_of(issuer.slug, subject)
    return f"jwt:{issuer.slug} token {sha256(token).hexdigest()}"  # slugs have no colon: no subject is called so


def _proof_fault(x: Call, token: bytes, found: VerifiedToken, sources: Sources) -> TokenFault | None:
    """A token that is bound to a key comes with one proof of it, and never under ``Bearer`` (RFC 9449 §7.1)."""
    schemes = [value[:4].lower() for name, value in x.headers if name == AUTHORIZATION]
    proofs = [value for name, value in x.headers if name == DPOP]
    if schemes != [DPOP] or len(proofs) != 1:
        return TokenFault.NO_PROOF
    url = (x.scheme, x.told_host, x.path)
    proof = proof_fault(proofs[0].strip(), token, found.proof_key, x.method, url, x.at)
    if isinstance(proof, TokenFault):
        return proof
    used = sources.used_nonces.is_used(proof, x.call_id, x.at + 2 * WINDOW, x.at)
    return TokenFault.USED_PROOF if used else None
