"""No token without an end. Apart from the step that gave them one: PostgreSQL alters no table whose rows were just changed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0002_token_scopes")]

    operations = [
        migrations.AlterField(
            model_name="token",
            name="expires_at",
            field=models.DateTimeField(help_text="A year from its creation at the latest."),
        ),
    ]
