"""Checks of an installation before it serves: ``manage.py check --deploy`` runs them, and ``up`` the same function."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from apps.fleet.connections import AWAY, connect
from apps.platform.valkey import ValkeyError, refuse_evicting

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@register(deploy=True)
def somebody_reads_the_metrics(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
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
