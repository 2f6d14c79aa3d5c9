"""The app's place in Django's registry."""

from django.apps import AppConfig


class FleetConfig(AppConfig):
    """Tell: turns rows into what gateways read, numbers each change, and collects receipts."""

    name = "apps.fleet"

    def ready(self) -> None:
        """Have every commit of a change wake the publisher."""
        from apps.audit.services import committed
        from apps.fleet.publisher import wake

        committed.register(wake)
