"""The body of a call whose cache key it is part of: read before anything is looked up, and sent on from here."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import cast

from apps.gateway.call.request_body import BodyRefused, RequestBody

KEYED_BYTES = 2**20
"""Bytes of a body that can be part of a key. One that is larger goes past the cache, and on as it comes."""


class ReadAhead:
    """What was read of a caller's body. Iterating gives all of it: what was read, then what still comes.

    ``whole`` is the body once all of it is here; ``error`` says why reading ended before; ``size`` is what is here, in bytes.
    """

    __slots__ = ("_body", "_parts", "error", "size", "whole")

    def __init__(self, body: RequestBody) -> None:
        self.whole: bytes | None = None
        self.error: BodyRefused | None = None
        self.size = 0
        self._body = body
        self._parts: list[bytes] = []

    async def read(self) -> None:
        """Read until the body is whole or too large. Raises ``ClientLeft``."""
        try:
            async with contextlib.aclosing(cast(AsyncGenerator[bytes, None], aiter(self._body))) as parts:
                async for part in parts:
                    self._parts.append(part)
                    self.size += len(part)
                    if self.size > KEYED_BYTES:
                        return
        except BodyRefused as error:
            self.error = error
            return
        self.whole = b"".join(self._parts)
        self._parts = [self.whole]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            if part:
                yield part
        if self.whole is None:
            async for part in self._body:
                yield part
