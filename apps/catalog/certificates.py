"""The certificates that vouch for an upstream in place of those that the gateways' machines trust."""

import re
import ssl

LARGEST = 16 * 1024
"""Bytes of them: some ten certificates. Gateways hold them with each upstream."""

LARGEST_TOGETHER = 128 * 1024
"""Bytes of those of all of an API's upstreams."""

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----")


def read_certificates(text: str) -> str:
    """The certificates in ``text`` (PEM) without what stands around them; nothing in an empty text. Raises ``ValueError`` with a
    sentence.
    """
    if not text.strip():
        return ""
    if "PRIVATE KEY-----" in text:
        raise ValueError("This holds a private key: only certificates belong here. Replace that key, it was sent.")
    if len(text.encode()) > LARGEST:
        raise ValueError(f"At most {LARGEST // 1024} KiB: only the certificates of the authority, not a whole bundle.")
    blocks = _BLOCK.findall(text)
    if not blocks or len(blocks) != text.count("-----BEGIN "):
        raise ValueError("Certificates in PEM, each from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----.")
    kept = "".join("\n".join(line.strip() for line in block.split("\n")) + "\n" for block in blocks)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for number, block in enumerate(blocks, start=1):
        try:
            context.load_verify_locations(cadata=block)
        except (ssl.SSLError, ValueError):
            raise ValueError(f"Certificate {number} can't be read.") from None
    return kept
