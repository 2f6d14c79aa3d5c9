"""No setting of a cache policy is dead: each can be said in the file, over REST (``tests/api``) and in the console, is
compiled, and changes what the cache does.
"""

from dataclasses import fields, replace
from typing import Any

import pytest
import yaml

from apps.caching.document import OPERATION_FIELDS
from apps.caching.models import POLICY_FIELDS, CachePolicy
from apps.catalog.models import API
from apps.console.forms.cache import PolicyForm
from apps.declarative.applying import apply
from apps.declarative.exporting import as_yaml, export
from apps.declarative.reader import read_text
from apps.fleet.compile import NOT_DECISIVE, compile_api
from apps.httpcache import Policy
from tests.caching.policy_settings import OF_THE_API, SETTINGS
from tests.support.cast import make_api, make_tenant


def test_every_field_of_a_policy_is_among_these():
    assert set(SETTINGS) == {field.name for field in fields(Policy)} - OF_THE_API
    assert set(SETTINGS) | {"operations", "warm_up"} == POLICY_FIELDS
    assert {field.name for field in CachePolicy._meta.fields} - {"id"} == POLICY_FIELDS


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_changes_what_the_cache_does(name: str):
    setting = SETTINGS[name]
    policy = Policy(api="products", **setting.base)
    assert setting.seen(replace(policy, **{name: setting.compiled})) != setting.seen(policy)


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_comes_from_the_file_to_the_gateway_and_back_into_a_file(db: None, name: str):
    setting = SETTINGS[name]
    make_tenant("platform")
    document: dict[str, Any] = {
        "slug": "products",
        "tenant": "platform",
        "listen_path": "/products/",
        "upstreams": [{"url": "http://127.0.0.1:9/"}],
    }
    document |= setting.words if name == "sensitivity" else {"cache": setting.words}
    text = yaml.safe_dump({"version": 1, "apis": [document]})
    assert apply(read_text(text.encode())) == ["+ api products"]
    api = API.objects.get()
    assert getattr(api.cache_policy, name) == setting.stored
    assert getattr(compile_api(api).policy, name) == setting.compiled
    assert apply(read_text(text.encode())) == []
    assert apply(read_text(as_yaml(export()).encode())) == []


def test_each_setting_is_in_the_console_s_form():
    assert set(PolicyForm.base_fields) >= set(SETTINGS)


def test_an_operation_s_policy_may_say_all_that_is_not_about_the_api_as_a_whole():
    assert set(SETTINGS) - OPERATION_FIELDS == {"sensitivity", "max_size"}


@pytest.mark.parametrize("name", sorted(set(SETTINGS)))
def test_a_changed_setting_ends_what_was_stored_unless_it_decides_nothing_of_that(db: None, name: str):
    api = make_api(make_tenant("platform"))
    before = compile_api(api).policy
    setattr(api.cache_policy, name, SETTINGS[name].stored)
    after = compile_api(api).policy
    assert (after.group != before.group) is (name not in NOT_DECISIVE)
