"""The app's place in Django's registry."""

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """Notify the users whom a change concerns, in the console and by e-mail."""

    name = "apps.notifications"

    def ready(self) -> None:
        """Have each change that says what it is about reach its people."""
        from apps.audit.services import recorded
        from apps.notifications.services import notify

        recorded.register(notify)
