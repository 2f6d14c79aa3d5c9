"""What Celery does with users and tenants: by the schedule, and when a worker begins."""

from typing import Any

from celery import shared_task
from celery.signals import worker_ready
from django.db import DatabaseError

from apps.tenants.egress import egress_announce
from apps.tenants.invitations import invitations_clean
from apps.tenants.services import tokens_notify


@shared_task(name="tenants.notify")
def notify() -> None:
    """Write to the owners of tokens that end soon, and forget invitations without an answer."""
    tokens_notify()
    invitations_clean()


@shared_task(name="tenants.egress", autoretry_for=(DatabaseError,), retry_backoff=True, max_retries=None)
def announce_egress() -> None:
    """Have gateways know what the environment says of egress."""
    egress_announce()


@worker_ready.connect
def _announce_when_ready(**kwargs: Any) -> None:
    announce_egress.delay()
