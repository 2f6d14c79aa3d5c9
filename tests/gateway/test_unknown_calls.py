"""Calls that no API was found for: each is counted, and a flood of them leaves a bounded number of bytes."""

from collections.abc import Awaitable, Callable

import pytest

from apps.gateway.gateway import Gateway
from apps.gateway.records.spool import frames
from apps.gateway.records.unknown_calls import tally_path
from apps.wire.call_records import SAMPLED, TallyRecord, decode
from tests.gateway.house import Door, ok, serving

GATEWAYS = Callable[..., Awaitable[Gateway]]
WHOLE = b"GET %b HTTP/1.1\r\nhost: a\r\n\r\n"

KINDS = {
    "an unknown path": (WHOLE % b"/nothing/here", 404, "unknown_api"),
    "a host without APIs": (b"GET / HTTP/1.1\r\nhost: elsewhere.test\r\n\r\n", 404, "unknown_api"),
    "a path that is none": (WHOLE % b"/products/%00", 400, "invalid_request"),
    "a head with two hosts": (b"GET /products/ HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400, "invalid_request"),
    "a field without a name": (b"GET /products/ HTTP/1.1\r\nhost: a\r\n: x\r\n\r\n", 400, "invalid_request"),
    "a long target": (WHOLE % (b"/" + b"a" * 9000), 414, "target_too_long"),
    "a large head": (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 40_000 + b"\r\n\r\n", 431, "header_too_large"),
    "what is no HTTP": (b"\x16\x03\x01 hello\r\n\r\n", 400, "invalid_request"),
    "a method of a proxy": (b"TRACE /products/ HTTP/1.1\r\nhost: a\r\n\r\n", 400, "invalid_request"),
}


def tallied(door: Door) -> dict[tuple[int, str], int]:
    """What was counted so far, in the spool and beside it."""
    spool = door.gateway.spool
    counted: dict[tuple[int, str], int] = {}
    for path in spool.folder.glob(f"{spool.incarnation}*"):
        if path.suffix not in (".spool", ".tally"):
            continue
        for each in frames(path.read_bytes()):
            record = decode(each.record)
            if isinstance(record, TallyRecord):
                for status, code, calls, _, _ in record.counts:
                    counted[status, code] = counted.get((status, code), 0) + calls
                if path.suffix == ".tally":
                    break
    return counted


def written(door: Door) -> int:
    """Bytes in the spool's folder."""
    return sum(path.stat().st_size for path in door.gateway.spool.folder.iterdir())


@pytest.mark.parametrize("kind", KINDS)
async def test_each_call_without_an_api_is_counted_before_its_response_leaves(lane: Door, kind: str) -> None:
    sent, status, code = KINDS[kind]
    assert (await lane.raw(sent)).status == status
    assert tallied(lane) == {(status, code): 1}
    (row,) = lane.calls()
    assert (row.api, row.status, row.code, row.flags) == ("", status, code, (SAMPLED,))


async def test_every_server_counts_them(door: Door) -> None:
    await door.call("/nothing")
    assert tallied(door) == {(404, "unknown_api"): 1}


async def test_a_flood_has_a_bounded_number_of_rows_and_all_its_calls_counted(gateways: GATEWAYS) -> None:
    gateway = await gateways(unknown_call_rows=0.5)
    async with serving(gateway) as door:
        for number in range(300):
            await door.call(f"/{'x' * 2000}/{number}")
        assert tallied(door) == {(404, "unknown_api"): 300}
        assert len(door.calls()) < 300 * 0.1
        assert written(door) < 20_000


async def test_the_workers_of_an_installation_share_its_rows(gateways: GATEWAYS) -> None:
    gateway = await gateways(unknown_call_rows=2)
    gateway.config.workers = 20
    async with serving(gateway) as door:
        for _ in range(5):
            await door.call("/nothing")
        assert tallied(door) == {(404, "unknown_api"): 5}
        assert len(door.calls()) <= 1


async def test_without_rows_they_are_counted_all_the_same(gateways: GATEWAYS) -> None:
    async with serving(await gateways(unknown_call_rows=0)) as door:
        await door.call("/nothing")
        assert (tallied(door), door.calls()) == ({(404, "unknown_api"): 1}, [])


async def test_a_row_of_theirs_keeps_256_bytes_of_the_path_and_of_others_2048(lane: Door) -> None:
    await lane.call("/nothing/" + "a" * 5000)
    await lane.call("/products/" + "a" * 5000)
    assert [len(row.path) for row in lane.calls()] == [256, 2048]


async def test_a_record_keeps_no_more_of_the_host_than_the_log(lane: Door) -> None:
    host = b"h" * 8000
    await lane.raw(b"GET /nothing HTTP/1.1\r\nhost: %b\r\n\r\n" % host)
    await lane.raw(b"GET /products/ HTTP/1.1\r\nhost: %b\r\n\r\n" % host)
    assert [len(row.host) for row in lane.calls()] == [255, 255]


async def test_calls_to_known_apis_keep_their_rows_refused_or_not(gateways: GATEWAYS, origin) -> None:
    origin.paths["/items"] = ok(b"[]")
    async with serving(await gateways(unknown_call_rows=0)) as door:
        await door.call("/products/items")
        await door.call("/products/items", key=None)
        await door.call("/products")
        assert [row.status for row in door.calls()] == [200, 401, 308]
        assert tallied(door) == {}


async def test_questions_to_the_gateway_itself_count_for_nothing(lane: Door) -> None:
    await lane.call("/_gateway/livez")
    assert (lane.calls(), tally_path(lane.gateway.spool.folder, lane.gateway.spool.incarnation).exists()) == ([], False)
