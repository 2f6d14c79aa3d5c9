"""The app's place in Django's registry."""

from django.apps import AppConfig


class TenantsConfig(AppConfig):
    """Who: users, tenants (teams), memberships and roles, sign-in."""

    name = "apps.tenants"

    def ready(self) -> None:
        """Have the checks known, and signing in recorded."""
        from apps.tenants import checks, sign_in_log  # noqa: F401
