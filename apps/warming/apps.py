"""The app's place in Django's registry."""

from django.apps import AppConfig


class WarmingConfig(AppConfig):
    """Prepare: answers that are in the cache before anybody asks."""

    name = "apps.warming"
