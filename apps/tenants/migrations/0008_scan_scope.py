from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0007_invitation_link_shown"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="token", name="tenants_token_scope_is_known"),
        migrations.AlterField(
            model_name="token",
            name="scope",
            field=models.CharField(
                choices=[("scan", "Scan"), ("read", "Read"), ("write", "Write"), ("admin", "Admin")], max_length=12
            ),
        ),
        migrations.AddConstraint(
            model_name="token",
            constraint=models.CheckConstraint(
                condition=models.Q(("scope__in", ["scan", "read", "write", "admin"])),
                name="tenants_token_scope_is_known",
            ),
        ),
    ]
