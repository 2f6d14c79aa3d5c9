"""The app's place in Django's registry."""

from django.apps import AppConfig


class FleetConfig(AppConfig):
    """Tell: turns rows into what gateways read, numbers each change, and collects receipts."""

    name = "apps.fleet"
