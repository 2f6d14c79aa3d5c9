"""Tokens have a scope, perhaps one tenant, and are ended without losing their row."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="token",
            name="ended_at",
            field=models.DateTimeField(
                blank=True, help_text="Revoked, or ended with the user's old password.", null=True
            ),
        ),
        migrations.AddField(
            model_name="token",
            name="noticed_at",
            field=models.DateTimeField(blank=True, help_text="When its user was told that it ends soon.", null=True),
        ),
        migrations.AddField(
            model_name="token",
            name="scope",
            field=models.CharField(
                choices=[("read", "Read"), ("write", "Write"), ("admin", "Admin")], default="write", max_length=12
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="token",
            name="tenant",
            field=models.ForeignKey(
                blank=True,
                help_text="The only tenant that it reaches; empty: all of its user's.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="sessions_ended",
            field=models.PositiveIntegerField(
                default=0,
                help_text="How often all sessions were ended other than by a new password. Part of each session's hash.",
            ),
        ),
    ]
