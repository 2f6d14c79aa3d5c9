"""Seeded faults in what is read of a connection: each is caught by the property that any split gives the same responses."""

import contextlib
from collections.abc import Callable
from typing import Any

import httptools
import pytest

from apps.gateway.server import http1 as lane_module
from apps.gateway.server.http1 import HTTP1Connection
from tests.gateway.house import Door, Origin
from tests.gateway.test_segments import Wire, check, some_cases, wired

Patch = Callable[[pytest.MonkeyPatch], None]


def what_may_be_whole_is_taken_for_whole(patch: pytest.MonkeyPatch) -> None:
    """A segment has its end where its head ends, or has neither: ``-1 == len(b"GET") - 4``."""
    receive, decide = HTTP1Connection.data_received, HTTP1Connection.on_headers_complete

    def data_received(self: Any, data: bytes) -> None:
        if self._between and data.find(b"\r\n\r\n") == len(data) - 4:
            self.segment = data
        receive(self, data)

    def on_headers_complete(self: Any) -> None:
        decide(self)
        if self._admitted is not None and getattr(self, "segment", None):
            self.gateway.pipeline.remember(self.segment, self._admitted)
            self.segment = None

    patch.setattr(HTTP1Connection, "data_received", data_received)
    patch.setattr(HTTP1Connection, "on_headers_complete", on_headers_complete)


def heads_are_looked_up_amid_a_message(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(HTTP1Connection, "_between", property(lambda self: True, lambda self, value: None), raising=False)


def a_segment_with_several_messages_is_one_head(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(HTTP1Connection, "_messages", property(lambda self: 1, lambda self, value: None), raising=False)
    patch.setattr(lane_module, "_is_one_head", lambda segment: True)


def the_end_of_a_head_is_a_head(patch: pytest.MonkeyPatch) -> None:
    """Remembered by the last segment of a message that began in an earlier one."""
    receive = HTTP1Connection.data_received

    def data_received(self: Any, data: bytes) -> None:
        receive(self, data)
        if self._between and self._admitted is not None:
            self.gateway.pipeline.remember(data, self._admitted)

    patch.setattr(HTTP1Connection, "data_received", data_received)


def an_upgrade_ends_a_message(patch: pytest.MonkeyPatch) -> None:
    def parse(self: Any, data: bytes) -> None:
        with contextlib.suppress(httptools.HttpParserUpgrade):
            self.parser.feed_data(data)

    patch.setattr(HTTP1Connection, "_parse", parse)


def what_follows_an_upgrade_in_its_segment_is_lost(patch: pytest.MonkeyPatch) -> None:
    def parse(self: Any, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._parse_without_upgrade()

    patch.setattr(HTTP1Connection, "_parse", parse)


async def caught(wire: Wire) -> bool:
    """Whether a case fails, in any way."""
    wire.patience = 1.0
    for case in some_cases(100):
        try:
            await check(wire, case)
        except Exception:
            return True
    return False


@pytest.mark.parametrize(
    "fault",
    [
        what_may_be_whole_is_taken_for_whole,
        heads_are_looked_up_amid_a_message,
        a_segment_with_several_messages_is_one_head,
        the_end_of_a_head_is_a_head,
        an_upgrade_ends_a_message,
        what_follows_an_upgrade_in_its_segment_is_lost,
    ],
)
async def test_a_fault_in_reading_is_caught(
    lane: Door, origin: Origin, monkeypatch: pytest.MonkeyPatch, fault: Patch
) -> None:
    wire = await wired(lane, origin, monkeypatch)
    fault(monkeypatch)
    assert await caught(wire)
