from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access", "0006_key_bounds")]

    operations = [
        migrations.AddField(
            "subscription",
            "comment",
            models.TextField(
                blank=True,
                default="",
                help_text="What was said when it was suspended, resumed or revoked last: both sides see it.",
            ),
            preserve_default=False,
        ),
    ]
