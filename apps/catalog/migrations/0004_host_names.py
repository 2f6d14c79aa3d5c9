"""Host names of tenants. Those that served APIs name belong to the tenant whose API named them first."""

import ipaddress
from urllib.parse import urlsplit

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.utils import timezone


def is_shared(host: str) -> bool:
    """Whether a name leads to every tenant's APIs: the installation's own, and addresses."""
    own = {urlsplit(url).hostname for url in (settings.GATEWAY_URL, settings.CONSOLE_URL)} | set(settings.ALLOWED_HOSTS)
    if "." not in host or host in own or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.rpartition(".")[2].isdigit()
    return True


def hosts_in_use(apps, schema_editor):
    """Note them, with an audit entry. It affects nothing: the first publisher of this version writes all anew, and to one of
    the version before, which may still run, a host is nothing that gateways know: all later changes would wait behind it.
    """
    database = schema_editor.connection.alias
    rows = {}
    served = apps.get_model("catalog", "API").objects.using(database).filter(state__in=("published", "deprecated"))
    for api in served.order_by("created_at", "pk"):
        for host in api.hosts:
            name = host.lower() if host.isascii() else host.lower().encode("idna").decode()
            if not is_shared(name):
                rows.setdefault(name, api.tenant_id)
    if not rows:
        return
    now = timezone.now()
    HostName = apps.get_model("catalog", "HostName")
    HostName.objects.using(database).bulk_create(
        HostName(host=host, tenant_id=tenant, state="proved", method="in_use", proved_at=now)
        for host, tenant in rows.items()
    )
    epochs = apps.get_model("audit", "Epoch").objects.using(database)
    epochs.get_or_create(pk=1)
    epochs.filter(pk=1).update(n=models.F("n") + 1)
    apps.get_model("audit", "Entry").objects.using(database).create(
        epoch=epochs.get(pk=1).n,
        verb="host.grant",
        target_type="host",
        comment="Host names that served APIs named before names were proved",
        changes={host: [None, tenant] for host, tenant in _slugs(apps, database, rows).items()},
        affects=[],
    )


def _slugs(apps, database, rows):
    tenants = apps.get_model("tenants", "Tenant").objects.using(database)
    slugs = dict(tenants.filter(pk__in=set(rows.values())).values_list("pk", "slug"))
    return {host: slugs[tenant] for host, tenant in rows.items()}


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0001_initial"),
        ("catalog", "0003_request_header_settings"),
        ("tenants", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="HostName",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "host",
                    models.CharField(
                        help_text="Lower case, ASCII, without port; an IPv6 address in brackets.", max_length=253
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("pending", "Pending"), ("proved", "Proved")], default="pending", max_length=8
                    ),
                ),
                (
                    "method",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("dns", "A DNS record"),
                            ("file", "A file on the host"),
                            ("administrator", "An administrator's decision"),
                            ("in_use", "In use before names were proved"),
                        ],
                        max_length=14,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("proved_at", models.DateTimeField(blank=True, null=True)),
                (
                    "checked_at",
                    models.DateTimeField(
                        blank=True, help_text="When its record and file were last looked for.", null=True
                    ),
                ),
                (
                    "check_at",
                    models.DateTimeField(
                        blank=True, db_index=True, help_text="When they are looked for next.", null=True
                    ),
                ),
                ("finding", models.CharField(blank=True, help_text="What was found then.", max_length=300)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="hosts", to="tenants.tenant"
                    ),
                ),
            ],
            options={
                "ordering": ["host"],
                "constraints": [
                    models.UniqueConstraint(fields=("host", "tenant"), name="a_tenant_claims_a_host_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "proved")), fields=("host",), name="a_host_has_one_owner"
                    ),
                ],
            },
        ),
        migrations.RunPython(hosts_in_use, migrations.RunPython.noop),
    ]
