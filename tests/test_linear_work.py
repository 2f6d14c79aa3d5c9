"""Work on text that comes from outside grows with its length and no faster, in every parser that there is.

Nothing here is listed by hand: each compiled regular expression of the code is found and pumped at each of its repeats,
each function of the data plane that takes a text is found and called with hostile ones. A new one is measured from its
first day; one that can't be called so fails the test until it says where it is measured.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from apps import httpcache
from apps.gateway.call.header_rules import ruled
from apps.gateway.call.problems import Problem
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.gateway.pipeline.stages.route import fields_taken
from apps.gateway.validation.validators import Validators
from apps.httpcache import CacheEntry, Identity, Policy, Request, RequestPlan, ResponseHead, StoredResponse
from apps.httpcache.bounded_table import Remembered
from apps.httpcache.directives import ResponseDirectives
from apps.httpcache.entry import Variants
from apps.httpcache.patterns import template
from apps.wire.snapshot import HeaderRules, Operation, Rewrite, ScopeRule, TokenRules
from tests.gateway.contracts import contract
from tests.gateway.house import api
from tests.support.cost import STEEPEST, steepness

DATA_PLANE = (
    "apps.wire.api_keys",
    "apps.gateway.pipeline.graphql",
    "apps.httpcache",
    "apps.explain.typed_request",
    "apps.egress.addresses",
    "apps.gateway",
    "apps.invalidation.cdn_calls",
    "apps.invalidation.messages",
    "apps.invalidation.signatures",
    "apps.wire.bounded_wait",
    "apps.wire.call_records",
    "apps.wire.host_names",
    "apps.wire.snapshot",
    "apps.wire.warm_up_token",
)
"""Where texts of callers, of upstreams and of those who end answers are read; the console's explain reads by these too."""


def modules_below(*names: str) -> list[ModuleType]:
    found = []
    for name in names:
        module = importlib.import_module(name)
        found.append(module)
        below = pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}.")
        names = [each.name for each in below if not {"migrations", "management"} & set(each.name.split("."))]
        found += [importlib.import_module(each) for each in names]
    return found


# Texts


def repeated(unit: bytes, before: bytes = b"", after: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: before + unit * (max(1, size - len(before) - len(after)) // len(unit)) + after


def numbered(form: bytes, between: bytes = b"") -> Callable[[int], bytes]:
    """Members that all differ."""
    return lambda size: between.join(form % number for number in range(size // (len(form) + 3 + len(between))))


UNITS = (
    *(bytes((byte,)) for byte in b"\"\\,;:=%&?*+-./_~'()[]{}<>@ \t\n\x00\x80a1"),
    *(b'\\"', b'"\\', b'",', b'""', b'a,"', b"a,", b", ", b";a", b"; ", b"a=,", b'a="b",', b"a=b;", b"a;q=0.1,"),
    *(
        b"%2",
        b"%2F",
        b"%2f.",
        b"%41",
        b"%E2%82%AC",
        b"/.",
        b"/..",
        b"/./a",
        b"/.;",
        b"a/",
        b"a-",
        b"a&",
        b"a=b&",
        b"&&",
    ),
    *(b'W/"a",', b'"a", ', b"1,", b"0-1,", b"-1,", b"1.", b"9" * 8, b"a:b ", b'for="', b"for=a;", b"(a ", b"a=(b),"),
    *(b'{"a":', b"[1,", b'[{"a":', b'"\\u0041', b"{a", b"a(b:", b'"""', b"#\n", b"no-cache=a,", b"a{b}", b"{a}{b}"),
    *(
        b"max-age=1,",
        b"max-age=1;a,",
        b"gzip,",
        b"x-gzip;q=0,",
        b"GMT ",
        b"Mon, ",
        b"::",
        b"xn--",
        b"\xcc\x80",
        b"1e9,",
    ),
)

MEMBERS = (
    numbered(b"x%d", b","),
    numbered(b"x%d", b" "),
    numbered(b"x%d=1", b"&"),
    numbered(b"x%d;q=0.%d"[:7], b","),
    numbered(b"no-cache=x%d", b","),
    numbered(b'private="x%d"', b","),
    numbered(b'W/"%d"', b", "),
    numbered(b"/%d"),
    numbered(b'"a%d":1', b","),
)

FRONTS = (b"", b"/", b'a,"')
"""What leads into a value, so that what repeats stands in its middle."""

TEXTS: dict[str, Callable[[int], bytes]] = {
    **{f"{front!r} {unit!r}": repeated(unit, front) for front, unit in product(FRONTS, UNITS)},
    **{f"{unit!r} {after!r}": repeated(unit, b"a", after) for unit, after in product(UNITS, (b'"',))},
    **{f"members {number}": make for number, make in enumerate(MEMBERS)},
    "deep JSON": lambda size: b'{"a":' * (size // 6) + b"1" + b"}" * (size // 6),
    "wide JSON": lambda size: b"{" + numbered(b'"a%d":1', b",")(size) + b"}",
    "long query": lambda size: b'{"query":"{' + b"a " * (size // 2) + b'}"}',
}


def steep(work: Callable[[bytes], object], texts: dict[str, Callable[[int], bytes]] = TEXTS) -> dict[str, float]:
    return {name: measured for name, text in texts.items() if (measured := steepness(work, text)) >= STEEPEST}


# Regular expressions

_parser: Any = importlib.import_module("re._parser")
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}
_SAMPLES = 'a1 \t"\\,;=/%-.:+()[]{}_~!\x01\x80\n\x00'


def _sample_of_set(items: list[Any]) -> str:
    negated = str(items[0][0]) == "NEGATE"
    for character in (*_SAMPLES, *map(chr, range(0x21, 0x7F))):
        if any(_is_in(character, str(op), value) for op, value in items) is not negated:
            return character
    raise AssertionError(f"no sample of {items}")


def _is_in(character: str, op: str, value: Any) -> bool:
    if op == "LITERAL":
        return ord(character) == value
    if op == "RANGE":
        return value[0] <= ord(character) <= value[1]
    if op == "CATEGORY":
        kind = str(value).removeprefix("CATEGORY_")
        known = {"DIGIT": str.isdigit, "SPACE": str.isspace, "WORD": lambda each: each.isalnum() or each == "_"}
        return known[kind.removeprefix("NOT_")](character) is not kind.startswith("NOT_")
    return False


def _sample(items: Any) -> str:
    text = ""
    for op, value in items:
        kind = str(op)
        if kind == "LITERAL":
            text += chr(value)
        elif kind == "NOT_LITERAL":
            text += "b" if value == ord("a") else "a"
        elif kind == "ANY":
            text += "a"
        elif kind == "IN":
            text += _sample_of_set(value)
        elif kind in _REPEATS:
            text += _sample(value[2]) * max(1, value[0])
        elif kind == "BRANCH":
            text += _sample(value[1][0])
        elif kind == "SUBPATTERN":
            text += _sample(value[-1])
        elif kind == "ATOMIC_GROUP":
            text += _sample(value)
        else:
            assert kind in ("AT", "ASSERT", "ASSERT_NOT"), f"a pattern with {kind}: say here how to make a sample of it"
    return text


def pumps(items: Any, front: str = "") -> Iterator[tuple[str, str]]:
    """Each repeat of a pattern: what leads to it, and what it repeats."""
    for op, value in items:
        kind = str(op)
        if kind in _REPEATS:
            yield from pumps(value[2], front)
            if value[1] > 64:
                yield front, _sample(value[2])
        elif kind == "BRANCH":
            for branch in value[1]:
                yield from pumps(branch, front)
        elif kind == "SUBPATTERN":
            yield from pumps(value[-1], front)
        elif kind == "ATOMIC_GROUP":
            yield from pumps(value, front)
        front += _sample([(op, value)])


def patterns_in(value: object) -> list["re.Pattern[Any]"]:
    if isinstance(value, re.Pattern):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return [each for part in value for each in patterns_in(part)]
    return []


def uses_of(module: ModuleType) -> dict[str, set[str]]:
    """How a module's names are used: ``_NAME.fullmatch`` and the like."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.setdefault(node.value.id, set()).add(node.attr)
    return found


METHODS = {"match", "fullmatch", "search", "findall", "finditer", "sub", "split"}


def work_of(pattern: "re.Pattern[Any]", method: str) -> Callable[[bytes], object]:
    """One use of a pattern on a text. What scans in steps from where it is (``match`` in a loop) is its function's."""

    def work(text: bytes) -> object:
        subject: Any = text if isinstance(pattern.pattern, bytes) else text.decode("latin-1")
        if method == "sub":
            return pattern.sub("" if isinstance(subject, str) else b"", subject)
        if method == "finditer":
            return list(pattern.finditer(subject))
        return getattr(pattern, method)(subject)

    return work


def expressions() -> Iterator[tuple[str, "re.Pattern[Any]", str]]:
    for module in modules_below("apps"):
        uses = uses_of(module)
        for name, value in vars(module).items():
            for number, pattern in enumerate(patterns_in(value)):
                used = uses.get(name, set()) & METHODS or {"fullmatch", "match"}
                for method in sorted(used):
                    yield f"{module.__name__}.{name}[{number}].{method}", pattern, method


EXPRESSIONS = list(expressions())


def test_the_expressions_are_found() -> None:
    names = {name.partition("[")[0] for name, _, _ in EXPRESSIONS}
    assert {
        "apps.httpcache.fields._CLOSED",
        "apps.httpcache.dates._FORMATS",
        "apps.foundation.field_names._RATE",
    } <= names
    assert len(EXPRESSIONS) > 60


@pytest.mark.parametrize(
    ("pattern", "method"), [each[1:] for each in EXPRESSIONS], ids=[each[0] for each in EXPRESSIONS]
)
def test_a_regular_expression_takes_linear_time(pattern: "re.Pattern[Any]", method: str) -> None:
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    found = list(dict.fromkeys(pumps(_parser.parse(text, pattern.flags & ~re.UNICODE))))
    fronts = {front.encode("utf-8") for front, _ in found}
    units = {unit.encode("latin-1", "replace") for _, unit in found if unit}
    texts = {
        f"{front!r} {unit!r} {after!r}": repeated(unit, front, after)
        for front, unit, after in product(fronts, units | set(UNITS[:32]), (b"", b"\x01"))
    }
    assert steep(work_of(pattern, method), texts) == {}


def test_a_pattern_that_is_quadratic_is_found() -> None:
    naive = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^,])+', re.DOTALL)
    assert steepness(work_of(naive, "findall"), repeated(b'\\"', b'"'), size=2048) >= STEEPEST


def test_expressions_stand_where_they_are_found() -> None:
    """One that is compiled in a function, or given to ``re.sub`` as a text, escapes the tests above."""
    allowed = {("apps.httpcache.patterns", "template")}  # measured below, by the templates that it makes
    for module in modules_below(*DATA_PLANE):
        tree = ast.parse(Path(str(module.__file__)).read_text())
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]:
            calls = [
                node
                for node in ast.walk(function)
                if isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "re"
                and node.attr in METHODS | {"compile"}
            ]
            assert not calls or (module.__name__, function.name) in allowed, (
                f"{module.__name__}.{function.name} makes a regular expression: compile it at the module's top level"
            )


# Functions

FIELDS = (
    b"accept accept-encoding accept-language age apimgr-cache-control cache-control cache-tag cdn-cache-control connection "
    b"content-encoding content-length content-location content-range content-type cookie date etag expires forwarded host "
    b"if-match if-modified-since if-none-match if-range last-modified location pragma range surrogate-control "
    b"surrogate-key transfer-encoding upgrade vary x-forwarded-for x-forwarded-host x-forwarded-proto x-request-id"
).split()
"""Every field that the gateway reads, of requests and of responses."""

NOW = 1_800_000_000.0
ENTRY_FIELDS = ((b"etag", b'"a"'), (b"last-modified", b"Sun, 06 Nov 1994 08:49:37 GMT"), (b"date", b"x"))


def entry_of(headers: httpcache.Headers = ENTRY_FIELDS, body: bytes = b"", **changes: Any) -> CacheEntry:
    fields: dict[str, Any] = dict.fromkeys(CacheEntry.__slots__, 0)
    fields |= {"key": b"k" * 32, "status": 200, "headers": headers, "body": body, "owner": b"", "rule": "", "api": "a"}
    fields |= {"path": b"/", "tags": (), "birth": (1, 1), "selecting": (), "holder": (), "downstream": "pass"}
    return CacheEntry(**(fields | changes))


POLICY = Policy(
    api="products", headers=("accept-language", "accept"), methods=("GET", "HEAD", "POST"), query_sorted=True
)
API = api(
    policy=POLICY,
    operations=tuple(
        Operation("*", path) for path in ("/{a}{b}{c}{d}/y", "/{a}-{b}-{c}/y", "/{a}a{b}a{c}", "/x/{a}.{b}", "/{a}")
    ),
    jwt=TokenRules(
        required_claims=(("tier", ("gold", "silver")),),
        operations=(ScopeRule((), ("*", "x", "**"), ("read", "write")),),
    ),
)


PARAMETERS = [
    {"name": name, "in": place, "schema": {"type": "array", "items": {"type": "integer"}}, **more}
    for name, place, more in (
        ("a", "query", {}),
        ("x", "query", {"explode": False}),
        ("q", "query", {"style": "pipeDelimited", "explode": False}),
        ("accept", "header", {}),
        ("cookie", "header", {}),
    )
]
CONTRACT = contract({"/{a}/{b}": {"get": {"parameters": PARAMETERS}}})
VALIDATORS = Validators()


def headers_of(text: bytes) -> httpcache.Headers:
    return tuple((name, text) for name in FIELDS)


def requests_of(text: bytes) -> Request:
    return Request("POST", "http", b"api.test", b"/" + text, text, headers_of(text), has_body=True, body=text)


def claims_of(text: bytes) -> dict[str, object]:
    """Claims of a token, with a text alone, and with one that is a list."""
    said = text.decode("latin-1")
    return {"scope": said, "scp": said.split(","), "tier": said.split(" ")}


ARGUMENTS: dict[str, Callable[[bytes], object]] = {
    # What comes from outside, by its annotation.
    "bytes": lambda text: text,
    "bytes | None": lambda text: text,
    "str": lambda text: text.decode("latin-1"),
    "str | None": lambda text: text.decode("latin-1"),
    "list[bytes]": lambda text: [text],
    "collections.abc.Iterable[bytes]": lambda text: [text],
    "collections.abc.Collection[bytes]": lambda text: {text},
    "collections.abc.Sequence[bytes]": lambda text: httpcache.fields.members([text]),
    "collections.abc.Sequence[bytes | None]": lambda text: [text],
    "tuple[bytes | None, ...]": lambda text: (text,),
    "frozenset[bytes]": lambda text: frozenset({text}),
    "tuple[str, ...]": lambda text: (text.decode("latin-1"),),
    "collections.abc.Sequence[str]": lambda text: text.decode("latin-1").split("/"),
    "collections.abc.Iterable[str]": lambda text: text.decode("latin-1").split(" "),
    "collections.abc.Collection[str]": lambda text: {text.decode("latin-1")},
    "collections.abc.Sequence[tuple[str, str]]": lambda text: [("accept", text.decode("latin-1"))],
    "list[tuple[bytes, bytes | None]]": lambda text: [(b"no-cache", text), (b"max-age", text), (b"private", text)],
    "tuple[tuple[bytes, bytes | None], ...]": lambda text: ((b"accept", text),),
    "collections.abc.Sequence[tuple[bytes, bytes | None]]": lambda text: ((b"accept", text),),
    "tuple[tuple[bytes, bytes], ...]": headers_of,
    "collections.abc.Sequence[tuple[bytes, bytes]]": headers_of,
    "tuple[bytes, int]": lambda text: (text, 1),
    "collections.abc.Mapping[str, bytes]": lambda text: {"sha-256": text},
    "collections.abc.Mapping[str, str]": lambda text: {"method": "PURGE", "url": "{url}" + text.decode("latin-1")},
    "collections.abc.Mapping[str, collections.abc.Mapping[str, str]]": lambda text: {
        "a": {"url": text.decode("latin-1")}
    },
    "frozenset[str]": lambda text: frozenset(text.decode("latin-1").split(",")),
    "collections.abc.Mapping[str, Any]": claims_of,
    "collections.abc.Mapping[str, str | int | float | bool | collections.abc.Sequence[str | int | float | bool]]": claims_of,
    Request.__name__: requests_of,
    ResponseHead.__name__: lambda text: ResponseHead(200, headers_of(text)),
    f"{ResponseHead.__name__} | None": lambda text: ResponseHead(200, headers_of(text)),
    CacheEntry.__name__: lambda text: entry_of(
        ((b"content-type", b"application/json"), (b"vary", text)), text, selecting=((b"accept", text),)
    ),
    Variants.__name__: lambda text: Variants((tuple(httpcache.fields.members([text])),), (), NOW),
    StoredResponse.__name__: lambda text: StoredResponse(entry_of()),
    f"{StoredResponse.__name__} | None": lambda text: StoredResponse(entry_of()),
    RequestPlan.__name__: lambda text: httpcache.plan_request(
        Request("GET", "http", b"h", b"/", None, headers_of(text)), POLICY, Identity()
    ),
    # What does not.
    "int": lambda text: 200,
    "int | None": lambda text: 200,
    "float": lambda text: NOW,
    "bool": lambda text: True,
    "tuple[int, int]": lambda text: (1, 1),
    Policy.__name__: lambda text: POLICY,
    Identity.__name__: lambda text: Identity(),
    ResponseDirectives.__name__: lambda text: ResponseDirectives(),
    HeaderRules.__name__: lambda text: HeaderRules(),
    "API": lambda text: API,
    "Credential | None": lambda text: None,
    "Reason | None": lambda text: None,
    "Problem": lambda text: Problem.INVALID_REQUEST,
    "TokenFault": lambda text: TokenFault.MALFORMED,
    "TokenRules": lambda text: API.jwt,
    "tuple[str, bytes, bytes]": lambda text: ("https", text, b"/" + text),
    "CacheEntry | None": lambda text: None,
    "collections.abc.Sequence[Rewrite]": lambda text: [Rewrite((None,), (0, "x"), rest=True, passes_rest=True)],
    "tuple[tuple[str, str], ...]": lambda text: API.operations,
    "collections.abc.Iterable[tuple[str, str]]": lambda text: [(each.method, each.path) for each in API.operations],
    "str | int": lambda text: text.decode("latin-1"),
    "Validators": lambda text: VALIDATORS,
    "Contract": lambda text: CONTRACT,
    "OperationContract": lambda text: CONTRACT.operations[0],
}

CHOSEN: dict[str, dict[str, object]] = {
    # Words of ours, which would end the work before it began were they a caller's.
    "apps.wire.api_keys.digest": {"pepper": b"pepper"},
    "apps.httpcache.request_body.parts_of": {"form": "json"},
    "apps.httpcache.downstream.prepared": {"rule": "private"},
    "apps.httpcache.normalise.field_value": {"name": b"accept-language"},
    "apps.httpcache.normalise.select_query": {"mode": "include"},
    "apps.explain.typed_request.typed": {"method": "GET"},
    "apps.gateway.call.head_limits.refusal": {"method": "GET", "version": "1.1"},
    "apps.gateway.pipeline.stages.route.operation_of": {"method": "GET"},
    "apps.gateway.pipeline.stages.route.fields_taken": {"trusted": False},
    "apps.invalidation.signatures.check": {"secrets": ["secret"]},
    "apps.gateway.validation.operations.operation_for": {"method": "GET"},
    "apps.wire.warm_up_token.scheme_of": {"master": b"m", "api": "products", "target": b"/"},
}

# These take a whole call, or a connection: tests/gateway/test_hostile_values.py makes the calls. Or a file of the worker's own.
_NOT_MEASURED_HERE = {
    "Path",
    "Call",
    "Gateway",
    "Connection",
    "UpstreamResponse",
    "Callable",
    "MutableMapping",
    "AsyncIterator",
}

ELSEWHERE = {
    "apps.gateway.pipeline.authenticators.jwt.read_verified": "its text is hashed: scopes_of and plain_claims",
    "apps.gateway.pipeline.authenticators.jwt.examination.examine": "reads a token by parse and read_object, as calls do",
    "apps.httpcache.patterns.template": "a template is an author's, and short: test_templates_match_in_linear_time",
    "apps.httpcache.serving.on_error": "reads a plan, no text: plan_request",
    "apps.httpcache.storing.may_share": "reads a plan, no text: plan_request",
    "apps.gateway.fetch.revalidation.is_bounded": "reads a plan, no text: plan_request",
    "apps.gateway.fetch.results.on_error": "reads a plan, no text: plan_request",
    "apps.gateway.pipeline.client_address.networks_of": "reads a setting, at start",
    "apps.wire.snapshot.with_needs": "its text is a definition's name, no client's",
    "apps.gateway.validation.json_body.read": "refuses most: tests/gateway/test_validation.py",
    "apps.gateway.samples.samples_of": "its texts are slugs and outcomes, no client's",
    "apps.gateway.pipeline.stages.authorize.refusal_of": "its text is an API's slug, no client's",
}


def plain(value: Any) -> Any:
    """A function without what remembers its results."""
    return inspect.unwrap(value.function if isinstance(value, Remembered) else value)


def functions() -> Iterator[tuple[str, Callable[..., object]]]:
    for module in modules_below(*DATA_PLANE):
        for name, value in sorted(vars(module).items()):
            function = plain(value)
            if not inspect.isfunction(function) or function.__module__ != module.__name__ or name.startswith("_"):
                continue
            parameters = inspect.signature(function).parameters.values()
            told = " ".join(re.sub(r"dict\[str, \w+\]", "", _annotation(each)) for each in parameters)
            if re.search(r"bytes|str\b|Request|ResponseHead", told) and not any(
                re.search(rf"\b{word}\b", told) for word in _NOT_MEASURED_HERE
            ):
                yield f"{module.__name__}.{name}", value


def _annotation(parameter: inspect.Parameter) -> str:
    said = parameter.annotation
    text = said.__name__ if inspect.isclass(said) and not hasattr(said, "__args__") else str(said)
    return re.sub(r"(?:apps\.[a-z_.]+|typing)\.", "", text)


FUNCTIONS = dict(functions())


def called_with(name: str, function: Callable[..., object]) -> Callable[[bytes], object]:
    """The function with each of its texts hostile at once."""
    parameters = inspect.signature(plain(function)).parameters
    chosen = CHOSEN.get(name, {})
    unknown = {each.name: _annotation(each) for each in parameters.values() if _annotation(each) not in ARGUMENTS}
    assert not unknown, f"{name}: say in ARGUMENTS how a hostile {unknown} is made, or in ELSEWHERE what measures it"

    def work(text: bytes) -> object:
        given, more = {}, []
        for each in parameters.values():
            value = chosen[each.name] if each.name in chosen else ARGUMENTS[_annotation(each)](text)
            if each.kind is inspect.Parameter.VAR_POSITIONAL:
                more.append(value)
            else:
                given[each.name] = value
        if not more:
            return function(**given)
        return function(*given.values(), *more)

    return work


def test_the_functions_are_found() -> None:
    assert {"apps.httpcache.fields.members", "apps.gateway.pipeline.stages.route.operation_of"} <= FUNCTIONS.keys()
    assert len(FUNCTIONS) > 100
    assert not CHOSEN.keys() - FUNCTIONS.keys()
    assert not ELSEWHERE.keys() - FUNCTIONS.keys()


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - ELSEWHERE.keys()))
def test_a_function_takes_linear_time(name: str) -> None:
    assert steep(called_with(name, FUNCTIONS[name])) == {}


LISTS: dict[str, Callable[[bytes], object]] = {
    "vary": lambda text: httpcache.vary.selecting(
        httpcache.vary.field_names(((b"vary", text),)) or (), _fields_named(text)
    ),
    "connection": lambda text: httpcache.fields.end_to_end((*_fields_named(text), (b"connection", text))),
    "no-cache": lambda text: httpcache.fields.without(_fields_named(text), frozenset(httpcache.fields.members([text]))),
    "304": lambda text: httpcache.validation.merged_headers(
        entry_of(_fields_named(text)), _fields_named(text), frozenset()
    ),
    "taken": lambda text: fields_taken(API, _fields_named(text), False),
    "ruled": lambda text: ruled(_fields_named(text), HeaderRules()),
}


def _fields_named(text: bytes) -> httpcache.Headers:
    return tuple((name, b"a") for name in httpcache.fields.members([text]))


@pytest.mark.parametrize("name", LISTS)
def test_many_names_meet_many_fields_in_linear_time(name: str) -> None:
    assert steep(LISTS[name], {"names": numbered(b"x%d", b",")}) == {}


NAUGHTY = (
    "/{a}{b}{c}{d}/y",
    "/{a}-{b}-{c}-{d}/y",
    "/{a}a{b}a{c}a{d}/y",
    "/{a}aa{b}aa{c}b",
    "/x/{a}.{b}.{c}",
    "/{a}/{b}{c}",
)


@pytest.mark.parametrize("path", NAUGHTY)
def test_templates_match_in_linear_time(path: str) -> None:
    texts = {f"{unit!r} {end!r}": repeated(unit, b"/", end) for unit in UNITS for end in (b"", b"/y", b"/x", b"b")}
    assert steep(template(path).fullmatch, texts) == {}


@pytest.mark.parametrize(
    "template_and_path", [("/{a}{b}", "/x"), ("/{a}.{b}", "/.x"), ("/{a}.{b}", "/x."), ("/{a}", "/")]
)
def test_each_placeholder_stands_for_something(template_and_path: tuple[str, str]) -> None:
    path, given = template_and_path
    assert template(path).fullmatch(given.encode()) is None


def backtracking(path: str) -> "re.Pattern[bytes]":
    """Templates as they were matched before, which is what they mean."""
    parts = re.split(r"(\{[^{}/]*\})", path)
    return re.compile(b"".join(b"[^/]+" if part.startswith("{") else re.escape(part.encode()) for part in parts))


def test_templates_match_what_they_mean() -> None:
    parts = ("{x}", "a", "b", "/")
    templates = {"/" + "".join(chosen) for length in range(1, 5) for chosen in product(parts, repeat=length)}
    paths = [("/" + "".join(chosen)).encode() for length in range(6) for chosen in product("ab/", repeat=length)]
    for path in templates:
        slow, fast = backtracking(path), template(path)
        for given in paths:
            assert (slow.fullmatch(given) is None) is (fast.fullmatch(given) is None), (path, given)


def test_members_are_what_they_were_with_backtracking() -> None:
    naive = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^,])+', re.DOTALL)
    for length in range(7):
        for chosen in product(b'",\\ a', repeat=length):
            line = bytes(chosen)
            expected = [member for part in naive.findall(line) if (member := part.strip(b" \t"))]
            assert httpcache.fields.members([line]) == expected, line
