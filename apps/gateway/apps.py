"""The app's place in Django's registry."""

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    """Serve: the data plane."""

    name = "apps.gateway"
