"""The app's place in Django's registry."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """May: applications, credentials, issuers of tokens, plans, access requests and subscriptions."""

    name = "apps.access"

    def ready(self) -> None:
        """Have the plans, issuers and introspection servers that an API names checked with its other settings."""
        from apps.access.offers import plan_errors
        from apps.access.tokens_of_apis import token_errors
        from apps.catalog.hooks import further_errors

        further_errors.register(plan_errors)
        further_errors.register(token_errors)
