"""Calls that a reader can copy."""

import shlex

from django.conf import settings

from apps.catalog.models import API
from apps.gateway.pipeline.authenticators.table import taken_by

KEY = "YOUR_KEY"
APPLICATION = "YOUR_TENANT/YOUR_APPLICATION"


def gateway_address(api: API, path: str = "") -> str:
    """Where the gateway serves ``path`` of ``api``."""
    base = f"http://{api.hosts[0]}" if api.hosts else settings.GATEWAY_URL
    return f"{base}{api.listen_path}{path.lstrip('/')}"


def key_field(api: API, application: str, key: str) -> tuple[str, str] | None:
    """The header with which an application (``tenant/application``) calls ``api`` with a key; ``None`` where it takes none."""
    taken = taken_by(tuple(api.authentication))
    return taken[0].example(api.api_key_header, application, key) if taken else None


def curl_of(
    api: API, path: str = "", key: str = KEY, method: str = "GET", headers: dict[str, str] | None = None, body: str = ""
) -> str:
    """A ``curl`` that calls ``path`` of ``api``, its parts quoted for a shell."""
    words = ["curl", "-i"]
    if method == "HEAD":
        words.append("-I")
    elif method != "GET":
        words += ["-X", method]
    if (field := key_field(api, APPLICATION, key)) is not None:
        words += ["-H", ": ".join(field)]
    for name, value in (headers or {}).items():
        words += ["-H", f"{name}: {value}"]
    if body:
        words += ["--data-raw", body]
    return shlex.join([*words, gateway_address(api, path)])
