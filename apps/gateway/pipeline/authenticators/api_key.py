"""A key in a field of its own."""

from apps.gateway.pipeline.authenticators import Authenticator
from apps.wire.snapshot import API

KEY_FIELD = b"x-api-key"
"""Where keys travel unless an API says otherwise."""


class APIKeys(Authenticator):
    """The whole value of the API's field for keys is the secret."""

    word = "api_key"
    label = "API key"

    usual = frozenset({KEY_FIELD})

    def fields(self, key_header: str) -> frozenset[bytes]:
        return frozenset({key_header.lower().encode()})

    def secret_in(self, value: bytes) -> bytes | None:
        return value

    def challenge(self, api: API) -> bytes:
        return b'ApiKey realm="%b", header="%b"' % (api.slug.encode(), api.api_key_header.encode())

    def example(self, key_header: str, application: str, secret: str) -> tuple[str, str]:
        return key_header, secret
