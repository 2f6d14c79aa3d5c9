"""What Celery does for warm-ups. Truth is the rows; a task only says: look."""

import logging
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

from celery import shared_task
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone
from redis.exceptions import LockError

from apps.warming.gateway_calls import Fetcher
from apps.warming.runner import claim, work
from apps.warming.triggers import begin_due
from apps.wire import redis_names
from apps.wire.redis_client import AWAY, connect

TURN = 60.0
"""Seconds that one task begins calls, while there is something to do."""

HELD = 15.0
"""Seconds for which a task that was killed keeps others from working; one that lives says so each second."""

_log = logging.getLogger(__name__)


@shared_task(name="warming.begin")
def begin() -> None:
    """Every five seconds: begin what the schedule, a purge or a new revision asks for."""
    try:
        begin_due(timezone.now())
    except DatabaseError as error:
        _log.warning("Warm-ups wait: the database is away (%s)", str(error).strip())


@shared_task(name="warming.work")
def go_on() -> None:
    """Every two seconds: work on what is unfinished, one task of the whole installation at a time.

    There is one, so that warm-ups never take the threads that the call records need.
    """
    client = connect(settings.REDIS_URL)
    lock = client.lock(redis_names.WARMING, timeout=HELD, blocking=False, thread_local=False)
    try:
        if not lock.acquire():
            return
        try:
            work_a_turn(alive=lock.reacquire)
        finally:
            with suppress(LockError, *AWAY):
                lock.release()
    except LockError:  # held so long that another took over, who goes on
        _log.info("Another works on warm-ups now")
    except AWAY as error:
        _log.warning("Warm-ups wait: Redis is away (%s)", error)
    except DatabaseError as error:
        _log.warning("Warm-ups wait: the database is away (%s)", str(error).strip())
    finally:
        client.close()


def work_a_turn(alive: Callable[[], object]) -> None:
    """Work on what is unfinished, and on what comes meanwhile, for ``TURN`` seconds. ``alive`` is called each second."""
    until = time.monotonic() + TURN
    worker = uuid.uuid4().hex
    while time.monotonic() < until and (runs := claim(worker)):
        with Fetcher() as fetcher:
            work(
                runs,
                fetcher.submit,
                until=until,
                saved=lambda _: alive(),
                more=lambda beside: claim(worker, beside=beside),
            )
