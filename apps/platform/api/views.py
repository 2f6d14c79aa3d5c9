"""What every view of the REST API does, and the documentation page."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.views.generic import TemplateView
from rest_framework.views import APIView

from apps.audit import services as audit


class ViaAPI(APIView):
    """A view whose changes are witnessed as coming in by the REST API."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """As usual, with the audit log told the door."""
        token = audit.via.set("api")
        try:
            return super().dispatch(request, *args, **kwargs)
        finally:
            audit.via.reset(token)


class DocsView(TemplateView):
    """The schema as pages to read and try, with a script of our own because the policy forbids inline ones."""

    template_name = "api/docs.html"
