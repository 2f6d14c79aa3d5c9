"""The keys of issuers, as one worker holds them.

Theory of operation. An issuer's keys stand in its configuration, or are fetched when a token of it comes. Fetched ones are used for
their lifetime (``Cache-Control``, within bounds). In its last quarter they are fetched anew beside the calls, so that none waits;
if none came in that time, the next one waits. When the issuer is away, what was fetched last is used for an hour more, and it is
asked again every ten seconds. A token with an unknown key has them fetched anew, once for all who wait and at most every ten
seconds: so a key that an issuer begins to use is known with the first token, and tokens with invented key IDs cost it nothing.

========= ==================================================== ==========================
state     a token comes                                        the fetch it starts
========= ==================================================== ==========================
none      waits                                                → fresh, or away
fresh     is checked; in the last quarter, a fetch is started  → fresh, or away
stale     waits                                                → fresh, or away
away      is checked with the last keys; without any, 503      every 10 s: → fresh, or away
========= ==================================================== ==========================
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from time import monotonic, time
from urllib.parse import urlsplit

from apps.gateway.pipeline.authenticators.jwt.key_sets import KeySet, key_of_secret, read_key_set
from apps.gateway.pipeline.authenticators.jwt.parsing import read_object
from apps.gateway.pipeline.authenticators.sources import Sources
from apps.gateway.pipeline.stages import FOREVER, Need
from apps.gateway.upstream.exchange import Exchange, ExchangeFailed, ExchangeResponse
from apps.httpcache.directives import response_directives
from apps.wire.snapshot import Issuer

logger = logging.getLogger(__name__)

LIFETIME = 600.0
"""Seconds that keys are good for where the issuer doesn't say."""

SHORTEST, LONGEST = 60.0, 86400.0
"""Bounds of what it says, in seconds."""

KEPT = 3600.0
"""Seconds that keys are used beyond their lifetime, while the issuer is away."""

DEADLINE = 5.0
"""Seconds that a fetch may take, that of the issuer's metadata included: calls are waiting for it."""

PAUSE = 10.0
"""Seconds between two questions: to an issuer that is away, and for keys that aren't known."""


def _source_of(issuer: Issuer) -> tuple[str, str, str, str, bool, str]:
    """What an issuer's keys depend on, of its configuration."""
    return issuer.tenant, issuer.issuer, issuer.jwks, issuer.jwks_url, issuer.discovery, issuer.secret


@dataclass(slots=True)
class _Held:
    """What is held for one issuer. Times are monotonic; ``failure`` says why the last fetch brought nothing."""

    issuer: Issuer
    keys: KeySet | None = None
    fetched: bool = True
    refresh_at: float = 0.0
    fresh_until: float = 0.0
    next_fetch: float = 0.0
    next_for_unknown: float = 0.0
    failure: str = ""
    refused: tuple[str, ...] = field(default=())
    flight: asyncio.Task[None] | None = None


class IssuerKeys:
    """One worker's. ``clock`` is monotonic, ``wall`` Unix seconds."""

    def __init__(
        self, sources: Sources, clock: Callable[[], float] = monotonic, wall: Callable[[], float] = time
    ) -> None:
        self._config, self._exchange, self._spawn = sources.config, sources.exchange, sources.spawn
        self._clock, self._wall = clock, wall
        self._held: dict[str, _Held] = {}

    def of(self, issuer: Issuer) -> KeySet | Need | None:
        """The issuer's keys, ``Need`` where they must be fetched first; ``None``: they can't be had now."""
        held, now = self._held_of(issuer), self._clock()
        if not held.fetched:
            return held.keys
        if held.keys is not None and now < held.fresh_until + KEPT and (now < held.fresh_until or held.failure):
            if now >= held.refresh_at and now >= held.next_fetch:
                self._fetch_soon(held, issuer)
            return held.keys
        return self._fetching(held, issuer) if now >= held.next_fetch or held.flight else None

    def anew(self, issuer: Issuer) -> Need | bool:
        """For a key that isn't among them: ``Need`` where newer ones may have it, else whether it is certain that there is no such
        key. It isn't while the issuer is away.
        """
        held, now = self._held_of(issuer), self._clock()
        if held.flight is None:
            if not held.fetched or now < held.next_for_unknown:
                return not held.failure
            if now < held.next_fetch:
                return False
            held.next_for_unknown = now + PAUSE
        return self._fetching(held, issuer) or False

    def hold_until(self, issuer: Issuer) -> float:
        """Until when (Unix seconds) nobody has to ask for its keys again: what they let in is to be decided anew then, so that keys
        are fetched, and one that the issuer took back is noticed, however few calls aren't remembered.
        """
        held, now = self._held_of(issuer), self._clock()
        if not held.fetched:
            return FOREVER
        ends = next((each for each in (held.refresh_at, held.fresh_until) if now < each), held.next_fetch)
        return self._wall() + min(ends, held.fresh_until + KEPT) - now

    def retry_after(self, issuer: Issuer) -> int:
        """Seconds until an issuer that is away is asked again."""
        return max(1, ceil(self._held_of(issuer).next_fetch - self._clock()))

    def failure(self, issuer: Issuer) -> str:
        """Why its keys could not be fetched when that was last tried; empty: they were."""
        return self._held_of(issuer).failure

    def _held_of(self, issuer: Issuer) -> _Held:
        held = self._held.get(issuer.slug)
        if held is not None and held.issuer is issuer:
            return held
        if held is not None and _source_of(held.issuer) == _source_of(issuer):
            held.issuer = issuer
            return held
        if len(self._held) > len(self._config.snapshot.issuers):
            self._held = {slug: each for slug, each in self._held.items() if slug in self._config.snapshot.issuers}
        held = self._held[issuer.slug] = _held_without_fetch(issuer)
        return held

    def _fetching(self, held: _Held, issuer: Issuer) -> Need | None:
        """The end of a fetch, which is under way from now on; ``None``: nothing is fetched here."""
        self._fetch_soon(held, issuer)
        flight = held.flight
        return None if flight is None else Need(lambda: _end_of(flight))

    def _fetch_soon(self, held: _Held, issuer: Issuer) -> None:
        if held.flight is None and self._exchange is not None and self._spawn is not None:
            held.flight = self._spawn(self._fetch(held, issuer, self._exchange))

    async def _fetch(self, held: _Held, issuer: Issuer, exchange: Exchange) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                url = issuer.jwks_url or await _discovered(issuer, exchange)
                response = await exchange(issuer.tenant, "GET", url)
            if response.status != 200:
                raise ExchangeFailed(f"The JWK set came with status {response.status}.")
            keys = read_key_set(response.body)
        except (ExchangeFailed, ValueError) as error:
            self._failed(held, issuer, str(error))
        except TimeoutError:
            self._failed(held, issuer, f"They did not come within {DEADLINE:g} s.")
        except Exception:  # nothing known raises one, but calls that wait would ask again without a pause
            logger.exception("fetching the keys of issuer %s failed", issuer.slug)
            self._failed(held, issuer, "What came could not be read.")
        else:
            self._fetched(held, issuer, keys, _lifetime(response))
        finally:
            held.flight = None

    def _failed(self, held: _Held, issuer: Issuer, failure: str) -> None:
        if failure != held.failure:
            logger.warning("the keys of issuer %s can't be fetched: %s", issuer.slug, failure)
        held.failure, held.next_fetch = failure, self._clock() + PAUSE

    def _fetched(self, held: _Held, issuer: Issuer, keys: KeySet, lifetime: float) -> None:
        now = self._clock()
        if held.failure:
            logger.warning("the keys of issuer %s can be fetched again", issuer.slug)
        if keys.refused != held.refused:
            for sentence in keys.refused:
                logger.warning("a key of issuer %s isn't taken: %s", issuer.slug, sentence)
        held.failure, held.refused = "", keys.refused
        held.refresh_at, held.fresh_until = now + lifetime * 0.75, now + lifetime
        held.next_fetch = 0.0
        known = frozenset() if held.keys is None else held.keys.identities
        if held.keys is None or keys.identities != known:
            held.keys = keys
        if known - keys.identities:
            self._config.outdate_decisions()  # heads that were let in by a key that is gone


async def _end_of(flight: asyncio.Task[None]) -> None:
    await asyncio.wait({flight})


def _held_without_fetch(issuer: Issuer) -> _Held:
    """With the keys that stand in the configuration, where they do."""
    if not issuer.secret and not issuer.jwks:
        return _Held(issuer)
    try:
        keys = key_of_secret(issuer.secret.encode()) if issuer.secret else read_key_set(issuer.jwks.encode())
    except ValueError as error:
        logger.warning("the keys of issuer %s can't be used: %s", issuer.slug, error)
        return _Held(issuer, None, fetched=False, failure=str(error))
    for sentence in keys.refused:
        logger.warning("a key of issuer %s isn't taken: %s", issuer.slug, sentence)
    return _Held(issuer, keys, fetched=False, refused=keys.refused)


async def _discovered(issuer: Issuer, exchange: Exchange) -> str:
    """Where the issuer's metadata says that its keys are. Raises ``ExchangeFailed`` and ``ValueError``."""
    response = None
    for url in metadata_urls(issuer.issuer):
        response = await exchange(issuer.tenant, "GET", url)
        if response.status == 200:
            break
    if response is None or response.status != 200:
        raise ExchangeFailed("The issuer's metadata is at neither of its well-known addresses.")
    return keys_url_in(response.body, issuer.issuer)


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where an issuer's metadata is: by OpenID Connect Discovery 1.0 §4, and by RFC 8414 §3.1."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    return (
        f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}",
    )


def keys_url_in(metadata: bytes, issuer: str) -> str:
    """Where the keys are, by an issuer's metadata. Raises ``ValueError`` where that is another's (RFC 8414 §3.3), names no place,
    or one that is read without TLS although the issuer has it.
    """
    try:
        found = read_object(metadata)
    except ValueError:
        raise ValueError("The issuer's metadata is no JSON object.") from None
    if found.get("issuer") != issuer:
        raise ValueError("The metadata is that of another issuer.")
    url = found.get("jwks_uri")
    if not isinstance(url, str):
        raise ValueError("The issuer's metadata names no place of its keys (jwks_uri).")
    if issuer.startswith("https://") and not url.startswith("https://"):
        raise ValueError("The issuer's metadata names a place of its keys that has no TLS.")
    return url


def _lifetime(response: ExchangeResponse) -> float:
    """Seconds that a JWK set is good for."""
    said = response_directives(tuple(response.fields))
    if said.no_store or said.no_cache:
        return SHORTEST
    seconds = said.s_maxage if said.s_maxage is not None else said.max_age
    return LIFETIME if seconds is None else min(max(float(seconds), SHORTEST), LONGEST)
