"""Errors as ``application/problem+json`` (RFC 9457): what was wrong, where, and what to do."""

import logging
from http import HTTPStatus
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied
from django.core.exceptions import ValidationError as ServiceRefusal
from django.db import InterfaceError, OperationalError
from django.http import Http404, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as rest_exception_handler
from rest_framework.views import set_rollback

from apps.foundation.errors import Conflict, Unavailable

PROBLEM = "application/problem+json"
_log = logging.getLogger(__name__)


class Late(exceptions.APIException):
    """409: the object is no longer in the state that the action starts from; another change was first."""

    status_code = HTTPStatus.CONFLICT
    default_code = "conflict"


class Away(exceptions.APIException):
    """503: a part that this needs is away; nothing was changed."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_code = "unavailable"
    wait = 5  # seconds, as Retry-After


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Every refusal as a problem document; ``None`` for what is a fault of ours, which stays a 500."""
    if isinstance(exc, ServiceRefusal):
        exc = exceptions.ValidationError(messages_by_field(exc))
    elif isinstance(exc, Conflict):
        exc = Late(str(exc))
    elif isinstance(exc, Unavailable):
        exc = Away(str(exc))
    elif isinstance(exc, OperationalError | InterfaceError):
        _log.exception("The database could not be asked")
        exc = Away("The database can't be reached: nothing was changed. Try again in a moment.")
    elif isinstance(exc, Http404):
        # Django's own text names the model: what one may not see isn't there.
        exc = exceptions.NotFound("There is no such object, or it isn't yours to see.")
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied(f"{exc}{_hint(context)}" or None)
    response = rest_exception_handler(exc, context)
    if response is None:
        return None
    set_rollback()
    response.data = problem(exc, response.status_code, response.data)
    response.content_type = PROBLEM
    return response


def _hint(context: dict[str, Any]) -> str:
    """What an administrator must know whose token leaves their right out."""
    user: Any = getattr(context.get("request"), "user", None)
    if user is not None and user.is_authenticated and user.is_administrator and not user.administrates:
        return (
            f" You act by a token with the scope {user.token.scope}: what administrators may do needs the scope admin."
        )
    return ""


def messages_by_field(refusal: ServiceRefusal) -> dict[str, list[str]]:
    """What a service refused, by field; ``detail`` holds what belongs to none."""
    if not hasattr(refusal, "error_dict"):
        return {"detail": list(refusal.messages)}
    return {
        "detail" if field in ("", NON_FIELD_ERRORS) else field: list(messages)
        for field, messages in refusal.message_dict.items()
    }


def problem(exc: Exception, status: int, data: Any) -> dict[str, Any]:
    """``type``, ``title``, ``status``, ``code``, ``detail``, and ``errors`` (field -> messages) of a refused body."""
    title = HTTPStatus(status).phrase
    document: dict[str, Any] = {"type": "about:blank", "title": title, "status": status}
    if isinstance(exc, exceptions.ValidationError):
        fields = data if isinstance(data, dict) else {"detail": data}
        errors = {name: value for name, value in fields.items() if name not in ("detail", "non_field_errors")}
        whole = [*_texts(fields.get("detail", ())), *_texts(fields.get("non_field_errors", ()))]
        named = f"These fields need a correction: {', '.join(errors)}." if errors else ""
        document |= {"code": "invalid", "detail": " ".join(filter(None, [*whole, named]))}
        if errors:
            document["errors"] = errors
        return document
    code = exc.get_codes() if isinstance(exc, exceptions.APIException) else "error"
    detail = data.get("detail", title) if isinstance(data, dict) else str(data)
    return document | {"code": code if isinstance(code, str) else "error", "detail": str(detail)}


def _texts(value: Any) -> list[str]:
    return [str(part) for part in value] if isinstance(value, list | tuple) else [str(value)]


def no_address() -> JsonResponse:
    """404 of an address that no route has."""
    return _plain(HTTPStatus.NOT_FOUND, "not_found", "There is no such address. /api/docs/ has those that there are.")


def our_fault() -> JsonResponse:
    """500. What went wrong is in the log, not in the response."""
    return _plain(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "This is a fault of ours. It is in the console's log."
    )


def _plain(status: HTTPStatus, code: str, detail: str) -> JsonResponse:
    document = {"type": "about:blank", "title": status.phrase, "status": status, "code": code, "detail": detail}
    return JsonResponse(document, status=status, content_type=PROBLEM)
