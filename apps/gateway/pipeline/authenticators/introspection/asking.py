"""What a worker knows of opaque tokens, and how it asks the servers that know them.

A token is known by a hash under a key of this process, beside its server as that is configured: a change of the configuration
ends what was remembered under the other one. What is worth something and what is worth nothing are remembered in tables of
their own, so that a flood of random tokens pushes out no good one. One question about a token is under way at a time, for all who
show it; ``AT_ONCE`` bounds those to one server, and others wait in turns by client. A breaker leaves a server alone that fails.
"""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine
from hashlib import blake2b
from time import monotonic, time

from apps.gateway.call.call import Call
from apps.gateway.limits.client_limits import client_key
from apps.gateway.pipeline.authenticators.introspection.failed_tokens import FailedTokens
from apps.gateway.pipeline.authenticators.introspection.questions import Fields, KeyUnusable, Questions
from apps.gateway.pipeline.authenticators.introspection.responses import TokenInfo, UnusableResponse, read_response
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.gateway.pipeline.client_address import client_behind
from apps.gateway.upstream.concurrency import ConcurrencyLimits
from apps.gateway.upstream.errors import Broken, Busy
from apps.gateway.upstream.exchange import Exchange, ExchangeFailed, ExchangeResponse
from apps.httpcache.bounded_table import Recent
from apps.wire.circuit_breaker import Breaker
from apps.wire.snapshot import Concurrency, Introspection

log = logging.getLogger(__name__)

GOOD_BYTES = 16 * 2**20
"""Bytes of what is remembered of tokens that are worth something."""

FAILED_BYTES = 2 * 2**20
"""The same of those that are worth nothing, which is some 4,000 of them."""

LARGEST = 16 * 2**10
"""Bytes of a response that is remembered. A larger one is good for the calls that wait for it."""

AT_ONCE = Concurrency(calls=32, queue=512, wait=2.0)
"""Questions to one server that are under way at once; how many more wait, for how many seconds."""

DEADLINE = 3.0
"""Seconds that a question may take, once it is its turn."""

ENTRY = 512
"""Bytes that an entry needs besides the response: its key, itself, its places in tables."""

_Key = tuple[Introspection, bytes]


class Introspector:
    """One per worker. ``exchange`` asks a server, ``spawn`` has that go on when the caller who wanted it has left; ``trusts`` says
    whether an address is a trusted proxy's.
    """

    def __init__(
        self,
        exchange: Exchange,
        spawn: Callable[[Coroutine[None, None, None]], object],
        trusts: Callable[[str], bool],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._exchange, self._spawn, self._trusts = exchange, spawn, trusts
        self._future: Callable[[], asyncio.Future[TokenInfo | TokenFault]] = loop.create_future
        self._limits = ConcurrencyLimits(loop)
        self._hash_key = secrets.token_bytes(32)
        self._good: Recent[_Key, TokenInfo] = Recent(GOOD_BYTES, _size_of)
        self._failed: Recent[_Key, TokenInfo] = Recent(FAILED_BYTES, _size_of)
        self._under_way: dict[_Key, asyncio.Future[TokenInfo | TokenFault]] = {}
        self._servers: dict[str, _Server] = {}
        self.failed_tokens = FailedTokens()
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """Questions since the worker started, by server and how they ended: ``active``, ``refused`` (the token) or ``failed``."""

    def client_of(self, x: Call) -> str:
        """As whom the sender of a call is slowed: by its address, behind trusted proxies too."""
        behind = client_behind(x, self._trusts) if self._trusts(x.client) else None
        return client_key(x.client if behind is None else str(behind))

    def known(self, server: Introspection, token: bytes, now: float) -> TokenInfo | None:
        """What is remembered of a token at ``now`` (Unix seconds)."""
        key = self._key(server, token)
        found = self._good.get(key) or self._failed.get(key)
        return found if found is not None and now < found.until else None

    async def ask(self, server: Introspection, token: bytes, client: str) -> TokenInfo | TokenFault:
        """What the server says of a token that a client (``client_key``) brought, or why that isn't known."""
        key = self._key(server, token)
        outcome = self._under_way.get(key)
        if outcome is None:
            outcome = self._under_way[key] = self._future()
            self._spawn(self._find_out(key, token, client, outcome))
        await asyncio.wait({outcome})  # who leaves ends it for nobody else
        return TokenFault.SERVER_AWAY if outcome.cancelled() else outcome.result()

    async def _find_out(
        self, key: _Key, token: bytes, client: str, outcome: "asyncio.Future[TokenInfo | TokenFault]"
    ) -> None:
        try:
            found = await self._asked(key[0], token, client)
            if isinstance(found, TokenFault):
                ended = "failed"
            else:
                self._remember(key, found, client)
                ended = "active" if found.fault is None else "refused"
            self.outcomes[key[0].slug, ended] += 1
            outcome.set_result(found)
        finally:
            del self._under_way[key]
            outcome.cancel()  # where there is none: this worker stops

    async def _asked(self, part: Introspection, token: bytes, client: str) -> TokenInfo | TokenFault:
        server = self._servers.get(part.slug)
        if server is None or server.part != part:
            server = self._servers[part.slug] = _Server(part)
        if server.questions is None:
            return TokenFault.NO_KEY_TO_ASK
        try:
            place = await self._limits.enter(part.slug, AT_ONCE, client)
        except Busy:
            return TokenFault.SERVER_BUSY
        began = monotonic()
        try:
            if not server.breaker.allows(began):
                return TokenFault.SERVER_AWAY
            asked = time()
            fields, body = server.questions.about(token, asked)
            found = read_response(part, await self._sent(part, fields, body), asked)
        except ExchangeFailed as error:
            server.failed(began, str(error))
            return TokenFault.SERVER_AWAY
        except UnusableResponse as error:
            # One that answers in its own way is there, and other tokens may be such that it understands them.
            if error.fault is TokenFault.SERVER_INVALID:
                server.breaker.succeeded()
            else:
                server.failed(began, str(error))
            return error.fault
        finally:
            place.leave()
        server.breaker.succeeded()
        return found

    async def _sent(self, part: Introspection, fields: Fields, body: bytes) -> ExchangeResponse:
        """The response. A question changes nothing at the server, so it is put again where the connection broke: a kept one may
        be closed by the other side just when it is used.
        """
        try:
            return await self._exchange(part.tenant, "POST", part.url, fields, body, DEADLINE)
        except ExchangeFailed as error:
            if not isinstance(error.__cause__, Broken):
                raise
            return await self._exchange(part.tenant, "POST", part.url, fields, body, DEADLINE)

    def _remember(self, key: _Key, found: TokenInfo, client: str) -> None:
        if found.fault is not None:
            self.failed_tokens.failed(key[0].slug, client, monotonic())
        kept = self._good if found.fault is None else self._failed
        for table in (self._good, self._failed):
            table.drop(key)
        if found.until > time() and len(found.text) <= LARGEST:
            kept.put(key, found)

    def _key(self, server: Introspection, token: bytes) -> _Key:
        return server, blake2b(token, key=self._hash_key, digest_size=16).digest()


class _Server:
    """A server as it is configured, and how it fared lately. ``questions`` is ``None`` where its key is unusable."""

    __slots__ = ("breaker", "part", "questions")

    def __init__(self, part: Introspection) -> None:
        self.part = part
        self.breaker = Breaker()
        self.questions: Questions | None = None
        try:
            self.questions = Questions(part)
        except KeyUnusable as error:
            log.error("the introspection server %s can't be asked: its private key is unusable: %s", part.slug, error)

    def failed(self, began: float, why: str) -> None:
        """A question that ``began`` then (monotonic) was answered by nothing that is of use."""
        opened = self.breaker.opened
        self.breaker.failed(monotonic(), began)
        if self.breaker.opened > opened:
            log.warning("the introspection server %s is left alone for a moment: %s", self.part.slug, why)


def _size_of(key: _Key, found: TokenInfo) -> int:
    return ENTRY + len(found.text)
