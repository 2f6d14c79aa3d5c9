import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.foundation.secrets


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0004_tenants_of_a_plan"),
        ("catalog", "0011_hosts_and_paths_of_upstreams"),
        ("tenants", "0007_invitation_link_shown"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RenameModel("APIKey", "Credential"),
        migrations.CreateModel(
            name="Introspection",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slug", models.SlugField(max_length=64, unique=True)),
                ("url", models.CharField(max_length=2048)),
                ("client_id", models.CharField(blank=True, help_text="As whom the gateway asks.", max_length=255)),
                (
                    "client_authentication",
                    models.CharField(
                        choices=[
                            ("none", "Not at all"),
                            ("basic", "Client secret in Basic"),
                            ("post", "Client secret in the body"),
                            ("private_key_jwt", "A JWT signed with a private key"),
                        ],
                        default="basic",
                        max_length=16,
                    ),
                ),
                (
                    "secret",
                    apps.foundation.secrets.EncryptedJSONField(
                        blank=True,
                        help_text="The client secret, or the private key (PEM) of private_key_jwt.",
                        null=True,
                        row=("slug",),
                    ),
                ),
                (
                    "client_claim",
                    models.CharField(
                        default="client_id", help_text="What of the response names the client.", max_length=128
                    ),
                ),
                (
                    "cache",
                    models.FloatField(
                        default=30.0,
                        help_text="Seconds that a token which is active is remembered, never past its exp.",
                    ),
                ),
                (
                    "negative_cache",
                    models.FloatField(default=5.0, help_text="Seconds that one which isn't active is remembered."),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["slug"],
            },
        ),
        migrations.CreateModel(
            name="Issuer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slug", models.SlugField(max_length=64, unique=True)),
                ("issuer", models.CharField(help_text="What its tokens say in iss.", max_length=512)),
                (
                    "discovery",
                    models.BooleanField(
                        default=False,
                        help_text="Its keys are found by its OpenID Connect or OAuth metadata (RFC 8414).",
                    ),
                ),
                ("jwks_url", models.CharField(blank=True, help_text="Where its keys are (RFC 7517).", max_length=2048)),
                (
                    "jwks",
                    models.JSONField(blank=True, help_text="Its public keys themselves, as a JWK set.", null=True),
                ),
                (
                    "secret",
                    apps.foundation.secrets.EncryptedJSONField(
                        blank=True,
                        help_text="The secret shared with it, for HS algorithms alone.",
                        null=True,
                        row=("slug",),
                    ),
                ),
                (
                    "algorithms",
                    models.JSONField(default=list, help_text="The only algorithms that its signatures may have."),
                ),
                (
                    "audience",
                    models.JSONField(
                        blank=True, default=list, help_text="Of these aud must name one; empty: any audience."
                    ),
                ),
                (
                    "client_claim",
                    models.CharField(
                        default="azp",
                        help_text="The claim that names the client, which an application has as a client ID.",
                        max_length=128,
                    ),
                ),
                ("leeway", models.FloatField(default=30.0, help_text="Seconds by which clocks may differ.")),
                (
                    "dpop",
                    models.BooleanField(
                        default=False,
                        help_text="Its tokens are bound to a key of the client, which proves it with each call (RFC 9449).",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["slug"],
            },
        ),
        migrations.AlterModelOptions(
            name="credential",
            options={"ordering": ["-created_at"]},
        ),
        migrations.RemoveConstraint(
            model_name="credential",
            name="access_apikey_state_is_known",
        ),
        migrations.RemoveConstraint(
            model_name="credential",
            name="access_apikey_revoked_at_goes_with_its_state",
        ),
        migrations.AddField(
            model_name="credential",
            name="identifier",
            field=models.CharField(
                blank=True,
                help_text="What is no secret: a client ID, a certificate's fingerprint, a signing key's ID.",
                max_length=255,
            ),
        ),
        migrations.AddField(
            model_name="credential",
            name="kind",
            field=models.CharField(
                choices=[
                    ("api_key", "API key"),
                    ("client_id", "Client ID"),
                    ("certificate", "Certificate"),
                    ("signing_key", "Signing key"),
                ],
                default="api_key",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="credential",
            name="secret",
            field=apps.foundation.secrets.EncryptedJSONField(
                blank=True, help_text="Of a signing key, which gateways need whole.", null=True, row=("digest",)
            ),
        ),
        migrations.AlterField(
            model_name="credential",
            name="digest",
            field=models.CharField(
                help_text="HMAC-SHA-256 with the installation's pepper of what gateways find it by, hex.",
                max_length=64,
                unique=True,
            ),
        ),
        migrations.AlterField(
            model_name="credential",
            name="prefix",
            field=models.CharField(blank=True, help_text="The first characters, to recognise a key by.", max_length=16),
        ),
        migrations.AddField(
            model_name="introspection",
            name="tenant",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="introspections",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="issuer",
            name="tenant",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="issuers",
                to="tenants.tenant",
            ),
        ),
        migrations.AddField(
            model_name="credential",
            name="issuer",
            field=models.ForeignKey(
                blank=True,
                help_text="Of a client ID: the tenant's issuer that knows it; null: the platform's issuers.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="client_ids",
                to="access.issuer",
            ),
        ),
        migrations.AddConstraint(
            model_name="credential",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["api_key", "client_id", "certificate", "signing_key"])),
                name="access_credential_kind_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="credential",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["active", "revoked"])), name="access_credential_state_is_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="credential",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "revoked"), ("revoked_at__isnull", False)),
                    models.Q(
                        models.Q(("state", "revoked"), _negated=True),
                        models.Q(("revoked_at__isnull", False), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="access_credential_revoked_at_goes_with_its_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="introspection",
            constraint=models.CheckConstraint(
                condition=models.Q(("client_authentication__in", ["none", "basic", "post", "private_key_jwt"])),
                name="access_introspection_client_authentication_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="introspection",
            constraint=models.CheckConstraint(
                condition=models.Q(("cache__gte", 0), ("negative_cache__gte", 0)),
                name="access_introspection_is_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="issuer",
            constraint=models.CheckConstraint(
                condition=models.Q(("leeway__gte", 0)), name="access_issuer_is_not_negative"
            ),
        ),
    ]
