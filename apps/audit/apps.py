"""The app's place in Django's registry."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Witness: the append-only record of every decision, which is also the outbox of configuration changes."""

    name = "apps.audit"
