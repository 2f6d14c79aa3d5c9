"""Calls are held against the OpenAPI document of their API: refused, or reported."""

import gc
import json
from collections.abc import Callable
from time import process_time
from typing import Any

import pytest

from apps.gateway.gateway import Gateway
from apps.gateway.records.spool import frames
from apps.gateway.validation import json_body
from apps.gateway.validation.faults import Fault, pointer
from apps.gateway.validation.injections import injection_in
from apps.wire.api_keys import make_key
from apps.wire.call_records import ResponseFaultRecord, decode
from apps.wire.snapshot import Validation
from tests.gateway.contracts import accepting, contract
from tests.gateway.house import KEY, Answered, Door, Origin, Published, api, ok
from tests.support.cost import STEEPEST, steepness
from tests.support.waiting import until

JSON = "application/json"
GOOD = b'{"name": "Axe", "price": 2.5}'

PATHS: dict[str, Any] = {
    "/items": {
        "get": {
            "parameters": [
                {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
                {"name": "tag", "in": "query", "schema": {"type": "array", "items": {"enum": ["a", "b"]}}},
                {"name": "sizes", "in": "query", "explode": False, "schema": {"$ref": "#/components/schemas/Sizes"}},
                {"name": "open", "in": "query", "schema": {"type": "boolean"}},
                {"name": "X-Trace", "in": "header", "schema": {"type": "string", "format": "uuid"}},
                {"name": "must", "in": "query", "required": True, "schema": {"type": "string", "maxLength": 3}},
            ]
        },
        "post": accepting({"$ref": "#/components/schemas/Item"}),
    },
    "/items/{id}": {
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
        "get": {},
        "put": {"requestBody": {"content": {JSON: {}, "text/*": {}}}},
        "delete": {},
    },
}
SIZES = {"type": "array", "items": {"type": "integer"}, "maxItems": 3}


async def publish(gateway: Gateway, published: Published, origin: Origin, **bounds: Any) -> None:
    """``products`` with a contract, once the gateway knows it."""
    validation = Validation(**{"request": "block"} | bounds)
    published.change(api("products", upstreams=origin.url, validation=validation), contract(PATHS, Sizes=SIZES))

    def known() -> bool:
        served = gateway.config.route(b"", b"/products/")
        return served is not None and served.validation == validation

    await until(known)


@pytest.fixture
async def blocked(gateway: Gateway, published: Published, origin: Origin) -> None:
    """``products`` refuses what its document doesn't have."""
    origin.paths |= {"/items": ok(b"taken"), "/items/7": ok(b"seven"), "/other": ok(b"other")}
    await publish(gateway, published, origin)


@pytest.fixture
async def reported(gateway: Gateway, published: Published, origin: Origin) -> None:
    """``products`` reports it only."""
    origin.paths |= {"/items": ok(b"taken"), "/items/7": ok(b"seven"), "/other": ok(b"other")}
    await publish(gateway, published, origin, request="report", injections=True)


def errors(answer: Answered) -> list[tuple[str, str]]:
    return [(each["in"], each["pointer"]) for each in json.loads(answer.body)["errors"]]


async def post(lane: Door, body: bytes, kind: str = JSON, target: str = "/products/items") -> Answered:
    return await lane.call(target, method="POST", body=body, content_type=kind)


@pytest.mark.usefixtures("blocked")
async def test_a_body_as_the_document_has_it_goes_on_as_its_caller_wrote_it(lane: Door, origin: Origin) -> None:
    for body in (GOOD, b' { "price":1,\n"name":"\\u0041xe" , "parts": [' + GOOD + b"]}"):
        assert (await post(lane, body)).body == b"taken"
        assert origin.bodies[-1] == body
    assert (await post(lane, GOOD, "application/json; charset=UTF-8")).status == 200


HIDDEN = {
    "identity": ([f"content-type: {JSON}", "content-encoding: identity"], 400),
    "Identity": ([f"content-type: {JSON}", "content-encoding: Identity"], 400),
    "an empty coding": ([f"content-type: {JSON}", "content-encoding:"], 400),
    "a coding": ([f"content-type: {JSON}", "content-encoding: gzip"], 415),
    "two codings": ([f"content-type: {JSON}", "content-encoding: identity", "content-encoding: gzip"], 415),
    "two types": ([f"content-type: {JSON}", "content-type: text/plain"], 415),
    "two types in a list": ([f"content-type: {JSON}, text/plain"], 415),
    "no type": ([], 415),
}


@pytest.mark.usefixtures("blocked")
@pytest.mark.parametrize(("lines", "status"), HIDDEN.values(), ids=HIDDEN)
async def test_no_field_hides_a_body_from_validation(lane: Door, origin: Origin, lines: list[str], status: int) -> None:
    body = b'{"name": 1}'
    head = ["POST /products/items HTTP/1.1", "host: a", f"x-api-key: {KEY}", f"content-length: {len(body)}", *lines]
    answer = await lane.raw("\r\n".join([*head, "", ""]).encode() + body, "POST")
    assert (answer.status, origin.heads) == (status, [])


@pytest.mark.usefixtures("blocked")
async def test_of_two_content_types_the_upstream_may_read_the_other(lane: Door, origin: Origin) -> None:
    body = b'{"a": 1, "a": 2}'
    head = ["PUT /products/items/7 HTTP/1.1", "host: a", f"x-api-key: {KEY}", f"content-length: {len(body)}"]
    lines = [*head, "content-type: text/plain", f"content-type: {JSON}", "", ""]
    answer = await lane.raw("\r\n".join(lines).encode() + body, "PUT")
    assert (answer.status, origin.heads) == (415, [])


@pytest.mark.usefixtures("blocked")
async def test_no_header_makes_another_call_of_one_that_the_document_has(lane: Door, origin: Origin) -> None:
    answer = await lane.call(
        "/products/items",
        method="POST",
        body=GOOD,
        content_type=JSON,
        X_HTTP_Method_Override="PURGE",
        X_Original_URL="/x",
    )
    assert answer.status == 200
    assert b"override" not in origin.heads[0].lower()
    assert b"original-url" not in origin.heads[0].lower()


@pytest.mark.usefixtures("blocked")
async def test_no_header_makes_another_call_of_a_preflight(lane: Door, origin: Origin) -> None:
    origin.paths["/admin"] = ok(b"")
    asks = {"Access_Control_Request_Method": "PUT", "X_HTTP_Method_Override": "DELETE"}
    assert (await lane.call("/products/admin", method="OPTIONS", **asks)).status == 200
    assert b"override" not in origin.heads[0].lower()


def test_a_key_that_is_a_name_stands_in_no_record() -> None:
    key = make_key()
    fault = Fault("body", pointer("body", key, 3, "price"), "It is less.", "minimum")
    assert fault.summary == "/body/(secret)/*/price minimum"


@pytest.mark.usefixtures("blocked")
async def test_a_body_that_is_not_is_refused_with_its_places(lane: Door, origin: Origin) -> None:
    body = {"name": "axe" * 100, "parts": [{"name": "A", "price": -1}, {"price": 1}], "secret<script>": 1}
    answer = await post(lane, json.dumps(body).encode())
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_request")
    assert answer["content-type"] == "application/problem+json"
    found = set(errors(answer))
    assert found == {
        ("body", "/body"),
        ("body", "/body/name"),
        ("body", "/body/parts/0/price"),
        ("body", "/body/parts/1"),
    }
    assert "axeaxe" not in answer.body.decode(), "what the caller sent isn't repeated"
    [record] = lane.calls()
    assert (record.code, record.trace[-1][1], origin.bodies) == ("invalid_request", "invalid_request", [])


@pytest.mark.usefixtures("blocked")
async def test_at_most_twenty_faults_of_bounded_length_are_told(lane: Door) -> None:
    many = {"name": "A", "price": 1, "tags": list(range(100))}
    answer = await post(lane, json.dumps(many).encode())
    assert len(errors(answer)) == 20
    body = {"name": "A", "price": 1, "x" * 10_000: 1}
    answer = await post(lane, json.dumps(body).encode())
    assert len(answer.body) < 1000
    [fault] = json.loads(answer.body)["errors"]
    assert "x" * 65 not in fault["detail"]


@pytest.mark.usefixtures("blocked")
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "JSON"),
        (GOOD + b"x", "JSON"),
        (b'{"name": NaN}', "JSON"),
        (b'{"price": Infinity}', "JSON"),
        (b'{"price": 1e999}', "number"),
        (b'{"name": "A", "price": 1, "price": 2}', "twice"),
        (b'{"name": "A", "price": 1, "pric\\u0065": 2}', "twice"),
        (b'{"name": "A", "price": 1, "parts": [{"name": "B", "price": 1, "name": "B"}]}', "twice"),
        (b"\xef\xbb\xbf" + GOOD, "JSON"),
        (GOOD.decode().encode("utf-16"), "JSON"),
        (b'{"name": "A\xff", "price": 1}', "JSON"),
        (b"[" * 100_000, "deeper"),
        (b"[" * 33 + b"]" * 33, "deeper"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "deeper"),
        (b"[" + b"[]," * 200_000 + b"[]]", "items"),
        (b"[" + b"1," * 10_000 + b"1]", "items"),
        (b"{" + b",".join(b'"%d":1' % n for n in range(10_001)) + b"}", "names"),
        (b'{"name": "' + b"A" * 100_001 + b'"}', "bytes"),
    ],
)
async def test_what_is_no_json_within_bounds_is_refused(lane: Door, origin: Origin, body: bytes, said: str) -> None:
    answer = await post(lane, body)
    assert (answer.status, errors(answer)) == (400, [("body", "/body")])
    assert said in json.loads(answer.body)["errors"][0]["detail"]
    assert origin.bodies == []


@pytest.mark.usefixtures("blocked")
async def test_large_numbers_are_numbers(lane: Door) -> None:
    assert (await post(lane, b'{"name": "A", "price": 36893488147419103233}')).status == 200
    assert (await post(lane, b'{"name": "A", "price": -36893488147419103233}')).status == 400


@pytest.mark.usefixtures("blocked")
async def test_a_body_that_is_too_large_to_be_checked_is_refused(
    lane: Door, gateway: Gateway, published: Published, origin: Origin
) -> None:
    await publish(gateway, published, origin, body=100)
    assert (await post(lane, GOOD)).status == 200
    answer = await post(lane, GOOD + b" " * 100)
    assert (answer.status, json.loads(answer.body)["code"]) == (413, "body_too_large")
    head = "POST /products/items HTTP/1.1\r\nhost: a\r\nx-api-key: a-key-of-acme-bot-0001\r\ncontent-type: application/json\r\n"
    chunked = head.encode() + b"transfer-encoding: chunked\r\n\r\nc8\r\n" + b" " * 200 + b"\r\n0\r\n\r\n"
    assert (await lane.raw(chunked)).status == 413


@pytest.mark.usefixtures("blocked")
@pytest.mark.parametrize(
    ("kind", "status"),
    [(JSON, 200), ("application/json;charset=utf-16", 415), ("text/plain", 415), ("application/xml", 415), ("x", 415)],
)
async def test_a_body_of_a_type_that_is_not_described_is_refused(lane: Door, kind: str, status: int) -> None:
    answer = await post(lane, GOOD, kind)
    assert answer.status == status
    if status == 415:
        assert json.loads(answer.body)["code"] == "unsupported_media_type"
        assert errors(answer) == [("header", "/header/content-type")]


@pytest.mark.usefixtures("blocked")
async def test_a_coded_body_and_a_missing_one_are_refused(lane: Door) -> None:
    coded = await lane.call("/products/items", method="POST", body=b"x", content_type=JSON, content_encoding="gzip")
    assert coded.status == 415
    missing = await lane.call("/products/items", method="POST")
    assert (missing.status, errors(missing)) == (400, [("body", "/body")])


@pytest.mark.usefixtures("blocked")
async def test_bodies_of_other_types_go_on_unread(lane: Door, origin: Origin) -> None:
    answer = await lane.call("/products/items/7", method="PUT", body=b"{not json", content_type="text/csv")
    assert (answer.body, origin.bodies[-1]) == (b"seven", b"{not json")


@pytest.mark.usefixtures("blocked")
@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("must=a", None),
        ("must=a&limit=5&unknown=x", None),
        ("must=a&tag=a&tag=b", None),
        ("must=a&sizes=1,2,3", None),
        ("must=a&sizes=", None),
        ("must=a&open=true", None),
        ("must=%41", None),
        ("must=1", None),
        ("", "/query/must"),
        ("must=aaaa", "/query/must"),
        ("must=a&must=b", "/query/must"),
        ("must=%ff", "/query/must"),
        ("must=a&limit=0", "/query/limit"),
        ("must=a&limit=1.5", "/query/limit"),
        ("must=a&limit=x", "/query/limit"),
        ("must=a&limit=1e999", "/query/limit"),
        ("must=a&limit=" + "9" * 300, "/query/limit"),
        ("must=a&tag=a&tag=c", "/query/tag/1"),
        ("must=a&sizes=1,x", "/query/sizes/1"),
        ("must=a&sizes=1,2,3,4", "/query/sizes"),
        ("must=a&open=1", "/query/open"),
    ],
)
async def test_query_parameters_are_held_against_their_schemas(lane: Door, query: str, pointer: str | None) -> None:
    answer = await lane.call(f"/products/items?{query}")
    assert answer.status == (200 if pointer is None else 400), answer
    if pointer:
        assert errors(answer) == [("query", pointer)]


@pytest.mark.usefixtures("blocked")
async def test_parameters_of_path_and_head_are_held_against_theirs(lane: Door) -> None:
    assert (await lane.call("/products/items/7")).body == b"seven"
    assert errors(await lane.call("/products/items/x")) == [("path", "/path/id")]
    uuid = "123e4567-e89b-12d3-a456-426614174000"
    assert (await lane.call("/products/items?must=a", x_trace=uuid)).status == 200
    assert errors(await lane.call("/products/items?must=a", x_trace="y")) == [("header", "/header/x-trace")]


@pytest.mark.usefixtures("blocked")
async def test_what_the_document_does_not_have_is_refused(lane: Door, origin: Origin) -> None:
    unknown = await lane.call("/products/other")
    assert (unknown.status, json.loads(unknown.body)["code"]) == (404, "unknown_operation")
    wrong = await lane.call("/products/items", method="DELETE")
    assert (wrong.status, wrong["allow"]) == (405, "GET, HEAD, POST")
    assert json.loads(wrong.body)["code"] == "method_not_allowed"
    assert (await lane.call("/products/items/7", method="HEAD")).status == 200
    preflight = await lane.call("/products/items", method="OPTIONS", access_control_request_method="POST")
    assert preflight.status == 200
    assert (await lane.call("/products/items", method="OPTIONS")).status == 405
    assert origin.calls_to("/other") == 0


@pytest.mark.usefixtures("reported")
async def test_what_is_reported_goes_on_and_its_record_says_so(lane: Door, origin: Origin) -> None:
    calls = [
        (await post(lane, b'{"name": 5, "price": 1}'), "/body/name type"),
        (await post(lane, b"{"), "/body json"),
        (await post(lane, GOOD, "text/plain"), "/header/content-type content_type"),
        (await lane.call("/products/items?must=a&limit=x"), "/query/limit type"),
        (await lane.call("/products/other"), "/path path"),
    ]
    records = lane.calls()
    for (answer, said), record in zip(calls, records, strict=True):
        assert answer.status == 200
        assert "invalid_request" in record.flags
        assert said in [decision for _, decision, _ in record.trace]
    assert origin.bodies[:2] == [b'{"name": 5, "price": 1}', b"{"]
    assert (await post(lane, GOOD)).status == 200
    assert lane.calls()[-1].flags == ()


@pytest.mark.usefixtures("reported")
async def test_a_remembered_head_is_reported_each_time(lane: Door, origin: Origin) -> None:
    origin.paths["/items"] = ok(b"x", "cache-control: max-age=60")
    for _ in range(3):
        assert (await lane.call("/products/items?must=a&limit=x")).status == 200
    assert [record.cache for record in lane.calls()] == ["MISS", "HIT", "HIT"]
    assert all("invalid_request" in record.flags for record in lane.calls())


@pytest.mark.usefixtures("reported")
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("x' or '1'='1", "sql"),
        ("1; DROP TABLE users", "sql"),
        ("<script>alert(1)</script>", "script"),
        ("../../etc/passwd", "path"),
        ("${jndi:ldap://x}", "template"),
        ("{{7*7}}", "template"),
        ("{{{{ x.__class__ }}", "template"),
    ],
)
async def test_strings_that_look_like_an_attack_are_reported(lane: Door, text: str, name: str) -> None:
    body = json.dumps({"name": "A", "price": 1, "tags": ["fine", text]}).encode()
    assert (await post(lane, body)).status == 200
    [record] = lane.calls()
    assert record.flags == (f"injection_{name}",)
    assert f"/body/tags/* injection_{name}" in [decision for _, decision, _ in record.trace]


async def test_without_a_contract_only_the_bounds_of_json_hold(
    lane: Door, gateway: Gateway, published: Published, origin: Origin
) -> None:
    origin.paths["/items"] = ok(b"taken")
    open_to_all = {"authentication": ("none",), "upstreams": origin.url, "validation": Validation("block")}
    published.change(api("without", **open_to_all))
    await until(lambda: gateway.config.route(b"", b"/without/"))
    assert (await post(lane, b'{"a": 1}', target="/without/items")).status == 200
    assert (await post(lane, b'{"a": 1, "a": 2}', target="/without/items")).status == 400


async def test_a_contract_that_is_gone_holds_no_more(lane: Door, gateway: Gateway, published: Published) -> None:
    published.change(contract(PATHS, Sizes=SIZES))
    await until(lambda: gateway.config.contract("products"))
    assert gateway.config.part("schema:products") is gateway.config.contract("products")
    gateway.config.drop("schema:products")
    assert gateway.config.contract("products") is None


def shows(*statuses: str, schema: Any = None) -> dict[str, Any]:
    """An operation whose responses of these statuses are JSON."""
    return {"responses": {status: {"content": {JSON: {"schema": schema or {}}}} for status in statuses}}


ANSWERS: dict[str, Any] = {
    "/items": {"get": shows("200", schema={"type": "array", "items": {"$ref": "#/components/schemas/Item"}})},
    "/wide": {"get": shows("2XX", "default")},
}
FULL = b'{"id": 1, "name": "A", "price": 1}'


async def answers(gateway: Gateway, published: Published, origin: Origin) -> Callable[..., Any]:
    """Responses of ``products`` are held against its document: asks for one, and gives what is reported of it."""
    validation = Validation(response="report")
    published.change(api("products", upstreams=origin.url, validation=validation), contract(ANSWERS))
    await until(lambda: gateway.config.contract("products"))

    async def reported(door: Door, target: str = "/items") -> list[tuple[str, str]]:
        reports = gateway.pipeline._forward._reports
        reports._next, looked = 0.0, reports.looked
        assert (await door.call(f"/products{target}")).status
        await until(lambda: reports.looked > looked)  # which is put off until the response was sent
        return faults_of(gateway)

    return reported


def faults_of(gateway: Gateway) -> list[tuple[str, str]]:
    """Of responses, as the spool has them."""
    found = []
    for path in sorted(gateway.spool.folder.glob(f"{gateway.spool.incarnation}-*.spool")):
        found += [decode(frame.record) for frame in frames(path.read_bytes())]
    return [(each.place, each.rule) for each in found if isinstance(each, ResponseFaultRecord)]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (ok(b"[" + FULL + b"]", f"content-type: {JSON}"), None),
        (ok(b"[" + FULL + b', {"id": 1}]', f"content-type: {JSON}"), ("/response/body/*", "required")),
        (ok(b'[{"id": "x", "name": "A", "price": 1}]', f"content-type: {JSON}"), ("/response/body/*/id", "type")),
        (ok(b"[", f"content-type: {JSON}"), ("/response/body", "json")),
        (ok(b"[]", "content-type: text/html"), ("/response/content-type", "content_type")),
        (ok(b"x", f"content-type: {JSON}", status="418 I'm a teapot"), ("/response", "status_418")),
        (ok(b"[5]", f"content-type: {JSON}", "content-encoding: gzip"), None),
        (ok(b"[" + b" " * 300_000 + b"5]", f"content-type: {JSON}"), None),
        (ok(b"[5]", f"content-type: {JSON}", "cache-control: max-age=60"), ("/response/body/*", "type")),
    ],
)
async def test_responses_that_the_document_does_not_have_are_reported(
    lane: Door, gateway: Gateway, published: Published, origin: Origin, answer: bytes, fault: tuple[str, str] | None
) -> None:
    origin.paths["/items"] = answer
    reported = await answers(gateway, published, origin)
    assert await reported(lane) == ([] if fault is None else [fault])


async def test_a_hit_is_not_looked_at_and_only_some_responses_are(
    lane: Door, gateway: Gateway, published: Published, origin: Origin
) -> None:
    origin.paths |= {"/items": ok(b"[5]", f"content-type: {JSON}"), "/wide": ok(b"5", f"content-type: {JSON}")}
    reported = await answers(gateway, published, origin)
    gateway.pipeline._forward._reports._next = float("inf")
    for _ in range(3):
        await lane.call("/products/items")
    assert faults_of(gateway) == []
    assert await reported(lane, "/wide") == []
    assert len(await reported(lane)) == 1


def read(text: bytes) -> object:
    try:
        return json_body.read(text, Validation("block"))
    except json_body.NotTaken as refused:
        return refused.fault


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "deep": lambda size: b"[" * size,
    "closed": lambda size: b"[" * (size // 2) + b"]" * (size // 2),
    "objects": lambda size: b'{"a":' * (size // 5),
    "flat": lambda size: b"[" + b"{}," * (size // 3) + b"{}]",
    "names": lambda size: b"{" + b",".join(b'"%d":1' % n for n in range(size // 8)) + b"}",
    "twice": lambda size: b"{" + b'"a":1,' * (size // 6) + b'"a":1}',
    "quotes": lambda size: b'"' * size,
    "backslashes": lambda size: b'"' + b"\\" * size,
    "escapes": lambda size: b'["' + b"\\u003a" * (size // 6) + b'"]',
    "digits": lambda size: b"1" * size,
    "exponent": lambda size: b"1e" + b"9" * size,
    "colons": lambda size: b'["' + b":" * size + b'"]',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_reading_json_takes_linear_time(name: str) -> None:
    assert steepness(read, HOSTILE[name]) < STEEPEST


def test_reading_many_lists_does_not_look_through_all_that_a_worker_holds() -> None:
    text, found = b"[" + b",".join([b"[[]]"] * 9_000) + b"]", []

    def count(phase: str, info: dict[str, int]) -> None:
        found.append((phase, info["generation"]))

    gc.callbacks.append(count)
    try:
        assert isinstance(read(text), tuple)
    finally:
        gc.callbacks.remove(count)
    assert len(found) <= 4  # each has a start and an end


def test_looking_for_injections_takes_little_time_whatever_is_looked_at() -> None:
    for unit in ("'", "<", "{{", "${", "../", "; ", "union ", "<img ", "{{" + "x" * 40, "' or "):
        text = [unit * (8192 // len(unit))] * 100
        began = process_time()
        injection_in(text)
        assert process_time() - began < 0.6, unit


def test_looking_for_injections_takes_linear_time() -> None:
    for unit in ("'", "<", "{{", "${", "../", "; ", "union ", "<img "):
        text = [unit * 200] * 4
        assert (
            steepness(lambda size, text=text: injection_in(text * len(size)), lambda size: b"x" * (size // 64))
            < STEEPEST
        )


@pytest.mark.parametrize("text", [b'{"a": "\\u003a", "a": 1}', b'{"\\u0061": 1, "a": 1}', b'{"a:": 1, "a:": 1}'])
def test_a_name_that_stands_twice_is_found_however_it_is_written(text: bytes) -> None:
    assert read(text) == Fault("body", "/body", "A name stands twice in an object.", "names_once")


@pytest.mark.parametrize(
    "text", [b'{"a": "\\u003a", "b": ":"}', b'{"a\\\\": "\\":\\\\"}', b'[{"a": 1}, {"a": 1}]', b'":"']
)
def test_names_that_stand_once_are_let_through(text: bytes) -> None:
    assert read(text)[0] == json.loads(text)
