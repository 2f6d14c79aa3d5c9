"""The app's place in Django's registry."""

from django.apps import AppConfig


class WarmingConfig(AppConfig):
    """Warming the cache up: responses that are in it ahead of demand."""

    name = "apps.warming"
