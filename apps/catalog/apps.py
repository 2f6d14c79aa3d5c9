"""The app's place in Django's registry."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """What: APIs, revisions, upstreams, operations, their lifecycle and import."""

    name = "apps.catalog"

    def ready(self) -> None:
        """Register the checks."""
        from apps.catalog import checks  # noqa: F401
