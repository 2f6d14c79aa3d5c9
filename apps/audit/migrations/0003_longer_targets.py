"""Room for the longest targets: a host name has 253 characters, a token its owner's address and a name. PostgreSQL rewrites no row."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0002_words_from_outside"),
    ]

    operations = [
        migrations.AlterField(
            model_name="entry",
            name="target",
            field=models.CharField(db_index=True, help_text="Slug or id, as the REST API names it.", max_length=400),
        ),
    ]
