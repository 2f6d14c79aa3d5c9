"""The way of callers with opaque tokens: by what the API's server says of a token, and by the API's rules for tokens."""

from functools import partial
from hashlib import sha256
from time import monotonic
from typing import Any

from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.pipeline.authenticators import Identified, Presented, Refused
from apps.gateway.pipeline.authenticators.bearer import (
    LARGEST,
    BearerTokens,
    insufficient_scope,
    invalid_token,
    not_known_now,
)
from apps.gateway.pipeline.authenticators.introspection.asking import Introspector
from apps.gateway.pipeline.authenticators.introspection.responses import TokenInfo
from apps.gateway.pipeline.authenticators.sources import Sources
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.gateway.pipeline.authenticators.token_rules import missing, plain_claims, scopes_of
from apps.gateway.pipeline.stages import Need
from apps.wire.snapshot import API, Introspection

LONGEST_CLIENT = 255
"""Characters of a client ID that an application can have."""


class OpaqueTokens(BearerTokens):
    """Every bearer's token that no way before this one knows, whatever its form: what it is worth is for its server to say."""

    word = "introspection"
    label = "Opaque token"

    def identify(self, x: Call, presented: Presented, sources: Sources) -> Identified | Need | Refused:
        """By what the server says now, or said lately. ``NOT_READY`` where it says nothing, ``RATE_LIMITED`` where too many
        tokens that are worth nothing came from the client's address.
        """
        api, token = x.api, presented.secret
        if token is None:
            return invalid_token(api, TokenFault.MALFORMED)
        if len(token) > LARGEST:
            return invalid_token(api, TokenFault.TOO_LARGE)
        server, introspector = server_of(api, sources.config), sources.introspector
        if server is None:
            return not_known_now(TokenFault.SERVER_UNKNOWN)
        if introspector is None:
            return not_known_now(TokenFault.NOT_ASKED)
        found: TokenInfo | TokenFault | None = x.token_info or introspector.known(server, token, x.at)
        if found is None:
            client = introspector.client_of(x)
            seconds = introspector.failed_tokens.wait(server.slug, client, monotonic())
            if seconds:
                fault = TokenFault.TOO_MANY_FAILED
                return Refused(Problem.RATE_LIMITED, fault.code, fault.sentence, retry_after=seconds)
            return Need(partial(_ask, x, introspector, server, token, client))
        if isinstance(found, TokenFault):
            return not_known_now(found)
        if found.fault is not None:
            return invalid_token(api, found.fault)
        claims = found.claims
        lacking = missing(api, scopes_of(claims), plain_claims(claims), x.method, x.path)
        return insufficient_scope(api, *lacking) if lacking else _identified(server, token, claims, found.until)


async def _ask(x: Call, introspector: Introspector, server: Introspection, token: bytes, client: str) -> None:
    x.token_info = await introspector.ask(server, token, client)


def server_of(api: API, config: WorkerConfig) -> Introspection | None:
    """The server that says what tokens are worth at an API: the platform's, or one of the API's own tenant."""
    server = config.introspection(api.introspection)
    return server if server is not None and server.tenant in ("", api.tenant) else None


def _identified(server: Introspection, token: bytes, claims: dict[str, Any], until: float) -> Identified | Refused:
    client = claims.get(server.client_claim)
    if not isinstance(client, str) or not client:
        fault = TokenFault.NO_CLIENT
    elif len(client) > LONGEST_CLIENT:
        fault = TokenFault.UNKNOWN_CLIENT
    else:
        caller = f"introspection:{server.slug} {_caller(token, claims)}"
        return Identified(client.encode(), until, "client_id", server.namespace, caller)
    return Refused(Problem.NOT_SUBSCRIBED, fault.code, fault.sentence)


def _caller(token: bytes, claims: dict[str, Any]) -> str:
    """Who calls with a client's token. Where the server doesn't say, whoever has this very token: it may be another user's than
    the client's next one.
    """
    for name in ("sub", "username"):
        said = claims.get(name)
        if isinstance(said, str | int) and said != "":
            return f"{name} {said}"
    return f"token {sha256(token).hexdigest()}"
