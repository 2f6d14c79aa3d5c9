"""How long calls and figures are kept. Deleted in small steps, so that neither calls' ingestion nor the console waits for it."""

import json
import logging
import time
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection, models, transaction
from django.utils import timezone

from apps.analytics.choices import LossCause, Period
from apps.analytics.models import (
    CallRecord,
    ContractReport,
    Incarnation,
    Interval,
    Loss,
    RollUp,
    SetAside,
    SyntheticEvent,
)
from apps.wire import redis_names
from apps.wire.redis_client import AWAY, connect

STEP = 500
#: Between two steps, on SQLite, which has one writer at a time.
_PAUSE = 0.02
#: How long after its last sign an incarnation's account is kept. Old records that come later still are counted anew.
_ACCOUNTS = timedelta(days=30)
_log = logging.getLogger(__name__)


def delete_old(*, now: datetime | None = None, seconds: float = float("inf")) -> dict[str, int]:
    """Delete what is older than the settings say, for about ``seconds`` at most. Rows deleted by kind."""
    now = now or timezone.now()
    until = time.monotonic() + seconds
    days = {
        Period.MINUTE: settings.MINUTE_FIGURES_DAYS,
        Period.HOUR: settings.HOUR_FIGURES_DAYS,
        Period.DAY: settings.DAY_FIGURES_DAYS,
    }
    log = now - timedelta(days=settings.CALL_LOG_DAYS)
    deleted = {"calls": delete_in_steps(CallRecord.objects.filter(at__lt=log).order_by("at"), until)}
    for period, kept in days.items():
        old = RollUp.objects.filter(period=period, bucket__lt=now - timedelta(days=kept)).order_by()
        deleted[f"figures by {period.label.lower()}"] = delete_in_steps(old, until)
    deleted["contract reports"] = delete_in_steps(ContractReport.objects.filter(last_at__lt=log).order_by(), until)
    deleted["set aside"] = delete_in_steps(SetAside.objects.filter(at__lt=log).order_by(), until)
    last = now - timedelta(days=settings.DAY_FIGURES_DAYS)
    deleted["synthetic events"] = delete_in_steps(SyntheticEvent.objects.filter(at__lt=last).order_by(), until)
    deleted["losses"] = delete_in_steps(Loss.objects.filter(at__lt=last).order_by(), until)
    _forget_nodes(now - _ACCOUNTS)
    deleted["incarnations"] = _close_accounts(now - _ACCOUNTS, until)
    return deleted


def delete_in_steps(queryset: models.QuerySet, until: float = float("inf")) -> int:
    """Delete the rows of ``queryset`` in steps, until that monotonic time at most. No other row depends on them."""
    total = 0
    while time.monotonic() < until:
        keys = list(queryset.values_list("pk", flat=True)[:STEP])
        if keys:
            total += queryset.model._base_manager.filter(pk__in=keys).delete()[0]
        if len(keys) < STEP:
            break
        if connection.vendor == "sqlite":
            time.sleep(_PAUSE)
    return total


def _close_accounts(before: datetime, until: float) -> int:
    """Let go of the intervals of incarnations long gone. What is still missing of them stays on the books as lost."""
    closed = 0
    for life in Incarnation.objects.filter(last_at__lt=before).iterator(chunk_size=STEP):
        if time.monotonic() >= until:
            break
        with transaction.atomic():
            Loss.objects.bulk_create(
                Loss(
                    incarnation=life.pk,
                    first=gap.first - gap.missing_before,
                    last=gap.first - 1,
                    count=gap.missing_before,
                    cause=LossCause.NEVER_CAME,
                    at=gap.first_at,
                )
                for gap in Interval.objects.filter(incarnation=life, missing_before__gt=0)
            )
            life.delete()
        closed += 1
    return closed


def _forget_nodes(before: datetime) -> None:
    """Let go of nodes that nothing was heard of since: what lies in their spools will not come. Nothing while Redis is away."""
    client = connect(settings.REDIS_URL)
    try:
        for node, said in client.hgetall(redis_names.AGENTS).items():
            if json.loads(said)["at"] < before.timestamp():
                client.hdel(redis_names.AGENTS, node)
        for life, said in client.hgetall(redis_names.CALLS_WRITTEN).items():
            last, _, told_at = json.loads(said)
            if told_at >= before.timestamp() or not client.hdel(redis_names.CALLS_WRITTEN, life):
                continue
            client.hdel(redis_names.CALLS_TAKEN, life)
            came = Interval.objects.filter(incarnation=life.decode()).aggregate(n=models.Max("last"))["n"] or 0
            if last > came:
                Loss.objects.create(
                    incarnation=life.decode(),
                    first=came + 1,
                    last=last,
                    count=last - came,
                    cause=LossCause.NEVER_CAME,
                    at=datetime.fromtimestamp(told_at, UTC),
                )
    except AWAY as error:
        _log.warning("Nodes that are gone are forgotten later: Redis is away (%s)", error)
    finally:
        client.close()
