"""The body of a request as servers hand it on, and how reading it can end early."""

from collections.abc import AsyncIterator
from typing import Protocol

from apps.gateway.call.problems import Problem


class ClientLeft(Exception):
    """The client has left; what is done for it alone can stop."""


class BodyRefused(Exception):
    """The caller's body can't be taken; ``problem`` is what the caller gets."""

    problem: Problem


class BodyTooLarge(BodyRefused):
    """It has more bytes than the API allows."""

    problem = Problem.BODY_TOO_LARGE


class BodyTooSlow(BodyRefused):
    """It didn't arrive in time."""

    problem = Problem.REQUEST_TIMEOUT


class BodyMisframed(BodyRefused):
    """The server handed on more or less of it than its head declares."""

    problem = Problem.INVALID_REQUEST


class RequestBody(Protocol):
    """The caller's body, read once and at its reader's pace; iterating again goes on where reading ended."""

    length: int | None
    """Bytes, where the caller declared them."""
    received: int
    """Bytes that came so far."""
    limit: int
    """Bytes after which reading raises ``BodyTooLarge``."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises ``ClientLeft`` or ``BodyRefused``."""

    def seconds_waited(self) -> float:
        """Seconds for which the caller was waited for; 0 when it is whole."""

    def give_up(self) -> None:
        """Wait for no more of it: its reader meets ``BodyTooSlow``."""
