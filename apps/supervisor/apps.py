"""The app's place in Django's registry."""

from django.apps import AppConfig


class PlatformConfig(AppConfig):
    """Run: the supervisor, the node agent, the demo, start-up checks."""

    name = "apps.supervisor"

    def ready(self) -> None:
        """Register the checks."""
        from apps.supervisor import checks  # noqa: F401
