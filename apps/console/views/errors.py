"""What a reader sees in place of a page: what they may not see or do, what isn't there, and what broke."""

import sys

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.console.way_back import way_back


def refused(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403, with the sentence that came with the refusal."""
    text = str(exception) or "Your role doesn't allow it. An owner of the tenant can change that."
    return _instead(request, 403, "You may not do this", text)


def not_found(request: HttpRequest) -> HttpResponse:
    """404: the same for what was never there and for what is another tenant's."""
    return _instead(request, 404, "There is nothing here", "It may have been removed, or it is not yours to see.")


def _instead(request: HttpRequest, status: int, heading: str, text: str) -> HttpResponse:
    """In the frame with the way back for whoever is signed in; a page of its own for others."""
    words = {"code": status, "heading": heading, "text": text}
    if request.user.is_authenticated:
        words |= {"base": "base.html", "back": way_back(request.user, request.path)}
    return render(request, "refused.html", words, status=status)


def server_error(request: HttpRequest) -> HttpResponse:
    """Our mistake; or the database's absence, and says what goes on without it."""
    if isinstance(sys.exc_info()[1], DatabaseError | InterfaceError):
        return render(None, "503.html", status=503)
    return render(None, "500.html", status=500)
