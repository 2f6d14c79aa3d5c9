from django.db import migrations, models

import apps.catalog.token_rules


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0012_places_of_keys"),
    ]

    operations = [
        migrations.AddField(
            model_name="api",
            name="introspection",
            field=models.CharField(
                blank=True,
                help_text="Slug of the server that is asked about opaque tokens; empty: none.",
                max_length=64,
            ),
        ),
        migrations.AddField(
            model_name="api",
            name="jwt",
            field=models.JSONField(
                blank=True,
                default=apps.catalog.token_rules.no_token_rules,
                help_text="Issuers of the tokens that it takes, and the scopes and claims that a token needs.",
            ),
        ),
    ]
