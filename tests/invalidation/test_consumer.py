"""The event consumer on real brokers: a Valkey of the test's own, and RabbitMQ where one runs on this machine."""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections
from kombu.connection import Connection
from kombu.message import Message

from apps.caching.models import Purge
from apps.foundation.errors import Unavailable
from apps.invalidation import consumer, message_inbox
from apps.invalidation.consumer import CannotConsume, Events, connection_to
from apps.invalidation.message_inbox import InboxResult
from apps.invalidation.models import RefusedMessage
from apps.invalidation.plain_redis import enveloped
from apps.supervisor import installation
from apps.wire import redis_names
from tests.support.cast import make_api, make_tenant
from tests.support.waiting import wait_until

RABBIT = os.environ.get("CELERY_BROKER_URL", "")
BROKERS = ["redis", pytest.param("amqp", marks=pytest.mark.skipif("amqp" not in RABBIT, reason="no RabbitMQ is named"))]


class Broker:
    """A broker and a queue of the test's own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.queue = f"tests-{uuid.uuid4().hex}"

    def send(self, body: Any) -> None:
        """As an origin's system that knows nothing of kombu: bytes into the queue."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        with connection_to(self.url) as connection, connection.channel() as channel:
            if "amqp" in self.url:
                connection.SimpleQueue(self.queue, channel=channel).close()
                with connection.Producer(channel) as producer:
                    producer.publish(
                        raw, routing_key=self.queue, content_type="application/json", content_encoding="binary"
                    )
            else:
                channel.client.lpush(self.queue, raw)

    def left(self) -> int:
        """Messages that nobody has taken."""
        with connection_to(self.url) as connection, connection.channel() as channel:
            if "amqp" in self.url:
                return channel.queue_declare(self.queue, passive=True).message_count
            return channel.client.llen(self.queue) + channel.client.hlen("unacked")

    def forget(self) -> None:
        with connection_to(self.url) as connection, connection.channel() as channel:
            channel.queue_delete(self.queue)


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest, extra_valkey: Callable[..., Any]) -> Iterator[Broker]:
    if request.param == "amqp":
        made = Broker(RABBIT)
        yield made
        made.forget()
    else:
        yield Broker(extra_valkey("state").url)


class Running:
    """A consumer in a thread."""

    def __init__(self, url: str, queue: str) -> None:
        self.events = Events(url, queue)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            with contextlib.suppress(SystemExit):  # as if it had been killed
                self.events.run(safety_interval=0.1)
        finally:
            connections.close_all()

    def stop(self) -> None:
        self.events.stop()
        self._thread.join(15)
        assert not self._thread.is_alive()


@pytest.fixture
def consume() -> Iterator[Callable[[Broker], Running]]:
    made: list[Running] = []

    def start(broker: Broker) -> Running:
        made.append(Running(broker.url, broker.queue))
        assert made[-1].events.ready.wait(15)
        return made[-1]

    yield start
    for running in made:
        running.stop()


@pytest.fixture
def products(transactional_db: None, state_redis: Any) -> Any:
    state_redis.hset(redis_names.EPOCH, mapping={"incarnation": 1, "n": 1, "seq": 0})
    return make_api(make_tenant("platform"))


def purged() -> list[str]:
    return sorted(Purge.objects.values_list("value", flat=True))


def test_messages_are_purged_and_bad_ones_hold_up_nobody(products, broker, consume, state_redis):
    broker.send({"api": "products", "kind": "path", "value": "/a"})
    broker.send(b"\xff no json")
    broker.send({"api": "nothing", "kind": "api"})
    broker.send([])
    broker.send({"body": {}, "properties": None})
    running = consume(broker)
    broker.send([{"api": "products", "kind": "tag", "value": "b"}, {"api": "products", "kind": "tag", "value": "c"}])
    wait_until(lambda: purged() == ["/a", "b", "c"])
    wait_until(lambda: broker.left() == 0, what="all are acknowledged or rejected")
    assert RefusedMessage.objects.count() == 4
    assert (running.events.taken, running.events.refused) == (3, 4)
    assert b"p:products:/a" in state_redis.hgetall(redis_names.PURGES)


def test_a_message_of_a_kombu_producer_is_taken_too(products, broker, consume):
    consume(broker)
    with Connection(connection_to(broker.url).as_uri(include_password=True)) as connection:
        queue = connection.SimpleQueue(broker.queue)
        queue.put({"api": "products", "kind": "tag", "value": "a"}, serializer="json")
        queue.close()
    wait_until(lambda: purged() == ["a"])


def test_while_redis_or_the_database_is_away_a_message_waits_and_is_then_taken(products, broker, consume, monkeypatch):
    whole, tries = message_inbox.take, []

    def away(body: bytes, **options: Any) -> InboxResult:
        tries.append(body)
        if len(tries) < 4:
            raise Unavailable("Redis is away") if len(tries) % 2 else OperationalError("the database is away")
        return whole(body, **options)

    monkeypatch.setattr(consumer, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(message_inbox, "take", away)
    consume(broker)
    broker.send({"api": "products", "kind": "tag", "value": "a"})
    wait_until(lambda: purged() == ["a"])
    wait_until(lambda: broker.left() == 0)
    assert len(tries) == 4


def test_what_a_stopped_consumer_had_in_hand_is_taken_by_the_next(products, broker, consume, monkeypatch):
    reached = threading.Event()

    def away(body: bytes, **options: Any) -> InboxResult:
        reached.set()
        raise Unavailable("Redis is away")

    with monkeypatch.context() as patch:
        patch.setattr(message_inbox, "take", away)
        first = consume(broker)
        for value in "abc":
            broker.send({"api": "products", "kind": "tag", "value": value})
        assert reached.wait(15)
        first.stop()
    assert purged() == []
    consume(broker)
    wait_until(lambda: purged() == ["a", "b", "c"])


def test_it_survives_a_restart_of_the_broker(products, extra_valkey, consume):
    server = extra_valkey("state")
    broker = Broker(server.url)
    consume(broker)
    broker.send({"api": "products", "kind": "tag", "value": "a"})
    wait_until(lambda: purged() == ["a"])
    server.kill()
    server.start()
    broker.send({"api": "products", "kind": "tag", "value": "b"})
    wait_until(lambda: purged() == ["a", "b"], 30)


def test_a_killed_consumers_message_is_given_to_the_next(products, broker, consume, monkeypatch):
    """The purge is made, and nobody told the broker: it comes again, and its id says that it was taken."""
    first = consume(broker)
    acknowledged = threading.Event()

    def dies(self: Any, *arguments: Any, **options: Any) -> None:
        acknowledged.set()
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("kombu.message.Message.ack", dies)
        broker.send({"api": "products", "kind": "tag", "value": "a", "id": "1"})
        assert acknowledged.wait(15)
        first._thread.join(15)
    consume(broker)
    wait_until(lambda: broker.left() == 0, 30)
    assert purged() == ["a"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("kafka://127.0.0.1:9092", "Kafka needs confluent-kafka"),
        ("carrier-pigeon://loft", "redis://"),
        ("nothing", "redis://"),
    ],
)
def test_an_address_that_cannot_be_consumed_says_what_to_do(url, said, settings):
    with pytest.raises(CannotConsume, match=said):
        connection_to(url)
    settings.INVALIDATION_URL = url
    with pytest.raises(CommandError, match=said):
        call_command("events")


def test_without_an_address_the_command_says_so(settings):
    settings.INVALIDATION_URL = ""
    with pytest.raises(CommandError, match="INVALIDATION_URL"):
        call_command("events")


def test_the_command_stops_when_it_is_told_to(extra_valkey):
    broker = Broker(extra_valkey("state").url)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "events"],
        cwd=django_settings.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "apimgr.settings", "INVALIDATION_URL": broker.url},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process:
        lines: list[str] = []
        for line in process.stderr:
            lines.append(line)
            if "listening" in line:
                break
        assert "listening to apimgr.invalidations" in "".join(lines)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0


def test_it_stops_while_there_is_no_broker(tmp_path, caplog):
    running = Running(f"unix://{tmp_path}/none", "q")
    wait_until(lambda: "the broker can't be reached" in caplog.text)
    running.stop()


ENVELOPE = {
    "body": base64.b64encode(b"{}").decode(),
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "headers": {},
    "properties": {
        "body_encoding": "base64",
        "delivery_info": {"exchange": "", "routing_key": "q"},
        "delivery_tag": "x",
    },
}
"""As a kombu producer makes it."""

PROPERTIES: dict[str, Any] = ENVELOPE["properties"]

ODD = [
    *(ENVELOPE | {name: value} for name in ENVELOPE for value in (None, 7, "nothing", "!", [], {})),
    *(
        ENVELOPE | {"properties": PROPERTIES | {name: value}}
        for name in PROPERTIES
        for value in (None, 7, "none", [], {})
    ),
    *(ENVELOPE | {"headers": {"compression": kind}} for kind in ("gzip", "none", 7)),
    *({name: ENVELOPE[name] for name in ENVELOPE if name != left_out} for left_out in ENVELOPE),
    *(
        ENVELOPE | {"properties": {name: PROPERTIES[name] for name in PROPERTIES if name != left_out}}
        for left_out in PROPERTIES
    ),
]
"""Envelopes that no producer makes, and anybody can push."""


@pytest.mark.parametrize(
    "item", [b"{}", b"[1]", b"7", b"\xff", b'{"body": 1, "properties": {}}', b'{"body": "", "properties": 3}']
)
def test_whatever_stands_in_the_queue_gets_an_envelope(item):
    wrapped = json.loads(enveloped(item, "q"))
    assert wrapped["properties"]["delivery_info"] == {"exchange": "", "routing_key": "q"}
    assert base64.b64decode(wrapped["body"]) == item
    again = json.loads(enveloped(json.dumps(wrapped).encode(), "q"))
    assert again["body"] == wrapped["body"]


def test_of_a_producers_envelope_the_message_alone_is_taken():
    for odd in ODD:
        wrapped = json.loads(enveloped(json.dumps(odd).encode(), "q"))
        tag = wrapped["properties"].pop("delivery_tag")
        assert uuid.UUID(tag)
        properties = {"body_encoding": "base64", "delivery_info": {"exchange": "", "routing_key": "q"}}
        assert wrapped == ENVELOPE | {"body": wrapped["body"], "properties": properties}


def test_no_envelope_ends_the_consumer(products, extra_valkey, consume):
    """One that named no encoding did, with all messages that it held."""
    broker = Broker(extra_valkey("state").url)
    for odd in ODD:
        broker.send(odd)
    broker.send({"api": "products", "kind": "path", "value": "/a"})
    consume(broker)
    wait_until(lambda: purged() == ["/a"])
    wait_until(lambda: broker.left() == 0)


def test_what_a_header_says_is_compressed_stays_packed():
    """A megabyte of it may be gigabytes."""
    message = Message(zlib.compress(b"a"), headers={"compression": "gzip"})
    with pytest.raises(ValueError, match="Compressed messages aren't taken"):
        message._reraise_error()


def test_up_runs_it_where_a_broker_is_named_and_stops_it_with_the_others(settings):
    settings.INVALIDATION_URL = ""
    assert installation.events() == []
    settings.INVALIDATION_URL = "amqp://127.0.0.1//"
    (plan,) = installation.events()
    assert (plan.name, plan.command.argv[-1]) == ("events", "events")
    assert installation.in_stop_order(installation.STOP_ORDER, ["state", "events", "gateway 0"]) == [
        ["gateway 0"],
        ["events"],
        ["state"],
    ]
