"""No token without an end. Those that were there keep their rights, and end a year from now at the latest.

Each step commits by itself: PostgreSQL alters no table whose rows the same transaction has changed more than once. Running it again
after a failure does the same.
"""

from datetime import timedelta
from typing import Any

from django.db import migrations, models
from django.db.models import Q
from django.utils import timezone


def fill(apps: Any, schema_editor: Any) -> None:
    tokens = apps.get_model("tenants", "Token").objects.using(schema_editor.connection.alias)
    tokens.filter(user__is_administrator=True).update(scope="admin")
    end = timezone.now() + timedelta(days=365)
    tokens.filter(Q(expires_at=None) | Q(expires_at__gt=end)).update(expires_at=end)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tenants", "0002_token_scopes")]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="token",
            name="expires_at",
            field=models.DateTimeField(help_text="A year from its creation at the latest."),
        ),
    ]
