"""Checks of an installation before it serves: ``manage.py check --deploy`` runs them, and ``up`` and ``migrate`` those that forbid
to start."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError, connections
from django.db.migrations.loader import MigrationLoader

from apps.supervisor.valkey import ValkeyError, refuse_evicting
from apps.wire.redis_client import AWAY, connect

FEWEST_CHARACTERS, FEWEST_DIFFERENT = 32, 10
"""Of a secret: 32 random bytes in base64 have 43 characters, and a typed one of that length can be told by its characters."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@register(deploy=True)
def metrics_have_readers(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Where gateways are reached from elsewhere, it is said who may read their metrics."""
    if settings.METRICS_NETWORKS or settings.LISTEN_HOST in LOOPBACK:
        return []
    return [
        Warning(
            "/_gateway/metrics answers calls from its own machine only.",
            hint="Set METRICS_NETWORKS to the networks of whatever scrapes the gateways, like 10.20.0.0/16.",
            id="platform.W002",
        )
    ]


@register(deploy=True)
def browsers_keep_to_https(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """The console is reached over HTTPS, knows when it is, and has browsers use nothing else."""
    console = urlsplit(settings.CONSOLE_URL)
    if console.scheme != "https":
        if console.hostname in LOOPBACK:
            return []
        return [
            Warning(
                f"People reach the console over HTTP ({settings.CONSOLE_URL}): passwords and sessions can be read on the way.",
                hint="Put a proxy that speaks TLS in front of it, name its address in TRUSTED_PROXIES, and set CONSOLE_URL.",
                id="platform.W003",
            )
        ]
    found: list[CheckMessage] = []
    if not settings.TRUSTED_PROXIES and not settings.SESSION_COOKIE_SECURE:
        found.append(
            Warning(
                "CONSOLE_URL is https, but nothing tells the console which calls came so: its cookies are sent over HTTP too.",
                hint="Set TRUSTED_PROXIES to the addresses of what speaks TLS in front of it; or SECURE_COOKIES=1, where nobody "
                "uses it over HTTP.",
                id="platform.W004",
            )
        )
    if not settings.SECURE_HSTS_SECONDS:
        found.append(
            Warning(
                "HSTS isn't set: a browser in which a user types the console's name begins over HTTP, where others can answer.",
                hint="Set HSTS=1h, and HSTS=365d once all goes well: until it has passed, browsers won't use the console's host "
                "over HTTP. HSTS_SUBDOMAINS=1 says so of the hosts below it.",
                id="platform.W005",
            )
        )
    return found


@register(deploy=True)
def the_console_has_a_host_of_its_own(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Scripts of an API on the console's host name are, to a browser, nearly the console's own: cookies know no ports."""
    host = urlsplit(settings.CONSOLE_URL).hostname
    if settings.LISTEN_HOST in LOOPBACK or host != urlsplit(settings.GATEWAY_URL).hostname:
        return []
    return [
        Warning(
            f"The console and the gateways have one host name, {host}: browsers give cookies and trust to both alike.",
            hint="Give them different names, and set CONSOLE_URL and GATEWAY_URL to these.",
            id="platform.W006",
        )
    ]


@register(deploy=True)
def state_server_keeps_what_it_is_given(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """The state Redis answers and never evicts."""
    client = connect(settings.REDIS_URL, timeout=5.0)
    try:
        refuse_evicting(client)
    except ValkeyError as error:
        return [Error(str(error), id="platform.E001")]
    except AWAY as error:
        return [Warning(f"The state Redis (REDIS_URL) could not be asked: {error}", id="platform.W001")]
    finally:
        client.close()
    return []


@register(deploy=True)
def secrets_are_long_and_random(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Secrets that the environment gives can't be guessed; those that are made at the first start have 256 random bits."""
    given = {
        "SECRET_KEY": settings.SECRET_KEY,
        "KEY_PEPPER": settings.KEY_PEPPER.decode(),
        "FIELD_KEYS": settings.FIELD_KEYS[0],
    }
    return [
        Warning(
            f"{name} is short or repeats itself: it can be guessed.",
            hint='Make one with `python -c "import secrets; print(secrets.token_urlsafe(32))"`. What a change of each means is in '
            "docs/operations.md.",
            id="platform.W007",
        )
        for name, value in given.items()
        if len(value.strip()) < FEWEST_CHARACTERS or len(set(value)) < FEWEST_DIFFERENT
    ]


@register(Tags.database)
def the_database_is_no_newer_versions(
    app_configs: Sequence[Any] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """An older version on the tables of a newer one would fail at some changes and lose parts of others."""
    try:
        unknown = sorted(name for alias in databases or () for name in _unknown_migrations(alias))
    except DatabaseError:
        return []  # away: what asks for it next says so
    if not unknown:
        return []
    return [
        Error(
            f"A newer version of apimgr has changed this database: {', '.join(unknown)}.",
            hint="Start that version, or put back the backup from before the upgrade.",
            id="platform.E002",
        )
    ]


def _unknown_migrations(alias: str) -> list[str]:
    """Those that were applied to our tables, and that this version doesn't have."""
    loader = MigrationLoader(connections[alias])
    ours = {app.label for app in apps.get_app_configs() if app.name.startswith("apps.")}
    known = loader.disk_migrations.keys() | {name for each in loader.disk_migrations.values() for name in each.replaces}
    return [f"{app}.{name}" for app, name in loader.applied_migrations if app in ours and (app, name) not in known]
