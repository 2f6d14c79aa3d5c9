"""The app's place in Django's registry."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """May: applications, API keys, plans, access requests and subscriptions."""

    name = "apps.access"
