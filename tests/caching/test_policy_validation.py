"""What a cache policy may say: each refusal with its field and a sentence."""

import math
from typing import Any

import pytest

from apps.caching.models import CachePolicy
from apps.caching.validation import MOST_OPERATIONS, policy_errors, with_operation


def errors_of(**fields: Any) -> dict[str, list[str]]:
    return policy_errors(CachePolicy(**fields))


def test_the_defaults_are_right():
    assert errors_of() == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"methods": ["GET", "HEAD", "POST", "QUERY"]},
        {"jitter": 0},
        {"jitter": 0.5},
        {"negative_ttl": 0.0},
        {"max_body": 0},
        {"max_size": 0},
        {"max_variants": 1},
        {"entity_tags": [{"json": "items[*].id", "tag": "item:"}, {"json": "$.a[0].b", "tag": ""}]},
        {"downstream": "0"},
        {"operations": [{"path": "/"}, {"path": "/items/{id}", "mode": "off"}]},
        {"operations": [{"path": "/", "methods": ["GET"]}, {"path": "/", "methods": ["POST"]}, {"path": "/"}]},
        {"query_mode": "include", "query_names": ["a"], "operations": [{"path": "/a", "query_names": ["b"]}]},
    ],
)
def test_what_may_be_said(fields: dict[str, Any]):
    assert errors_of(**fields) == {}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"ttl": -1.0}, "ttl"),
        ({"negative_ttl": -1.0}, "negative_ttl"),
        ({"negative_ttl": 400 * 86400.0}, "negative_ttl"),
        ({"stale_if_error": math.inf}, "stale_if_error"),
        ({"jitter": 0.51}, "jitter"),
        ({"jitter": -0.1}, "jitter"),
        ({"jitter": math.nan}, "jitter"),
        ({"methods": ["PUT"]}, "methods"),
        ({"methods": "GET"}, "methods"),
        ({"max_body": 2**30}, "max_body"),
        ({"max_variants": 0}, "max_variants"),
        ({"max_variants": 1001}, "max_variants"),
        ({"max_size": -1}, "max_size"),
        ({"entity_tags": "id"}, "entity_tags"),
        ({"entity_tags": [{"json": "id", "tag": "i:"}] * 17}, "entity_tags"),
        ({"entity_tags": [{"json": "id", "tag": "i:"}, {"json": "a..b", "tag": "i:"}]}, "entity_tags.1"),
        ({"entity_tags": [{"json": "id", "tag": "an item:"}]}, "entity_tags.0"),
        ({"downstream": "public"}, "downstream"),
        ({"downstream": "99999999999"}, "downstream"),
        ({"operations": {"path": "/"}}, "operations"),
        ({"operations": [{"path": f"/{number}"} for number in range(MOST_OPERATIONS + 1)]}, "operations"),
        ({"operations": [{"path": "/"}, {"path": "a"}]}, "operations.1.path"),
        ({"operations": [{"path": "/a/{id}"}, {"path": "/a/*", "mode": "off"}]}, "operations.1.path"),
        ({"operations": [{"path": "/", "jitter": 1.0}]}, "operations.0.jitter"),
        ({"operations": [{"path": "/", "mode": "always"}]}, "operations.0.mode"),
        ({"operations": [{"path": "/", "sensitivity": "public"}]}, "operations.0.sensitivity"),
        ({"operations": [{"path": "/", "max_size": 1}]}, "operations.0.max_size"),
        ({"operations": [{"path": "/", "query_mode": "include"}]}, "operations.0.query_names"),
        ({"operations": [{"path": "/", "query_names": ["a"]}]}, "operations.0.query_names"),
    ],
)
def test_what_is_refused_is_named(fields: dict[str, Any], field: str):
    assert list(errors_of(**fields)) == [field]


def test_an_error_of_the_api_s_policy_is_not_told_again_for_each_operation():
    assert list(errors_of(ttl=-1.0, operations=[{"path": "/a"}, {"path": "/b", "jitter": 0.2}])) == ["ttl"]


def test_names_of_headers_have_one_form_in_operations_too():
    policy = CachePolicy(headers=["X-B", "x-a"], operations=[{"path": "/", "headers": ["X-D", "x-c", "X-C"]}])
    assert policy_errors(policy) == {}
    assert (policy.headers, policy.operations[0]["headers"]) == (["x-a", "x-b"], ["x-c", "x-d"])


def test_an_operation_s_whole_policy_is_the_api_s_with_what_it_says():
    policy = CachePolicy(ttl=5.0, scope="tenant", sensitivity="personal", operations=[{"path": "/a", "ttl": 9.0}])
    whole = with_operation(policy, policy.operations[0])
    assert (whole.ttl, whole.scope, whole.sensitivity, whole.operations) == (9.0, "tenant", "personal", [])
    assert policy.ttl == 5.0
