"""Signing requests as a client does it (RFC 9421, RFC 9530), with nothing of the gateway's own code."""

import base64
import hashlib
import hmac
from time import time


def digest_field(body: bytes, algorithm: str = "sha-256") -> str:
    """The value of ``Content-Digest``."""
    made = hashlib.new(algorithm.replace("-", ""), body).digest()
    return f"{algorithm}=:{base64.b64encode(made).decode()}:"


def signed_lines(
    secret: str,
    components: dict[str, str],
    *,
    key_id: str = "sk-bot",
    created: float | None = None,
    label: str = "sig1",
    more: str = "",
) -> list[str]:
    """``Signature-Input`` and ``Signature`` over components with their values; ``more`` are further parameters."""
    covered = " ".join(f'"{name}"' for name in components)
    parameters = f'({covered});created={int(time() if created is None else created)};keyid="{key_id}"{more}'
    base = "\n".join(
        [*(f'"{name}": {value}' for name, value in components.items()), f'"@signature-params": {parameters}']
    )
    made = base64.b64encode(hmac.digest(secret.encode(), base.encode("latin-1"), "sha256")).decode()
    return [f"Signature-Input: {label}={parameters}", f"Signature: {label}=:{made}:"]
