"""A typed token, claim by claim: what gateways would say of it, whose it is, and which APIs would take it. It is not kept."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import time
from typing import Any

from django.conf import settings
from django.utils import timezone
from msgspec import structs

from apps.access.choices import CredentialKind
from apps.access.models import Application, Credential, Revocation
from apps.access.models import Issuer as IssuerRow
from apps.access.policies import can_edit_issuer
from apps.access.selectors import applications_visible_to, in_force
from apps.access.tokens_of_apis import apis_taking_tokens_of
from apps.catalog.choices import SERVED
from apps.catalog.models import API
from apps.catalog.policies import apis_visible_to
from apps.fleet.compile import compile_api, compile_issuer
from apps.fleet.issuer_keys import KeysAway, keys_of
from apps.gateway.pipeline.authenticators.jwt import SignedTokens
from apps.gateway.pipeline.authenticators.jwt.examination import Examination, Finding, examine
from apps.gateway.pipeline.authenticators.jwt.revocations import hashes_of, issued_at
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.gateway.pipeline.authenticators.token_rules import missing, plain_claims
from apps.tenants.actors import Actor
from apps.wire.api_keys import identifier_digest
from apps.wire.snapshot import Issuer


@dataclass(frozen=True)
class TokenAtAPI:
    """What an API would say of a call with the token. ``closed`` are its operations that need scopes which the token lacks."""

    api: API
    code: str = ""
    sentence: str = ""
    closed: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class TypedToken:
    """``away`` says to those who manage the issuer why its keys can't be had. ``application`` is ``None`` where no application has
    the client ID, or one that the reader may not see (``application_hidden``).
    """

    examination: Examination
    away: str = ""
    application: Application | None = None
    application_hidden: bool = False
    apis: tuple[TokenAtAPI, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether a gateway would find nothing wrong with it."""
        return self.examination.fault is None


def explain_token(actor: Actor, row: IssuerRow, token: str) -> TypedToken:
    """What a gateway would say of a token of this issuer. Fetches the issuer's keys, where they aren't written down.

    Whose client it is and where it would be taken is told of a good token alone: with any other, whoever types one would learn
    which client IDs there are.
    """
    found = _examined(actor, row, token.encode("utf-8", "replace"))
    if not found.is_good:
        return found
    said, issuer = found.examination, compile_issuer(row)
    application = _application(issuer, said.client or "")
    seen = application is not None and applications_visible_to(actor).filter(pk=application.pk).exists()
    return replace(
        found,
        application=application if seen else None,
        application_hidden=application is not None and not seen,
        apis=tuple(_at_apis(actor, row, application, said)),
    )


def _examined(actor: Actor, row: IssuerRow, token: bytes) -> TypedToken:
    issuer, now = compile_issuer(row), time()
    without_keys = examine(token, issuer, None, now)
    if len(without_keys.findings) == 1:  # it can't be read
        return TypedToken(without_keys)
    try:
        return TypedToken(_with_revocations(examine(token, issuer, keys_of(row), now), issuer))
    except KeysAway as away:
        return TypedToken(without_keys, str(away) if can_edit_issuer(actor, row) else "")


def _with_revocations(found: Examination, issuer: Issuer) -> Examination:
    """With what a gateway would find last of all: that the token, or its subject until then, is revoked."""
    if found.fault is not None:
        return found
    digests = [f"{each:016x}" for each in hashes_of(found.claims, issuer.slug, settings.KEY_PEPPER)]
    issued = issued_at(found.claims)
    for each in Revocation.objects.filter(digest__in=digests):
        if each.not_before is None or issued is None or issued <= int(each.not_before.timestamp()):
            about = "jti" if each.not_before is None else "sub"
            others = tuple(other for other in found.findings if other.about != about)
            return replace(found, findings=(*others, Finding(about, found.claims.get(about), TokenFault.REVOKED)))
    return found


def _application(issuer: Issuer, client: str) -> Application | None:
    """Whose client ID it is, as long as that is in force."""
    kind = CredentialKind.CLIENT_ID
    digest = identifier_digest(settings.KEY_PEPPER, kind.value, issuer.namespace, client.encode())
    held = Credential.objects.filter(in_force(timezone.now()), kind=kind, digest=digest)
    found = held.select_related("application__tenant").first()
    return found.application if found else None


def _at_apis(actor: Actor, row: IssuerRow, application: Application | None, said: Examination) -> Iterator[TokenAtAPI]:
    """Of the APIs that name the issuer those that the reader may see."""
    named = [api.pk for api in apis_taking_tokens_of(row)]
    apis = apis_visible_to(actor).filter(pk__in=named).select_related("tenant", "cache_policy")
    granted = _granted(application)
    for api in apis.prefetch_related("upstreams", "operations").order_by("name", "slug"):
        yield TokenAtAPI(api, *_verdict(api, application, granted, said), closed=_closed(api, said))


def _granted(application: Application | None) -> set[int]:
    if application is None:
        return set()
    return set(application.subscriptions.filter(in_force(timezone.now())).values_list("api", flat=True))


def _verdict(api: API, application: Application | None, granted: set[int], said: Examination) -> tuple[str, str]:
    """The first thing that would have a call refused, by code and sentence, as gateways ask: the token, then the subscription."""
    if api.state not in SERVED:
        return "not_served", "It isn't served at the moment."
    if SignedTokens.word not in api.authentication:
        return (
            "not_taken",
            "It takes no tokens at the moment: its settings name the issuer, and another way for callers.",
        )
    compiled = compile_api(api)
    whole = structs.replace(compiled, jwt=structs.replace(compiled.jwt, operations=()))
    path = api.listen_path.encode()
    if lacks := missing(whole, said.scopes, plain_claims(said.claims), "GET", path):
        fault, needed = lacks
        return (
            fault.code,
            f"{fault.sentence} It needs {' '.join(needed)}." if fault is TokenFault.MISSING_SCOPE else fault.sentence,
        )
    if application is None:
        return TokenFault.UNKNOWN_CLIENT.code, TokenFault.UNKNOWN_CLIENT.sentence
    if api.pk not in granted:
        return "not_subscribed", "The application has no access to this API."
    return "", ""


def _closed(api: API, said: Examination) -> tuple[dict[str, Any], ...]:
    """The operations whose scopes the token lacks."""
    return tuple(rule for rule in api.jwt["operations"] if not said.scopes.issuperset(rule["required_scopes"]))
