"""A user's name and password (RFC 7617): who calls is an application, and its password any of its API keys."""

import base64
import binascii

from apps.gateway.pipeline.authenticators import AUTHORIZATION, Authenticator, Presented
from apps.wire.snapshot import API, Credential

SCHEME = b"basic "


class Basic(Authenticator):
    """The user is ``tenant/application``, in UTF-8. A key of another application is refused as an unknown one is."""

    word = "basic"
    label = "User and password"

    usual = frozenset({AUTHORIZATION})

    def secret_in(self, value: bytes) -> bytes | None:
        pair = user_and_password(value)
        return pair[1] or pair[0] if pair is not None else None

    def read(self, values: list[bytes]) -> Presented | None:
        if not any(is_basic(value) for value in values):
            return None
        pair = user_and_password(values[0]) if len(values) == 1 else None
        return Presented(None) if pair is None else Presented(pair[1], pair[0])

    def is_whose(self, presented: Presented, credential: Credential) -> bool:
        return presented.user == credential.application.encode()

    def challenge(self, api: API) -> bytes:
        return b'Basic realm="%b", charset="UTF-8"' % api.slug.encode()

    def example(self, key_header: str, application: str, secret: str) -> tuple[str, str]:
        return "Authorization", "Basic " + base64.b64encode(f"{application}:{secret}".encode()).decode()

    def curl(self, key_header: str, application: str, secret: str) -> list[str]:
        return ["-u", f"{application}:{secret}"]


def is_basic(value: bytes) -> bool:
    """Whether an ``Authorization`` field has this scheme, whatever follows."""
    return value[: len(SCHEME)].lower().replace(b"\t", b" ") == SCHEME or value.lower() == SCHEME.strip()


def user_and_password(value: bytes) -> tuple[bytes, bytes] | None:
    """What an ``Authorization`` field says; ``None`` where it has another scheme, is no Base64, or has no colon, which can't
    be part of the user's name (RFC 7617 §2).
    """
    if not is_basic(value):
        return None
    try:
        user, colon, password = binascii.a2b_base64(value[len(SCHEME) :].strip(), strict_mode=True).partition(b":")
    except binascii.Error:
        return None
    return (user, password) if colon else None
