"""A server that says what tokens are worth (RFC 7662), on a real socket, and what a gateway needs to ask it."""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import flask
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from django.conf import settings

from apps.wire import api_keys
from apps.wire.snapshot import API, Credential, Grant, Introspection
from tests.gateway.house import Origin, api, credential, ok, read_body
from tests.support.upstreams import served

PATH = "/introspect"
INACTIVE = {"active": False}


@dataclass
class Question:
    """One that came: its form, and its fields by lower-case name."""

    form: dict[str, str]
    fields: dict[str, str]


@dataclass
class IntrospectionServer:
    """Knows ``tokens`` by what it says of each. ``response`` stands in place of all it would say; ``may_answer`` holds it back."""

    origin: Origin
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    response: bytes | None = None
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()
        self.origin.paths[PATH] = self._answer

    @property
    def url(self) -> str:
        return self.origin.url + PATH

    def knows(self, token: str, **claims: Any) -> str:
        """Have it say that a token is active, by default one of the client ``bot-client``; the token."""
        self.tokens[token] = {"active": True, "client_id": "bot-client", **claims}
        return token

    async def _answer(
        self, origin: Origin, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        form = parse_qs((await read_body(head, reader)).decode(), strict_parsing=True)
        lines = head.decode().split("\r\n")[1:-2]
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        question = Question({name: value for name, (value,) in form.items()}, fields)
        self.questions.append(question)
        await self.may_answer.wait()
        writer.write(
            self.response if self.response is not None else said(self.tokens.get(question.form["token"], INACTIVE))
        )
        await writer.drain()


def said(claims: Any, content_type: str = "application/json", status: str = "200 OK") -> bytes:
    """A response in JSON."""
    return ok(json.dumps(claims).encode(), f"content-type: {content_type}", status=status)


def server_part(url: str, **changes: Any) -> Introspection:
    """A server as gateways know it; the platform's, which keeps what it hears for a minute."""
    fields: dict[str, Any] = {
        "slug": "legacy",
        "tenant": "",
        "url": url,
        "client_id": "gateway",
        "client_authentication": "basic",
        "secret": "the secret of the gateway",
        "client_claim": "client_id",
        "cache": 60.0,
        "negative_cache": 60.0,
    }
    fields.update(changes)
    return Introspection(**fields)


def client(client_id: str = "bot-client", namespace: str = "", **changes: Any) -> Credential:
    """An application that is known by a client ID, and may call ``products``."""
    digest = api_keys.identifier_digest(settings.KEY_PEPPER, "client_id", namespace, client_id.encode())
    grants = {"products": Grant(1, "unlimited", "active")}
    return credential("", changes.pop("grants", grants), digest=digest, kind="client_id", **changes)


def opaque(upstream: str, **changes: Any) -> API:
    """The API ``products``, which takes opaque tokens."""
    fields = {"revision": 2, "authentication": ("introspection",), "introspection": "legacy", "upstreams": upstream}
    return api("products", **{**fields, **changes})


class _Token:
    """What authlib asks of a token."""

    def __init__(self, client_id: str, lifetime: float) -> None:
        self.client_id, self.expires_at, self.revoked = client_id, time.time() + lifetime, False

    def is_expired(self) -> bool:
        return self.expires_at <= time.time()

    def is_revoked(self) -> bool:
        return self.revoked


class _Gateway:
    """What authlib asks of a client that introspects."""

    def __init__(self, client_id: str, secret: str) -> None:
        self.client_id, self._secret = client_id, secret

    def check_client_secret(self, secret: str) -> bool:
        return secret == self._secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return True


@contextlib.contextmanager
def authlib_server(method: str, secret: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """An authorization server that we did not write: its introspection endpoint, where ``gateway`` authenticates by this method,
    and its tokens.
    """
    tokens: dict[str, Any] = {"annas": _Token("bot-client", 600), "old": _Token("bot-client", -1)}

    class Endpoint(IntrospectionEndpoint):
        CLIENT_AUTH_METHODS = [method]

        def query_token(self, token_string: str, token_type_hint: str | None) -> Any:
            return tokens.get(token_string) if token_type_hint in (None, "access_token") else None

        def check_permission(self, token: Any, client: Any, request: Any) -> bool:
            return bool(client.client_id == "gateway")

        def introspect_token(self, token: Any) -> dict[str, Any]:
            said = {"active": True, "client_id": token.client_id, "token_type": "Bearer", "sub": "anna"}
            return {**said, "scope": "read", "iss": "https://id.acme.test/", "exp": int(token.expires_at)}

    app = flask.Flask(__name__)
    clients = {"gateway": _Gateway("gateway", secret)}
    server = AuthorizationServer(app, query_client=clients.get, save_token=lambda token, request: None)
    server.register_endpoint(Endpoint)
    app.add_url_rule(PATH, view_func=lambda: server.create_endpoint_response("introspection"), methods=["POST"])
    with served(app) as url:
        yield url + PATH, tokens
