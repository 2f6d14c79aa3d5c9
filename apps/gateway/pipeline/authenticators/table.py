"""Every way in which callers say who they are, and what follows from those that an API takes."""

from collections.abc import Iterable
from functools import lru_cache

from apps.gateway.pipeline.authenticators import Authenticator
from apps.gateway.pipeline.authenticators.api_key import KEY_FIELD, APIKeys
from apps.gateway.pipeline.authenticators.basic import Basic
from apps.gateway.pipeline.authenticators.http_signature import HTTPSignatures
from apps.gateway.pipeline.authenticators.introspection.opaque_tokens import OpaqueTokens
from apps.gateway.pipeline.authenticators.jwt import SignedTokens
from apps.gateway.pipeline.authenticators.mtls import ClientCertificates
from apps.wire.snapshot import API

AUTHENTICATORS: tuple[Authenticator, ...] = (
    APIKeys(),
    SignedTokens(),
    OpaqueTokens(),
    Basic(),
    ClientCertificates(),
    HTTPSignatures(),
)
"""The one place where they are named."""

OPEN = "none"
"""In an API's ``authentication``: calls without a credential are allowed, beside other ways or alone."""

_BY_WORD = {each.word: each for each in AUTHENTICATORS}


def taken_by(authentication: tuple[str, ...]) -> tuple[Authenticator, ...]:
    """The ways among the words of an API, in their order."""
    return tuple([_BY_WORD[word] for word in authentication if word in _BY_WORD])


def way_of_keys(authentication: Iterable[str]) -> Authenticator | None:
    """The first way among the words of an API in which an API key can be given; ``None``: it takes none."""
    return next((way for way in taken_by(tuple(authentication)) if way.secret_is_key), None)


def key_parameter(api: API) -> bytes:
    """The query parameter in which the API takes keys; empty: none."""
    return api.api_key_query.encode() if APIKeys.word in api.authentication else b""


def key_cookie(api: API) -> bytes:
    """The cookie in which the API takes keys; empty: none."""
    return api.api_key_cookie.encode() if APIKeys.word in api.authentication else b""


Readers = dict[bytes, tuple[Authenticator, ...]]
"""By field, the ways in which it may hold a key."""


def secret_fields(api: API) -> tuple[frozenset[bytes], Readers]:
    """The fields in which secrets travel: those that never reach the API's upstreams, and those that do unless their value
    holds the secret of a credential here, as one of these ways reads it.

    Where an API takes a secret, nothing else can stand. Where an administrator has set ``forward_credential``, the usual field for
    keys goes on beside that, and tokens of others do. An open API takes none, and its upstream may have keys of its own.
    """
    return _secret_fields(api.authentication, api.api_key_header, api.api_key_basic_user, api.forward_credential)


@lru_cache(maxsize=256)
def _secret_fields(
    authentication: tuple[str, ...], key_header: str, basic_user: bool, forwards: bool
) -> tuple[frozenset[bytes], Readers]:
    withheld: frozenset[bytes] = frozenset()
    if taken := taken_by(authentication):
        of_ways = [each.fields(key_header, basic_user) for each in taken if each.secret_is_key or not forwards]
        withheld = withheld.union(*of_ways) | (set() if forwards else {KEY_FIELD})
    readers: Readers = {}
    for each in AUTHENTICATORS:
        if each.secret_is_key:
            for name in (each.fields(key_header, basic_user) | each.usual) - withheld:
                readers[name] = (*readers.get(name, ()), each)
    return withheld, readers
