"""A key in a field of its own, or where else the API says that it may stand."""

from apps.gateway.call.call import Call
from apps.gateway.call.named_values import crumbs, parameters
from apps.gateway.pipeline.authenticators import AUTHORIZATION, Authenticator, Presented
from apps.gateway.pipeline.authenticators.basic import user_and_password
from apps.wire.snapshot import API

KEY_FIELD = b"x-api-key"
"""Where keys travel unless an API says otherwise."""


class APIKeys(Authenticator):
    """The whole value is the secret: of the API's field for keys; where there is none, of its query parameter, of its cookie, or
    the user of ``Basic`` without a password, in this order and as far as the API names these.
    """

    word = "api_key"
    label = "API key"

    usual = frozenset({KEY_FIELD})

    def fields(self, key_header: str, basic_user: bool) -> frozenset[bytes]:
        fields = frozenset({key_header.lower().encode()})
        return fields | {AUTHORIZATION} if basic_user else fields

    def find_in(self, x: Call) -> Presented | None:
        api, header = x.api, x.api.api_key_header.lower().encode()
        values = [value for name, value in x.headers if name == header]
        if not values and api.api_key_query:
            values = parameters(x.target.partition(b"?")[2], api.api_key_query.encode())
        if not values and api.api_key_cookie:
            values = crumbs(x.headers, api.api_key_cookie.encode())
        if not values and api.api_key_basic_user:
            pairs = [user_and_password(value) for name, value in x.headers if name == AUTHORIZATION]
            values = [user for user, password in filter(None, pairs) if not password]
        return self.read(values) if values else None

    def secret_in(self, value: bytes) -> bytes | None:
        return value

    def challenge(self, api: API) -> bytes:
        return b'ApiKey realm="%b", header="%b"' % (api.slug.encode(), api.api_key_header.encode())

    def example(self, key_header: str, application: str, secret: str) -> tuple[str, str]:
        return key_header, secret
