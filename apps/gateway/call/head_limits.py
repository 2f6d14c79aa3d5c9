"""The servers' limits: what a request's head must look like before anything else reads it. Pure.

Servers accept much more (heads of megabytes, two ``Host`` fields, ``Transfer-Encoding: gzip, chunked``), and whatever
two parties on the way read differently becomes a way to smuggle a request (RFC 9112 §11.2). So everything ambiguous is
refused here.
"""

import re

from apps.gateway.call.problems import Problem

HEAD_BYTES = 32 * 1024
"""Bytes of a whole head; nginx allows 4 × 8 KiB."""

TARGET_BYTES = 8 * 1024
"""Bytes of a request target; RFC 9112 §3 wants at least 8000 octets."""

FIELDS = 128
"""Fields of a head; Apache allows 100."""

# Servers of HTTP/2 don't all look at it, and it begins the request line that the upstream gets. Call records keep 32 characters.
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}")
_TARGET_REFUSED = re.compile(rb'[^\x21-\x7e]|["<>\\#]')
_VALUE_REFUSED = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
LENGTH = re.compile(rb"[0-9]{1,18}")


def field(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A field line as it counts: the name in lower case, the value without the blanks around it, which are no part of it (RFC
    9110 §5.5). ``Transfer-Encoding`` stays as it came: where a server reads its blanks in another way, it is to be refused.
    """
    name = name.lower()
    return name, value if name == b"transfer-encoding" else value.strip(b" \t")


def refusal(
    method: str, target: bytes, version: str, headers: tuple[tuple[bytes, bytes], ...]
) -> tuple[Problem, str] | None:
    """Why a head is refused: the problem and a sentence, or ``None`` for a good one.

    ``target`` is as on the wire; ``version`` is ``1.0``, ``1.1`` or ``2``; ``headers`` have lower-case names.
    """
    if not _METHOD.fullmatch(method):
        return Problem.INVALID_REQUEST, "The method is none."
    if len(target) > TARGET_BYTES:
        return Problem.TARGET_TOO_LONG, f"The request target has more than {TARGET_BYTES} bytes."
    if target[:1] != b"/":
        return Problem.INVALID_REQUEST, "The request target must be a path."
    if _TARGET_REFUSED.search(target):
        return Problem.INVALID_REQUEST, "The request target has a character that must be percent-encoded."
    if version not in ("1.1", "1.0", "2", "2.0"):
        return Problem.INVALID_REQUEST, "This version of HTTP is not spoken here."
    if len(headers) > FIELDS:
        return Problem.HEADER_TOO_LARGE, f"The head has more than {FIELDS} fields."
    size = len(target)
    hosts = lengths = 0
    encoding: bytes | None = None
    for name, value in headers:
        size += len(name) + len(value) + 4
        if name == b"host":
            hosts += 1
            if not HOST.fullmatch(value):
                return Problem.INVALID_REQUEST, "The Host field is not a host."
        elif name == b"content-length":
            lengths += 1
            if not LENGTH.fullmatch(value):
                return Problem.INVALID_REQUEST, "The Content-Length field is not a number."
        elif name == b"transfer-encoding":
            if encoding is not None or value.lower() != b"chunked" or version != "1.1":
                return Problem.INVALID_REQUEST, "Transfer-Encoding must be chunked and nothing else."
            encoding = value
        elif not _NAME.fullmatch(name):
            return Problem.INVALID_REQUEST, "A field name has a character that is not allowed."
        if _VALUE_REFUSED.search(value):
            return Problem.INVALID_REQUEST, "A field value has a control character."
    if size > HEAD_BYTES:
        return Problem.HEADER_TOO_LARGE, f"The head has more than {HEAD_BYTES} bytes."
    if hosts != 1 and not (hosts == 0 and version == "1.0"):
        return Problem.INVALID_REQUEST, "There must be exactly one Host field."
    if lengths > 1 or (lengths and encoding is not None):
        return Problem.INVALID_REQUEST, "The length of the body is ambiguous."
    return None
