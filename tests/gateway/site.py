"""A Django site with the gateway mounted in it."""

from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.urls import re_path

from apps.gateway.gateway import Gateway
from apps.gateway.server.django_view import gateway_view

_mounted: list[Gateway] = []


async def _gateway() -> Gateway:
    return _mounted[-1]


urlpatterns = [re_path(r"", gateway_view(gateway=_gateway))]


def application(gateway: Gateway) -> Any:
    """The site as an ASGI application, serving this gateway."""
    _mounted.append(gateway)
    return _Site()


class _Site(ASGIHandler):
    """Django's own handler, with this module's URLs and none of the console's middleware."""

    def __init__(self) -> None:
        from django.test.utils import override_settings

        with override_settings(MIDDLEWARE=[]):
            super().__init__()

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        from django.urls import set_urlconf

        set_urlconf(__name__)
        await super().handle(scope, receive, send)

    def resolve_request(self, request: Any) -> Any:
        request.urlconf = __name__
        return super().resolve_request(request)
