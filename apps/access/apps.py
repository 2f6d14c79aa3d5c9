"""The app's place in Django's registry."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """May: applications, API keys, plans, access requests and subscriptions."""

    name = "apps.access"

    def ready(self) -> None:
        """Have the plans that an API names checked with its other settings."""
        from apps.access.offers import plan_errors
        from apps.catalog.hooks import further_errors

        further_errors.register(plan_errors)
