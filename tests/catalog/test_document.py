"""An API in the file's words: what is written is read back as it was."""

import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.caching.document import policy_document, read_policy
from apps.catalog.document import differences, in_document_words, read_document, to_document
from apps.catalog.models import API
from apps.catalog.services import api_create, api_deprecate, api_update
from apps.tenants.actors import PLATFORM
from tests.support.cast import Cast, make_api
from tests.support.examples import examples

durations = st.integers(1, 10_000).map(lambda n: n / 10)
names = st.from_regex(r"[a-z][a-z-]{0,8}[a-z]", fullmatch=True)
rules = st.builds(
    lambda given, gone: {"set": given, "remove": sorted({f"x-no-{name}" for name in gone})},
    st.dictionaries(names.map("x-{}".format), st.from_regex(r"[ -~]{0,12}", fullmatch=True), max_size=3),
    st.lists(names, max_size=2),
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "name": st.from_regex(r"[A-Z][a-z ]{0,20}[a-z]", fullmatch=True),
        "documentation": st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40),
        "tags": st.lists(names, max_size=3, unique=True),
        "hosts": st.lists(names.map("{}.test".format), max_size=2, unique=True),
        "strip_listen_path": st.booleans(),
        "authentication": st.sampled_from([["none"], ["api_key"], ["none", "api_key"]]),
        "approval": st.sampled_from(["manual", "automatic"]),
        "connect_timeout": durations,
        "read_timeout": durations,
        "retries": st.integers(0, 10),
        "concurrent_calls": st.integers(1, 10_000),
        "queued_calls": st.integers(0, 10_000),
        "queue_wait": durations.filter(lambda value: value <= 60),
        "body_limit": st.integers(0, 2**30),
        "validate_requests": st.sampled_from(["off", "report", "block"]),
        "validate_responses": st.sampled_from(["off", "report"]),
        "report_injections": st.sampled_from(["off", "report"]),
        "json_depth": st.integers(1, 64),
        "json_names": st.integers(0, 1_000_000),
        "debug_headers": st.sampled_from(["none", "subscribers", "all"]),
        "request_headers": rules,
        "response_headers": rules,
    },
)
policies = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from(["origin", "ttl", "override", "off"]),
        "ttl": durations,
        "stale_while_revalidate": durations,
        "stale_if_error": st.none() | durations,
        "methods": st.sampled_from([["GET"], ["GET", "HEAD"]]),
        "headers": st.lists(names, max_size=2, unique=True).map(sorted),
        "scope": st.sampled_from(["auto", "shared", "tenant", "application", "subject"]),
        "client_directives": st.sampled_from(["honour", "bounded", "ignore"]),
        "store_set_cookie": st.booleans(),
        "sensitivity": st.sampled_from(["public", "internal", "secret"]),
    },
)


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=fields, policy=policies)
def test_what_is_written_is_read_back(cast: Cast, values: dict[str, Any], policy: dict[str, Any]):
    API.objects.all().delete()
    api = make_api(cast.platform, policy=policy, publish=False, **values)
    document = json.loads(json.dumps(to_document(API.objects.get(pk=api.pk))))
    parsed = read_document(
        {word: value for word, value in document.items() if word not in {"slug", "tenant"}}, whole=True
    )
    assert parsed.published is False
    API.objects.all().delete()
    twin = api_create(
        actor=PLATFORM,
        tenant=cast.platform,
        slug=document["slug"],
        upstreams=parsed.upstreams or [],
        policy=parsed.policy,
        **parsed.fields,
    )
    assert to_document(API.objects.get(pk=twin.pk)) == document


def test_what_a_document_does_not_say_is_left_alone(cast: Cast):
    api = make_api(cast.platform, retries=3, policy={"ttl": 5.0, "mode": "ttl"})
    parsed = read_document(
        {"name": "Goods", "timeouts": {"connect": "1s"}, "concurrency": {"calls": 9}, "cache": {"mode": "off"}}
    )
    api = api_update(actor=PLATFORM, api=api, policy=parsed.policy, upstreams=parsed.upstreams, **parsed.fields)
    assert (api.name, api.retries, api.connect_timeout, api.read_timeout) == ("Goods", 3, 1.0, 30.0)
    assert (api.concurrent_calls, api.queued_calls, api.queue_wait) == (9, 512, 2.0)
    assert (api.cache_policy.mode, api.cache_policy.ttl) == ("off", 5.0)
    assert parsed.published is None


def test_an_object_of_a_file_is_complete(cast: Cast):
    document = {"timeouts": {"connect": "1s"}, "concurrency": {"queue": 0}, "cache": {"mode": "off"}}
    parsed = read_document(document, whole=True)
    assert parsed.fields == {
        "connect_timeout": 1.0,
        "read_timeout": 30.0,
        "concurrent_calls": 512,
        "queued_calls": 0,
        "queue_wait": 2.0,
    }
    assert parsed.policy is not None
    assert (parsed.policy["mode"], parsed.policy["ttl"], parsed.policy["query_mode"]) == ("off", 60.0, "all")
    assert "sensitivity" not in parsed.policy


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"cache": {"ttl": "soon"}}, "cache.ttl"),
        ({"cache": {"query": {"mode": "some"}}}, "cache.query.mode"),
        ({"cache": {"lifetime": 1}}, "cache.lifetime"),
        ({"cache": "off"}, "cache"),
        ({"timeouts": {"connect": "1:30"}}, "timeouts.connect"),
        ({"concurrency": {"wait": "soon"}}, "concurrency.wait"),
        ({"concurrency": {"calls": -1}}, "concurrency.calls"),
        ({"concurrency": 5}, "concurrency"),
        ({"upstreams": [{"url": "http://a/"}, {"weight": 1, "uri": "x"}]}, "upstreams.1.uri"),
        ({"upstreams": {"url": "x"}}, "upstreams"),
        ({"authentication": ["passport"]}, "authentication.0"),
        ({"breaker": {"failures": 5, "window": "10s", "open": "30s"}}, "breaker"),
        ({"health": {"active": {"path": "/"}}}, "health.active"),
        ({"sensitivity": "private"}, "sensitivity"),
        ({"cache": {"jitter": "much"}}, "cache.jitter"),
        ({"cache": {"limits": {"body": "1 MIB"}}}, "cache.limits.body"),
        ({"cache": {"downstream": {"cache_control": "maybe"}}}, "cache.downstream.cache_control"),
        ({"cache": {"downstream": {"cache_control": "500ms"}}}, "cache.downstream.cache_control"),
        ({"cache": {"entity_tags": [{"json": "id"}]}}, "cache.entity_tags.0"),
        ({"cache": {"operations": [{"ttl": "1s"}]}}, "cache.operations.0.path"),
        ({"cache": {"operations": [{"path": "/a", "ttl": "soon"}]}}, "cache.operations.0.ttl"),
        ({"cache": {"operations": [{"path": "/a", "operations": []}]}}, "cache.operations.0.operations"),
        ({"cache": {"operations": [{"path": "/a", "sensitivity": "public"}]}}, "cache.operations.0.sensitivity"),
        ({"cache": {"operations": [{"path": "/a", "limits": {"size": 1}}]}}, "cache.operations.0.limits.size"),
        ({"request_headers": {"set": ["X"]}}, "request_headers.set"),
        ({"published": "perhaps"}, "published"),
        ({"listenpath": "/x/"}, "listenpath"),
        ({"hosts": "a.test"}, "hosts"),
        ({"retries": "1"}, "retries"),
        ({"name": None}, "name"),
    ],
)
def test_a_mistake_is_told_with_its_path_in_the_document(data: dict[str, Any], path: str):
    with pytest.raises(ValidationError) as refused:
        read_document(data)
    assert set(refused.value.message_dict) == {path}


def test_what_is_off_may_say_so():
    assert read_document({"breaker": False, "health": {"active": "off", "passive": False}}).fields == {}


def test_a_service_s_error_is_told_in_the_document_s_words(cast: Cast):
    with pytest.raises(ValidationError) as refused:
        make_api(cast.platform, connect_timeout=0.0, policy={"query_mode": "include", "ttl": -1.0}, hosts=["x y"])
    told = in_document_words(refused.value).message_dict
    assert set(told) == {"timeouts.connect", "cache.query.names", "cache.ttl", "hosts"}


def test_a_deprecated_api_says_so(cast: Cast):
    api = make_api(cast.platform)
    assert "deprecated" not in to_document(api)
    api_deprecate(actor=PLATFORM, api=api)
    document = to_document(api)
    assert (document["published"], document["deprecated"]) == (True, True)


def test_a_document_costs_no_query_when_its_rows_are_loaded(cast: Cast, django_assert_num_queries):
    make_api(cast.platform)
    api = API.objects.select_related("tenant", "cache_policy").prefetch_related("upstreams").get()
    with django_assert_num_queries(0):
        to_document(api)


def test_a_policy_alone_is_written_and_read_in_the_same_words(cast: Cast):
    policy = {"query_mode": "exclude", "query_names": ["utm"], "stale_if_error": 5.0, "methods": ["GET"]}
    api = make_api(cast.platform, policy=policy)
    found = read_policy(policy_document(api.cache_policy))
    assert {name: getattr(api.cache_policy, name) for name in found} == dict(found)


def test_differences_are_told_word_by_word():
    before = {"a": 1, "cache": {"ttl": "1s", "mode": "ttl"}, "hosts": ["x"]}
    after = {"cache": {"ttl": "2s", "mode": "ttl"}, "hosts": ["y"], "b": 2}
    assert differences(before, after) == {
        "a": [1, None],
        "cache.ttl": ["1s", "2s"],
        "hosts": [["x"], ["y"]],
        "b": [None, 2],
    }


def test_a_word_of_one_operation_is_told_by_its_name():
    item, search = {"path": "/items/*", "ttl": "1h"}, {"path": "/search", "methods": ["POST"], "mode": "ttl"}
    before = {"cache": {"operations": [item, search]}}
    after = {"cache": {"operations": [item, search | {"share_with_credentials": True}]}}
    told = {"cache.operations.POST /search.share_with_credentials": [None, True]}
    assert differences(before, after) == told
    turned = {"cache": {"operations": [search, item]}}
    assert differences(before, turned) == {"cache.operations": [[item, search], [search, item]]}, "the first counts"
