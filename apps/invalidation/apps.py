"""The app, and its ear for purges."""

from django.apps import AppConfig


class InvalidationConfig(AppConfig):
    """Registers what hears of every purge."""

    name = "apps.invalidation"

    def ready(self) -> None:
        """Have purges forwarded to CDNs, and ``check --deploy`` look at them."""
        from apps.invalidation import checks  # noqa: F401  registers itself
        from apps.invalidation.forwarding import note
        from apps.purging.services import purged

        purged.register(note)
