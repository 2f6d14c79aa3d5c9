"""Calls that a reader can copy."""

import shlex

from django.conf import settings

from apps.catalog.models import API
from apps.foundation.path_templates import filled
from apps.gateway.pipeline.authenticators.table import taken_by
from apps.wire.listen_paths import path_at

KEY = "YOUR_KEY"
APPLICATION = "YOUR_TENANT/YOUR_APPLICATION"


def gateway_address(api: API, path: str = "") -> str:
    """Where the gateway serves ``path`` of ``api``."""
    base = f"http://{api.hosts[0]}" if api.hosts else settings.GATEWAY_URL
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
) -> str:
    """A ``curl`` that calls ``path`` of ``api`` as ``tenant/application``, its parts quoted for a shell. Where ``path`` is of
    an operation, like ``/items/{id}``, what the reader has to put there is ``YOUR_ID``.
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
    return shlex.join([*words, gateway_address(api, path)])
