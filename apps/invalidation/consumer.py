"""The event consumer: purges on messages of the origin's systems, from Redis, RabbitMQ or Kafka.

A message is acknowledged when its purge is in Redis. While that, or the database, is away, it is held and tried again; a
consumer that dies has it delivered to the next. One that can't be taken is rejected and kept for people (a RabbitMQ
queue with a dead-letter exchange gets it there too), and the next one's turn comes.

At least once is what a broker gives. RabbitMQ gives it whole. Redis's queues lose a message whose consumer is killed in the
millisecond between popping and noting it.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from django.db import DatabaseError, close_old_connections
from kombu import compression
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.mixins import ConsumerMixin

from apps.foundation.errors import Unavailable
from apps.invalidation import message_inbox, plain_redis
from apps.invalidation.choices import MessageSource

PREFETCH = 20
"""Messages that the broker hands over before the first is acknowledged."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between two tries while Redis or the database is away."""

REDIS, AMQP, KAFKA = (
    ("redis", "rediss", "unix", "redis+socket"),
    ("amqp", "amqps", "pyamqp"),
    ("kafka", "confluentkafka"),
)
"""What an address may begin with."""

REDELIVERED = 60
"""Seconds after which Redis's queue gives a message of a consumer that is gone to another."""

log = logging.getLogger(__name__)


def _stay_packed(body: bytes) -> bytes:
    raise ValueError("Compressed messages aren't taken.")


# kombu unpacks what a message's header says is compressed, whatever it grows to, before our code sees it.
for _kind in compression.encoders():
    compression.register(_stay_packed, _stay_packed, _kind)


class CannotConsume(Exception):
    """The address names nothing that can be consumed; the message says what to do."""


def connection_to(url: str) -> Connection:
    """A connection to the broker, not opened yet. Raises ``CannotConsume``."""
    scheme, _, rest = url.partition("://")
    if scheme in REDIS:
        waits = {"visibility_timeout": REDELIVERED, "socket_timeout": 10, "socket_connect_timeout": 5}
        if scheme in ("unix", "redis+socket"):
            url = f"{plain_redis.ALIAS}+socket://{rest}"
        return Connection(url, transport=plain_redis.ALIAS, transport_options=waits, connect_timeout=5)
    if scheme in KAFKA and find_spec("confluent_kafka") is None:
        raise CannotConsume("Kafka needs confluent-kafka, which is not installed: pip install it beside apimgr.")
    if scheme not in (*AMQP, *KAFKA):
        raise CannotConsume("INVALIDATION_URL is redis://…, rediss://…, unix://…, amqp://…, amqps://… or kafka://…")
    return Connection(url, heartbeat=30, connect_timeout=5)


class Events(ConsumerMixin):
    """Consumes one queue until ``stop``."""

    def __init__(self, url: str, queue: str) -> None:
        self.connection = connection_to(url)
        self.taken = 0
        self.refused = 0
        self.ready = threading.Event()
        self._queue = queue
        self._stopping = threading.Event()

    @property
    def should_stop(self) -> bool:  # type: ignore[override]
        """Asked by kombu once a second."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Take no more messages; those at hand go back to the broker."""
        self._stopping.set()

    def get_consumers(self, consumer: Any, channel: Any) -> list[Any]:
        """One, on a queue that is made if it isn't there. An operator's own, with other properties, is left as it is."""
        queue = Queue(self._queue, durable=True, no_declare=self._is_there())
        return [consumer(queues=[queue], on_message=self.on_message, prefetch_count=PREFETCH)]

    def _is_there(self) -> bool:
        try:
            with self.connection.clone() as connection, connection.channel() as channel:
                channel.queue_declare(self._queue, passive=True)
        except self.connection.channel_errors:
            return False
        return True

    def on_consume_ready(self, connection: Any, channel: Any, consumers: Any, **options: Any) -> None:
        """It listens."""
        log.info("listening to %s at %s", self._queue, connection.as_uri())
        self.ready.set()

    @contextmanager
    def establish_connection(self) -> Iterator[Any]:
        """A connection, when there is one again; a stop isn't kept waiting for that."""
        with self.create_connection() as connection:
            connection.ensure_connection(
                self.on_connection_error, interval_start=1, interval_step=1, interval_max=5, callback=self._leave
            )
            yield connection

    def _leave(self) -> None:
        """Asked each second while the broker is away."""
        if self.should_stop:
            raise SystemExit(0)

    def on_connection_error(self, exc: Exception, interval: float) -> None:
        """The broker is away: say so, and go on trying."""
        log.warning("the broker can't be reached, next try in %s s: %s", interval, exc)

    def on_message(self, message: Any) -> None:
        """Take one message, whatever it is."""
        body = message.body
        body = body.encode() if isinstance(body, str) else bytes(body or b"")
        pause = FIRST_PAUSE
        while not self.should_stop:
            close_old_connections()
            try:
                taken = message_inbox.take(body, source=MessageSource.QUEUE)
            except (Unavailable, DatabaseError) as error:
                log.warning("a message waits: %s", error)
                self._stopping.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            for index, detail in taken.refused.items():
                log.error("item %d of a message was refused: %s", index + 1, detail)
            self.taken += len(taken.purges)
            self.refused += len(taken.refused)
            if taken.nothing:
                message.reject()
            else:
                message.ack()
            return
        message.requeue()
