import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0008_client_ids_of_servers"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Revocation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(choices=[("jti", "Token"), ("subject", "Subject")], max_length=8)),
                (
                    "digest",
                    models.CharField(
                        help_text="Keyed hash of kind, issuer and value, hex: what gateways find it by.",
                        max_length=16,
                        unique=True,
                    ),
                ),
                (
                    "shown",
                    models.CharField(help_text="The first characters of the value, to recognise it by.", max_length=16),
                ),
                (
                    "not_before",
                    models.DateTimeField(
                        blank=True,
                        help_text="Of a subject: tokens that were issued then or earlier are over.",
                        null=True,
                    ),
                ),
                (
                    "expires_at",
                    models.DateTimeField(help_text="After this none of the tokens that it is about can be good."),
                ),
                ("comment", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "issuer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="revocations", to="access.issuer"
                    ),
                ),
                (
                    "revoked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-pk"],
                "indexes": [models.Index(fields=["expires_at"], name="revocation_expires_at")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["jti", "subject"])), name="access_revocation_kind_is_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "subject"), ("not_before__isnull", False)),
                            models.Q(
                                models.Q(("kind", "subject"), _negated=True),
                                models.Q(("not_before__isnull", False), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="access_revocation_not_before_goes_with_its_state",
                    ),
                ],
            },
        ),
    ]
