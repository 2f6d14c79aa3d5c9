"""Every way in which callers say who they are, and what follows from those that an API takes."""

from functools import lru_cache

from apps.gateway.pipeline.authenticators import Authenticator
from apps.gateway.pipeline.authenticators.api_key import KEY_FIELD, APIKeys
from apps.wire.snapshot import API

AUTHENTICATORS: tuple[Authenticator, ...] = (APIKeys(),)
"""The one place where they are named."""

OPEN = "none"
"""In an API's ``authentication``: calls without a credential are allowed, beside other ways or alone."""

_BY_WORD = {each.word: each for each in AUTHENTICATORS}


def taken_by(authentication: tuple[str, ...]) -> tuple[Authenticator, ...]:
    """The ways among the words of an API, in their order."""
    return tuple([_BY_WORD[word] for word in authentication if word in _BY_WORD])


def secret_fields(api: API) -> tuple[frozenset[bytes], dict[bytes, Authenticator]]:
    """The fields in which secrets travel: those that never reach the API's upstreams, and those that do unless their value
    holds the secret of a credential here, as this way reads it.

    Where an API takes a secret, nothing else can stand. Where an administrator has set ``forward_credential``, the usual field for
    keys goes on beside that, and tokens of others do. An open API takes none, and its upstream may have keys of its own.
    """
    return _secret_fields(api.authentication, api.api_key_header, api.forward_credential)


@lru_cache(maxsize=256)
def _secret_fields(
    authentication: tuple[str, ...], key_header: str, forwards: bool
) -> tuple[frozenset[bytes], dict[bytes, Authenticator]]:
    withheld: frozenset[bytes] = frozenset()
    if taken := taken_by(authentication):
        withheld = withheld.union(*(each.fields(key_header) for each in taken if each.secret_is_key or not forwards))
        withheld |= set() if forwards else {KEY_FIELD}
    keys = [each for each in AUTHENTICATORS if each.secret_is_key]
    read_by = {name: each for each in keys for name in each.fields(key_header) | each.usual}
    return withheld, {name: each for name, each in read_by.items() if name not in withheld}
