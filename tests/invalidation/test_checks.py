"""What a deployment is told of caches in front of its gateways."""

from typing import Any

import pytest

from apps.invalidation.checks import caches_in_front_know_no_keys
from apps.invalidation.models import CDN
from tests.support.cast import Cast, make_api


@pytest.mark.parametrize(
    ("policy", "fields", "told"),
    [
        ({}, {}, True),
        ({"mode": "off"}, {}, True),
        ({"downstream": "private"}, {}, False),
        ({"downstream": "60"}, {}, False),
        ({"downstream": "private", "operations": [{"path": "/a", "downstream": "pass"}]}, {}, True),
        ({}, {"authentication": ["none"]}, False),
        ({"sensitivity": "personal"}, {}, False),
    ],
)
def test_a_cdn_in_front_of_an_api_with_keys_is_told_of(
    cast: Cast, policy: dict[str, Any], fields: dict[str, Any], told: bool
) -> None:
    api = make_api(cast.acme, policy=policy, **fields)
    assert caches_in_front_know_no_keys(None) == []
    CDN.objects.create(api=api, base_url="https://api.example/products")
    found = caches_in_front_know_no_keys(None)
    assert ([each.id for each in found] == ["invalidation.W001"]) is told
    assert not found or "products." in found[0].msg
