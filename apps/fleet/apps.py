"""The app's place in Django's registry."""

from django.apps import AppConfig


class FleetConfig(AppConfig):
    """Distribution of configuration: turns rows into what gateways read, numbers each change, and collects receipts."""

    name = "apps.fleet"

    def ready(self) -> None:
        """Have every commit of a change wake the publisher, and the REST API wait for the gateways."""
        from apps.audit.services import committed
        from apps.fleet.publisher import wake
        from apps.fleet.receipts import wait_for_receipt
        from apps.rest.hooks import receipt_wanted

        committed.register(wake)
        receipt_wanted.register(lambda purge_clock: wait_for_receipt(purge_clock=purge_clock))
