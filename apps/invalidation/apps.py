"""The app, and its ear for purges."""

from django.apps import AppConfig


class InvalidationConfig(AppConfig):
    """Registers what hears of every purge."""

    name = "apps.invalidation"

    def ready(self) -> None:
        """Have purges forwarded to CDNs."""
        from apps.caching.services import on_purge
        from apps.invalidation.forwarding import note

        on_purge(note)
