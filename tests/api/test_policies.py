"""Cache policies over REST: every setting, and the policies of operations."""

import pytest

from apps.catalog.models import API
from tests.caching.policy_settings import SETTINGS
from tests.support.cast import make_api


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_is_changed_and_shown_over_rest(cast, calls_as, name):
    setting = SETTINGS[name]
    make_api(cast.platform)
    changed = calls_as(cast.olga).patch("/api/v1/cache-policies/products/", setting.words)
    assert changed.status_code == 200, changed.content
    assert getattr(API.objects.get().cache_policy, name) == setting.stored
    shown = calls_as(cast.olga).get("/api/v1/cache-policies/products/").json()
    for word, value in setting.words.items():
        assert shown[word] == value or value.items() <= shown[word].items()


OPERATIONS = [
    {"path": "/items/{id}", "methods": ["GET"], "ttl": "5m", "query": {"sorted": True}},
    {"path": "/search", "methods": ["POST"], "mode": "ttl", "stale_if_error": None, "limits": {"body": "100KiB"}},
    {"path": "/admin/**", "mode": "off"},
]


def test_policies_of_operations_are_written_and_read_in_the_same_words(cast, calls_as):
    make_api(cast.platform, policy={"stale_if_error": 600.0})
    olga = calls_as(cast.olga)
    assert olga.patch("/api/v1/cache-policies/products/", {"operations": OPERATIONS}).json()["operations"] == OPERATIONS
    assert olga.patch("/api/v1/cache-policies/products/", {"operations": OPERATIONS}).status_code == 200
    assert API.objects.get().revision == 2, "the second time, nothing changed"
    assert olga.get("/api/v1/apis/products/").json()["cache"]["operations"] == OPERATIONS


@pytest.mark.parametrize(
    ("operation", "word"),
    [
        ({"path": "items"}, "operations.0.path"),
        ({"path": "/a/**/b"}, "operations.0.path"),
        ({"ttl": "1s"}, "operations.0.path"),
        ({"path": "/a", "ttl": "soon"}, "operations.0.ttl"),
        ({"path": "/a", "ttl": "400d"}, "operations.0.ttl"),
        ({"path": "/a", "jitter": 0.6}, "operations.0.jitter"),
        ({"path": "/a", "methods": ["DELETE"]}, "operations.0.methods"),
        ({"path": "/a", "query": {"mode": "include"}}, "operations.0.query.names"),
        ({"path": "/a", "limits": {"size": 1}}, "operations.0.limits.size"),
        ({"path": "/a", "sensitivity": "public"}, "operations.0.sensitivity"),
        ({"path": "/a", "operations": []}, "operations.0.operations"),
        ({"path": "/a", "entity_tags": [{"json": "a..b", "tag": "x:"}]}, "operations.0.entity_tags.0"),
    ],
)
def test_what_is_wrong_with_an_operation_s_policy_is_named_by_its_place(cast, calls_as, operation, word):
    make_api(cast.platform)
    refused = calls_as(cast.olga).patch("/api/v1/cache-policies/products/", {"operations": [operation]})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [word])
    assert API.objects.get().revision == 1
