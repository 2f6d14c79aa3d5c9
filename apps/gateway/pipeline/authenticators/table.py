"""Every way in which callers say who they are, and what follows from those that an API takes."""

from functools import lru_cache

from apps.gateway.pipeline.authenticators import Authenticator, Presented
from apps.gateway.pipeline.authenticators.api_key import KEY_FIELD, APIKeys
from apps.httpcache.messages import Headers
from apps.wire.snapshot import API

AUTHENTICATORS: tuple[Authenticator, ...] = (APIKeys(),)
"""The one place where they are named."""

OPEN = "none"
"""In an API's ``authentication``: calls without a credential are allowed, beside other ways or alone."""

_BY_WORD = {each.word: each for each in AUTHENTICATORS}


def taken_by(authentication: tuple[str, ...]) -> tuple[Authenticator, ...]:
    """The ways among the words of an API, in their order."""
    return tuple([_BY_WORD[word] for word in authentication if word in _BY_WORD])


def presented_to(api: API, headers: Headers) -> tuple[Authenticator, Presented] | None:
    """What the caller says of itself in the first way that the API takes and the head has; ``None``: nothing."""
    for each in taken_by(api.authentication):
        presented = each.find(api, headers)
        if presented is not None:
            return each, presented
    return None


def secret_fields(api: API) -> tuple[frozenset[bytes], dict[bytes, Authenticator]]:
    """The fields in which secrets travel: those that never reach the API's upstreams, and those that do unless their value
    holds the secret of a credential here, as this way reads it.

    Where an API takes a secret, nothing else can stand; the usual field for keys goes on beside it where an administrator has
    set ``forward_credential``. An open API takes none, and its upstream may have keys of its own.
    """
    return _secret_fields(api.authentication, api.api_key_header, api.forward_credential)


@lru_cache(maxsize=256)
def _secret_fields(
    authentication: tuple[str, ...], key_header: str, forwards: bool
) -> tuple[frozenset[bytes], dict[bytes, Authenticator]]:
    withheld: frozenset[bytes] = frozenset()
    if taken := taken_by(authentication):
        withheld = withheld.union(*(each.fields(key_header) for each in taken))
        withheld |= set() if forwards else {KEY_FIELD}
    read_by = {name: each for each in AUTHENTICATORS for name in each.fields(key_header) | each.usual}
    return withheld, {name: each for name, each in read_by.items() if name not in withheld}
