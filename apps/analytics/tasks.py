"""What Celery does for analytics. Truth is the stream and the rows; a task only says: look."""

from celery import shared_task

from apps.analytics import ingestion, retention
from apps.fleet.services import celery_is_alive


@shared_task(name="analytics.ingest")
def ingest() -> None:
    """Each second: take the call records that came."""
    celery_is_alive()
    ingestion.ingest()


@shared_task(name="analytics.retention")
def retain() -> None:
    """Each hour: delete what is older than it is kept."""
    retention.delete_old()
