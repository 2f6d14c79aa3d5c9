"""Why calls to an API's upstreams failed lately, from the call log: the index of failed calls makes it cheap on a busy API too."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max
from django.utils import timezone

from apps.analytics.explain import sentence_of
from apps.analytics.policies import calls_visible_to
from apps.tenants.actors import Actor

LATELY = timedelta(hours=1)


@dataclass(frozen=True)
class FailuresOfCause:
    """``calls`` of which an upstream call failed for this ``cause`` (a code of ``FailureCause``), the last one at ``last``."""

    cause: str
    sentence: str
    calls: int
    last: datetime


def failures_by_cause(actor: Actor | None, api: str) -> list[FailuresOfCause]:
    """Of the last hour's calls to an API that ``actor`` may see, those that met a failing upstream, most frequent cause first: a
    call that another attempt or a stale response answered is among them. One query.
    """
    failed = calls_visible_to(actor).filter(api=api, at__gte=timezone.now() - LATELY).exclude(cause="")
    rows = (
        failed.order_by().values_list("cause").annotate(calls=Count("pk"), last=Max("at")).order_by("-calls", "cause")
    )
    return [FailuresOfCause(cause, sentence_of(cause), calls, last) for cause, calls, last in rows]
