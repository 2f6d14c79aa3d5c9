from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0005_credentials"),
    ]

    operations = [
        migrations.AddField(
            model_name="credential",
            name="methods",
            field=models.JSONField(blank=True, help_text="The only methods that it is for; null: any.", null=True),
        ),
        migrations.AddField(
            model_name="credential",
            name="operations",
            field=models.JSONField(
                blank=True,
                help_text="The only calls that it is for, as {methods, path} below a listen path; null: any.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="credential",
            name="addresses",
            field=models.JSONField(
                blank=True, help_text="Networks of the only clients that may use it; null: any.", null=True
            ),
        ),
    ]
