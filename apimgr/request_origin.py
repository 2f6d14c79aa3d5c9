"""Where a request to the console or the REST API came from, for the audit log; and its id, which the response names."""

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.utils.decorators import sync_and_async_middleware

from apps.foundation.via import LONGEST_AGENT, Origin, origin

REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@~-]{1,64}")
"""A well-formed ``X-Request-ID``, as gateways take them, if shorter."""


@sync_and_async_middleware
def request_origin(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Middleware: changes that the request makes are recorded with its origin. The response has ``X-Request-ID``."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> Any:
            with _noted(origin_of(request)) as request_id:
                response = await get_response(request)
                response["X-Request-ID"] = request_id
                return response

        return answer_async

    def answer(request: HttpRequest) -> Any:
        with _noted(origin_of(request)) as request_id:
            response = get_response(request)
            response["X-Request-ID"] = request_id
            return response

    return answer


def origin_of(request: HttpRequest) -> Origin:
    """The origin of a request. Its network address is the client's: the server reads it from what ``TRUSTED_PROXIES`` say."""
    given = request.headers.get("X-Request-ID", "")
    return Origin(
        address=request.META.get("REMOTE_ADDR", "")[:45],
        agent="".join(
            each if each.isprintable() else " " for each in request.headers.get("User-Agent", "")[:LONGEST_AGENT]
        ),
        request_id=given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex,
    )


@contextmanager
def _noted(whence: Origin) -> Iterator[str]:
    token = origin.set(whence)
    try:
        yield whence.request_id
    finally:
        origin.reset(token)
