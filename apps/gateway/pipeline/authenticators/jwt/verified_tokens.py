"""Tokens that were found good, so that the next call with one doesn't verify it again."""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.gateway.pipeline.authenticators.jwt.key_sets import KeySet
from apps.gateway.pipeline.authenticators.sources import Sources
from apps.gateway.pipeline.authenticators.token_rules import Plain
from apps.httpcache.bounded_table import Recent
from apps.wire.snapshot import Issuer

BYTES = 12 * 2**20
"""For tokens that are remembered: some 3,000 of the usual ones."""


@dataclass(slots=True, frozen=True)
class VerifiedToken:
    """What a token says. That it is good depends on the ``issuer``'s configuration and on its ``keys``, on these very objects, and
    on the clock: it is one until ``expires`` (Unix seconds). What an API wants of it is asked at each call, and whether one of the
    ``hashes`` by which it is known is revoked for a token that was ``issued`` then.
    """

    issuer: Issuer
    keys: KeySet
    expires: float
    client: str
    subject: str
    scopes: frozenset[str]
    claims: Mapping[str, Plain | tuple[Plain, ...]]
    proof_key: str = ""
    hashes: tuple[int, ...] = ()
    issued: int | None = None

    @property
    def size(self) -> int:
        """The bytes that it needs in memory, about."""
        texts = sum(_size_of(name) + _size_of(value) for name, value in self.claims.items())
        return 2048 + 4 * (len(self.client) + len(self.subject)) + texts + sum(_size_of(each) for each in self.scopes)


def _size_of(value: Plain | tuple[Plain, ...]) -> int:
    if isinstance(value, str):
        return 100 + 4 * len(value)
    return 64 + sum(_size_of(each) for each in value) if isinstance(value, tuple) else 64


class VerifiedTokens:
    """A worker's, by the bytes of the token."""

    def __init__(self, sources: Sources) -> None:
        self._tokens: Recent[bytes, VerifiedToken] = Recent(BYTES, lambda token, found: len(token) + found.size)

    def get(self, token: bytes) -> VerifiedToken | None:
        """What was found of it at some time: whoever asks checks what that depends on."""
        return self._tokens.get(token)

    def put(self, token: bytes, found: VerifiedToken) -> None:
        """Remember it."""
        self._tokens.put(token, found)

    def __len__(self) -> int:
        return len(self._tokens)
