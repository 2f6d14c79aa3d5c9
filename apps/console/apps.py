"""The app's place in Django's registry."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """Show: the web console."""

    name = "apps.console"
