"""Bearer tokens (RFC 6750): where one stands in a head, and what is said to callers whose token opens nothing."""

import re
from collections.abc import Sequence

from apps.gateway.call.problems import Problem
from apps.gateway.pipeline.authenticators import AUTHORIZATION, Authenticator, Presented, Refused
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.httpcache.messages import Headers
from apps.wire.snapshot import API

LARGEST = 8192
"""Bytes that a token may have."""

_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
"""Of a token (``token68`` in RFC 9110 §11.2, ``b64token`` in RFC 6750 §2.1), behind which ``=`` may stand."""

_JWS = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*")
_SCOPE = re.compile(r"[!#-\[\]-~]+")


class BearerTokens(Authenticator):
    """A way whose secret is a token of somebody else, in ``Authorization: Bearer``."""

    usual = frozenset({AUTHORIZATION})
    secret_is_key = False

    def secret_in(self, value: bytes) -> bytes | None:
        return token_in(value)

    def find(self, api: API, headers: Headers) -> Presented | None:
        values = [value for name, value in headers if name == AUTHORIZATION]
        return presented_in(values) if values else None

    def challenge(self, api: API) -> bytes:
        return challenge(api.slug)

    def example(self, key_header: str, application: str, secret: str) -> tuple[str, str]:
        return "Authorization", f"Bearer {secret}"


def presented_in(values: list[bytes], scheme: bytes = b"bearer") -> Presented | None:
    """What the values of ``Authorization`` present under a scheme (in lower case); ``None``: they are all of other schemes. More
    than one value presents nothing that can be read.
    """
    for value in values:
        if value[: len(scheme)].lower() == scheme:
            return Presented(token_in(value, scheme) if len(values) == 1 else None)
    return None


def token_in(value: bytes, scheme: bytes = b"bearer") -> bytes | None:
    """The token in a value of ``Authorization``; ``None``: it is of another scheme, or malformed."""
    name, _, rest = value.partition(b" ")
    token = rest.strip(b" ")
    text = token.rstrip(b"=")
    return token if name.lower() == scheme and text and not text.translate(None, _CHARACTERS) else None


def has_form_of_jwt(token: bytes) -> bool:
    """Whether it may be a signed JWT in its compact form (RFC 7515 §7.1)."""
    return _JWS.fullmatch(token) is not None


def challenge(realm: str, scheme: str = "Bearer", **parameters: str) -> bytes:
    """A value of ``WWW-Authenticate`` (RFC 6750 §3). The parameters are sentences and words of ours, without quotes."""
    said = ", ".join(f'{name}="{value}"' for name, value in {"realm": realm, **parameters}.items())
    return f"{scheme} {said}".encode()


def invalid_token(api: API, fault: TokenFault, *, scheme: str = "Bearer", passes: bool = False) -> Refused:
    """The refusal of a token that is worth nothing here (401). ``passes``: another way may know it."""
    said = challenge(api.slug, scheme, error="invalid_token", error_description=fault.sentence)
    return Refused(Problem.INVALID_TOKEN, fault.code, fault.sentence, said, passes=passes)


def insufficient_scope(api: API, fault: TokenFault, scopes: Sequence[str] = (), scheme: str = "Bearer") -> Refused:
    """The refusal of a token that doesn't allow this call (403), with the scopes that would."""
    needed = " ".join(each for each in scopes if _SCOPE.fullmatch(each))
    parameters = {"scope": needed} if needed else {}
    said = challenge(api.slug, scheme, error="insufficient_scope", error_description=fault.sentence, **parameters)
    return Refused(Problem.INSUFFICIENT_SCOPE, fault.code, fault.sentence, said)


def not_known_now(fault: TokenFault, retry_after: int = 5) -> Refused:
    """The refusal of a token of which can't be known at the moment what it is worth (503), for ``retry_after`` seconds."""
    return Refused(Problem.NOT_READY, fault.code, fault.sentence, retry_after=retry_after)
