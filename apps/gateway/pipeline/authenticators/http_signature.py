"""Requests that are signed (RFC 9421) with a secret that an application shares with the platform: HMAC with SHA-256.

What must be signed: the method, the target (``@target-uri``, ``@request-target``, or ``@path`` with the ``@query`` that there is),
and with a body its ``Content-Digest`` (RFC 9530), against which the body is checked before any of it goes on. ``created`` bounds
how long a signature is good; a ``nonce`` makes it good for one call (of each worker, which remembers them by itself).
"""

import hashlib
import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass

from apps.gateway.call import content_digest
from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.call.structured_fields import InnerList, dictionary
from apps.gateway.pipeline.authenticators import Authenticator, Identified, Presented, Refused
from apps.gateway.pipeline.authenticators.sources import Sources
from apps.httpcache.fields import lines_of
from apps.httpcache.messages import Headers
from apps.wire.snapshot import API, Credential

SIGNATURE, INPUT = b"signature", b"signature-input"
DIGEST = content_digest.FIELD.decode()
ALGORITHM = "hmac-sha256"

WINDOW = 300
"""Seconds by which ``created`` may differ from now: on its way, or by clocks."""

LONGEST_NONCE = 128
"""Characters."""

KEY_ID = re.compile(rb"[A-Za-z0-9._~:/@-]{1,128}")
"""What a signing key's ID may be."""

_DEFAULT_PORTS = {"http": b":80", "https": b":443"}


@dataclass(slots=True, frozen=True)
class Signed(Presented):
    """``secret`` is the signature; with the text that was signed, by which key, from when until when it is good (Unix seconds), and
    what makes it good for this call alone.
    """

    base: bytes = b""
    key_id: bytes = b""
    begins: float = 0.0
    until: float = 0.0
    nonce: str = ""


class HTTPSignatures(Authenticator):
    """The record of a signing key is known by its ID, and has the secret."""

    word = "http_signature"
    label = "Signed requests"

    usual = frozenset({SIGNATURE, INPUT})
    secret_is_key = False

    def secret_in(self, value: bytes) -> bytes | None:
        return None

    def find_in(self, x: Call) -> Presented | None:
        if not any(name in self.usual for name, _ in x.headers):
            return None
        read = signature_in(x.headers)
        return (signed(x, *read) if read is not None else None) or Presented(None)

    def identify(self, x: Call, presented: Presented, sources: Sources) -> Identified | Refused:
        if not isinstance(presented, Signed):
            return _refused("signature_malformed", "The signature is malformed, or doesn't cover what it has to.")
        if not presented.begins <= x.at < presented.until:
            return _refused(
                "signature_not_now", f"The signature wasn't made within the last {WINDOW // 60} minutes, or is over."
            )
        # With a nonce each call is looked at.
        return Identified(presented.key_id, 0.0 if presented.nonce else presented.until, "signing_key")

    def is_whose(self, presented: Presented, credential: Credential) -> bool:
        if not isinstance(presented, Signed) or presented.secret is None or not credential.secret:
            return False
        made = hmac.digest(credential.secret.encode(), presented.base, hashlib.sha256)
        return hmac.compare_digest(made, presented.secret)

    def is_used(self, x: Call, presented: Presented, sources: Sources) -> bool:
        if not isinstance(presented, Signed) or not presented.nonce:
            return False
        nonce = hashlib.sha256(presented.key_id + b" " + presented.nonce.encode()).digest()
        return sources.used_nonces.is_used(nonce, x.call_id, presented.until, x.at)

    def challenge(self, api: API) -> bytes:
        return b'Signature realm="%b"' % api.slug.encode()

    def curl(self, key_header: str, application: str, secret: str) -> list[str]:
        lines = ["Signature-Input: sig=YOUR_COMPONENTS", "Signature: sig=:YOUR_SIGNATURE:"]
        return [word for line in lines for word in ("-H", line)]


def _refused(why: str, detail: str) -> Refused:
    return Refused(Problem.INVALID_CREDENTIAL, why, detail)


def signature_in(headers: Headers) -> tuple[bytes, InnerList] | None:
    """The one signature of a head, and what it covers; ``None`` where it can't be read, or there is more than one: nothing would
    say which of them counts.
    """
    signatures = dictionary(lines_of(headers, SIGNATURE))
    inputs = dictionary(lines_of(headers, INPUT))
    if not signatures or not inputs or len(inputs) != 1 or signatures.keys() != inputs.keys():
        return None
    (signature,), (said,) = signatures.values(), inputs.values()
    return (signature, said) if isinstance(signature, bytes) and isinstance(said, InnerList) else None


def signed(x: Call, signature: bytes, said: InnerList) -> Signed | None:
    """What a call with this signature presents; ``None`` where it lacks what has to be signed or said."""
    told = said.parameters
    created, expires, key_id, nonce = told.get("created"), told.get("expires"), told.get("keyid"), told.get("nonce", "")
    if type(created) is not int or type(key_id) is not str or type(nonce) is not str:
        return None
    algorithm = told.get("alg", ALGORITHM)
    if type(algorithm) is not str or algorithm != ALGORITHM:
        return None
    if not KEY_ID.fullmatch(key_id.encode()) or len(nonce) > LONGEST_NONCE:
        return None
    until = created + WINDOW
    if expires is not None:
        if type(expires) is not int:
            return None
        until = min(until, expires)
    base = signature_base(x, said) if covers_enough(x, said.items) else None
    digests = content_digest.digests_in(x.headers) if DIGEST in said.items else {}
    if base is None or (DIGEST in said.items and not digests):
        return None
    if x.body is None and not content_digest.is_body_of(digests, b""):
        return None
    times = created - WINDOW, until
    return Signed(signature, b"", digests, base, key_id.encode(), *times, nonce)


def covers_enough(x: Call, covered: Collection[str]) -> bool:
    """Whether a signature over these components is one of this call: its method, its target, the host where the API is found by
    that, and the digest of its body.
    """
    whole = "@target-uri" in covered or "@request-target" in covered
    parts = "@path" in covered and ("@query" in covered or b"?" not in x.target)
    placed = not x.api.hosts or not {"@target-uri", "@authority", "host"}.isdisjoint(covered)
    return "@method" in covered and (whole or parts) and placed and (x.body is None or DIGEST in covered)


def signature_base(x: Call, said: InnerList) -> bytes | None:
    """The text that is signed (RFC 9421 §2.5); ``None`` where a component is covered twice, isn't there, or isn't known here."""
    if len(set(said.items)) != len(said.items):
        return None
    path, _, query = x.target.partition(b"?")
    host = x.told_host.removesuffix(_DEFAULT_PORTS.get(x.scheme, b" "))
    derived = {
        "@method": x.method.encode(),
        "@target-uri": b"%b://%b%b" % (x.scheme.encode(), host, x.target),
        "@authority": host,
        "@scheme": x.scheme.encode(),
        "@request-target": x.target,
        "@path": path,
        "@query": b"?" + query,
    }
    of_fields: dict[str, list[bytes]] = {}
    for field, line in x.headers:
        of_fields.setdefault(field.decode("latin-1"), []).append(line.strip(b" \t"))
    lines = []
    for name in said.items:
        value = derived.get(name) if name.startswith("@") else b", ".join(of_fields.get(name, ()))
        if value is None or (not name.startswith("@") and name not in of_fields):
            return None
        lines.append(b'"%b": %b' % (name.encode(), value))
    lines.append(b'"@signature-params": ' + said.text.encode())
    return b"\n".join(lines)
