"""The app's place in Django's registry."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    """Witness: the append-only record of every decision, which is also the outbox of configuration changes."""

    name = "apps.audit"

    def ready(self) -> None:
        """Have every ``migrate`` end with the triggers in place."""
        from apps.audit.append_only import ensure_after_migrations

        post_migrate.connect(ensure_after_migrations, sender=self, dispatch_uid="apps.audit.append_only")
