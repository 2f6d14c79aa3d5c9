"""Errors outside of any view: problem documents below ``/api/``, pages elsewhere."""

from django.http import Http404, HttpRequest, HttpResponse

from apps.console.views import errors as pages
from apps.rest import errors as problems


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    return problems.no_address() if request.path.startswith("/api/") else pages.not_found(request)


def closed(request: HttpRequest) -> HttpResponse:
    """The address of a library's page that this installation doesn't have."""
    raise Http404


def server_error(request: HttpRequest) -> HttpResponse:
    """500, or 503 while the database is away."""
    return problems.our_fault() if request.path.startswith("/api/") else pages.server_error(request)
