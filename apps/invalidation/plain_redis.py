"""kombu's Redis transport for queues into which other systems push plain JSON.

kombu's own producers wrap a message into an envelope. An origin's system that does ``LPUSH apimgr.invalidations
'{"api": …}'`` knows nothing of that, and what it pushes would stop the consumer. Here it is wrapped on arrival, whatever it
is; of a kombu producer's envelope, which other systems can write too, the message alone is taken.
"""

import base64
import json
import uuid
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis

ALIAS = "plainredis"
"""The transport's name."""


def enveloped(item: bytes, queue: str) -> bytes:
    """What stood in the queue, as kombu wants it."""
    item = _message_in(item)
    return json.dumps(
        {
            "body": base64.b64encode(item).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {},
            "properties": {
                "body_encoding": "base64",
                "delivery_info": {"exchange": "", "routing_key": queue},
                "delivery_tag": str(uuid.uuid4()),
            },
        }
    ).encode()


def _message_in(item: bytes) -> bytes:
    """The message in a kombu producer's envelope; where it is in none, the item itself.

    Nothing else in it counts: kombu would look up the encodings that it names, and unpack what it says is compressed.
    """
    try:
        envelope = json.loads(item)
        body, properties = envelope["body"], envelope["properties"]
        return base64.b64decode(body, validate=True) if properties["body_encoding"] == "base64" else body.encode()
    except (ValueError, AttributeError, TypeError, LookupError, RecursionError):
        return item


class Channel(redis.Channel):
    """Wraps what it pops."""

    def _create_client(self, asynchronous: bool = False) -> Any:
        client = super()._create_client(asynchronous)
        parse = client.parse_response

        def parse_response(connection: Any, command_name: Any, **options: Any) -> Any:
            found = parse(connection, command_name, **options)
            if command_name != "BRPOP" or not found:
                return found
            key, item = found
            return key, enveloped(item, key.decode().rsplit(self.sep, 1)[0])

        client.parse_response = parse_response
        return client


class Transport(redis.Transport):
    """The transport."""

    Channel = Channel


# kombu takes a transport from the front of a socket's address, by this name alone.
TRANSPORT_ALIASES[ALIAS] = f"{__name__}:Transport"
