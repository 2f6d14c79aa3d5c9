"""What the schedule does with users and tenants."""

from celery import shared_task

from apps.tenants.services import tokens_notify


@shared_task(name="tenants.notify")
def notify() -> None:
    """Write to the owners of tokens that end soon."""
    tokens_notify()
