"""The upstream of the benchmark: answers 1 KB at once, so that what is measured is what stands before it.

``/cached/…`` may be kept for an hour, anything else not at all. ``python -m benchmarks.origin PORT``.
"""

import asyncio
import sys

import httptools
import uvloop

BODY = b'{"id":1,"pad":"' + b"x" * 1000 + b'"}'


def answer(cache_control: bytes) -> bytes:
    """A whole HTTP/1.1 response."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: %b\r\ncontent-length: %d\r\n\r\n"
    return head % (cache_control, len(BODY)) + BODY


KEPT, PASSED = answer(b"public, max-age=3600"), answer(b"no-store")


class Origin(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read requests."""
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls back."""
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Choose the answer."""
        self.chosen = KEPT if url.startswith(b"/cached/") else PASSED

    def on_message_complete(self) -> None:
        """Answer."""
        self.transport.write(self.chosen)  # type: ignore[attr-defined]


async def main(port: int) -> None:
    """Serve on loopback until ended."""
    server = await asyncio.get_running_loop().create_server(Origin, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
