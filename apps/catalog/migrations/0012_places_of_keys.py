from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0011_hosts_and_paths_of_upstreams"),
    ]

    operations = [
        migrations.AddField(
            model_name="api",
            name="api_key_query",
            field=models.CharField(
                blank=True, default="", help_text="Query parameter in which keys may stand; empty: none.", max_length=64
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="api",
            name="api_key_cookie",
            field=models.CharField(
                blank=True, default="", help_text="Cookie in which keys may stand; empty: none.", max_length=64
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="api",
            name="api_key_basic_user",
            field=models.BooleanField(
                default=False, help_text="Keys may be the user of Authorization: Basic, with an empty password."
            ),
        ),
    ]
