"""Calls that a reader can copy."""

import shlex

from django.conf import settings

from apps.catalog.models import API
from apps.foundation.path_templates import filled
from apps.gateway.pipeline.authenticators.table import taken_by
from apps.wire.host_names import is_wildcard
from apps.wire.listen_paths import path_at

KEY = "YOUR_KEY"
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


def curl_of(
    api: API,
    path: str = "",
    *,
    key: str = KEY,
    application: str = APPLICATION,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: str = "",
    host: str = "",
) -> str:
    """A ``curl`` that calls ``path`` of ``api`` as ``tenant/application``, its parts quoted for a shell. Where ``path`` is of
    an operation, like ``/items/{id}``, what the reader has to put there is ``YOUR_ID``; of a wildcard, ``YOUR_NAME``.
    """
    words = ["curl", "-i"]
    path = filled(path, {})
    if set("{}[]").intersection(path):
        words.append("--globoff")  # to curl they are several URLs
    if method == "HEAD":
        words.append("-I")
    elif method != "GET":
        words += ["-X", method]
    if taken := taken_by(tuple(api.authentication)):
        words += taken[0].curl(api.api_key_header, application, key)
    for name, value in (headers or {}).items():
        words += ["-H", f"{name}: {value}"]
    if body:
        words += ["--data-raw", body]
    return shlex.join([*words, gateway_address(api, path, host)])
