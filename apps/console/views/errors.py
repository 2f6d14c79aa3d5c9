"""What a reader sees when something broke."""

import sys

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def server_error(request: HttpRequest) -> HttpResponse:
    """Our mistake; or the database's absence, and says what goes on without it."""
    if isinstance(sys.exc_info()[1], DatabaseError | InterfaceError):
        return render(None, "503.html", status=503)
    return render(None, "500.html", status=500)
