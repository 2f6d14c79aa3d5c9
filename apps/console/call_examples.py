"""Calls that a reader can copy."""

import shlex
from typing import NamedTuple

from django.conf import settings

from apps.catalog.models import API
from apps.foundation.path_templates import filled
from apps.gateway.pipeline.authenticators import Authenticator
from apps.gateway.pipeline.authenticators.api_key import APIKeys
from apps.gateway.pipeline.authenticators.table import taken_by
from apps.wire.host_names import is_wildcard
from apps.wire.listen_paths import path_at

KEY = "YOUR_KEY"
BEARER = "YOUR_TOKEN"
TOKENS = ("jwt", "introspection")
"""Ways of saying who calls in which a token stands in place of a key."""
NAME = "YOUR_NAME"
APPLICATION = "YOUR_TENANT/YOUR_APPLICATION"


def example_host(api: API) -> str:
    """A host at which the gateway serves ``api``: the first that it names, or what the reader has to complete where it has
    wildcards alone; empty: any."""
    names = [host for host in api.hosts if not is_wildcard(host)]
    return names[0] if names else "".join(api.hosts[:1]).replace("*", NAME)


def gateway_address(api: API, path: str = "", host: str = "") -> str:
    """Where the gateway serves ``path`` of ``api``, at ``host`` or at one for an example."""
    host = host or example_host(api)
    base = f"http://{host}" if host else settings.GATEWAY_URL
    return f"{base}{path_at(api.listen_path, path)}"


class Example(NamedTuple):
    """A way for callers of an API to say who they are, and a call in that way. ``field`` is where keys go; empty for other ways."""

    label: str
    field: str
    curl: str


def examples_of(api: API, *, application: str = APPLICATION) -> list[Example]:
    """A call of ``api`` as ``application`` in each way that it takes, in their order; where it takes calls of everybody alone, one
    without a credential.
    """
    found = []
    for way in taken_by(tuple(api.authentication)):
        field = api.api_key_header if way.word == APIKeys.word else ""
        found.append(Example(way.label, field, curl_of(api, application=application, way=way)))
    return found or [Example("", "", curl_of(api))]


def curl_of(
    api: API,
    path: str = "",
    *,
    key: str = "",
    application: str = APPLICATION,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: str = "",
    host: str = "",
    way: Authenticator | None = None,
) -> str:
    """A ``curl`` that calls ``path`` of ``api`` as ``tenant/application`` in some ``way``, by default the first that the API takes,
    its parts quoted for a shell. Where ``path`` is of an operation, like ``/items/{id}``, what the reader has to put there is
    ``YOUR_ID``; of a wildcard, ``YOUR_NAME``.
    """
    words = ["curl", "-i"]
    path = filled(path, {})
    if set("{}[]").intersection(path):
        words.append("--globoff")  # to curl they are several URLs
    if method == "HEAD":
        words.append("-I")
    elif method != "GET":
        words += ["-X", method]
    if taken := (way,) if way else taken_by(tuple(api.authentication)):
        secret = key or (BEARER if taken[0].word in TOKENS else KEY)
        words += taken[0].curl(api.api_key_header, application, secret)
    for name, value in (headers or {}).items():
        words += ["-H", f"{name}: {value}"]
    if body:
        words += ["--data-raw", body]
    return shlex.join([*words, gateway_address(api, path, host)])
