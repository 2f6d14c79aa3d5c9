"""The keys of an issuer as the control plane sees them: written down, or fetched now. Gateways fetch by themselves."""

import httpx

from apps.access.models import Issuer as IssuerRow
from apps.egress.outbound import OutboundRefused, client
from apps.fleet.compile import compile_issuer
from apps.gateway.pipeline.authenticators.jwt.issuer_keys import keys_url_in, metadata_urls
from apps.gateway.pipeline.authenticators.jwt.key_sets import KeySet, key_of_secret, read_key_set
from apps.tenants.egress import guard_of
from apps.wire.snapshot import Issuer

LARGEST = 2**20
"""Bytes of a document that is fetched."""

HEADERS = {"accept": "application/json", "accept-encoding": "identity"}


class KeysAway(Exception):
    """The keys can't be had now; the message is a sentence for who looks after the issuer."""


def keys_of(row: IssuerRow) -> KeySet:
    """The keys that signatures of the issuer are checked with. Fetches them where they aren't written down, as calls of the
    issuer's tenant. Raises ``KeysAway``.
    """
    issuer = compile_issuer(row)
    try:
        if issuer.secret:
            return key_of_secret(issuer.secret.encode())
        return read_key_set(issuer.jwks.encode() if issuer.jwks else _fetched(row, issuer))
    except OutboundRefused as refused:
        raise KeysAway(str(refused)) from None
    except (httpx.HTTPError, httpx.InvalidURL) as failed:
        raise KeysAway(f"There was no answer: {str(failed) or type(failed).__name__}") from None
    except ValueError as wrong:
        raise KeysAway(str(wrong)) from None


def _fetched(row: IssuerRow, issuer: Issuer) -> bytes:
    """A JWK set from where the issuer has it."""
    with client(guard_of(row.tenant)) as http:
        return _found(http, issuer.jwks_url or _discovered(http, issuer))


def _discovered(http: httpx.Client, issuer: Issuer) -> str:
    """Where the issuer's metadata says that its keys are: the first of its well-known addresses that answers with 200 counts."""
    first, second = metadata_urls(issuer.issuer)
    try:
        metadata = _found(http, first)
    except NotFound:
        metadata = _found(http, second)
    return keys_url_in(metadata, issuer.issuer)


class NotFound(ValueError):
    """It answered with another status than 200."""


def _found(http: httpx.Client, url: str) -> bytes:
    with http.stream("GET", url, headers=HEADERS) as response:
        if response.status_code != 200:
            raise NotFound(f"The server answered with {response.status_code}.")
        body = b""
        for part in response.iter_raw(16 * 1024):
            body += part
            if len(body) > LARGEST:
                raise ValueError(f"The server answered with more than {LARGEST // 2**20} MiB.")
    return body
