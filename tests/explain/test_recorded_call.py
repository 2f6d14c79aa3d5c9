"""The cache key of a call that was made, found again by its name in the call's record."""

import pytest
from django.core.cache import caches

from apps.cachestore.inspection import CacheInspection
from apps.catalog.models import API
from apps.explain.nearest import KeyOfCall
from apps.explain.recorded_call import key_of_call
from apps.fleet.publisher import publish_pending
from apps.purging.services import policy_update
from apps.tenants.actors import PLATFORM
from tests.explain.test_lookup import kept
from tests.support.cast import make_api, make_application, make_key, make_subscription


@pytest.fixture
def bot(cast, state_redis, cache_redis):
    """acme's application, which calls ``products`` of the tenant platform."""
    application = make_application(cast.acme)
    make_key(application)
    make_subscription(application, make_api(cast.platform))
    publish_pending()
    return application


def of(actor, name, path="/products/items"):
    return key_of_call(actor=actor, api="products", path=path, cache_key=name)


def test_its_parts_what_is_stored_and_what_differs_from_the_nearest(cast, bot):
    kept("/products/items?a=2")
    _, name = kept("/products/items?a=1")
    found = of(cast.olga, name)
    assert {part.label: part.value for part in found.parts}["query"] == "a=1"
    assert found.stored.state == "fresh"
    assert [(each.label, each.wanted, each.stored) for each in found.nearest.differences] == [("query", "a=1", "a=2")]


def test_another_variant_of_the_same_key_is_the_nearest(cast, bot):
    kept(asked=[("Accept-Language", "de")], vary="Accept-Language")
    _, name = kept(asked=[("Accept-Language", "fr")], vary="Accept-Language")
    found = of(cast.olga, name)
    assert [(each.label, each.wanted, each.stored) for each in found.nearest.differences] == [
        ("Vary: accept-language", "fr", "de")
    ]


def test_of_what_was_never_stored_or_is_gone_only_the_name_is_known(cast, bot):
    entry, name = kept()
    caches["responses"].delete(entry.key.hex())
    assert of(cast.olga, name) == KeyOfCall(name)
    assert of(cast.olga, "f" * 32) == KeyOfCall("f" * 32)


def test_a_call_that_never_asked_the_cache_has_no_key(cast, bot):
    assert of(cast.olga, "") is None
    assert of(cast.olga, "f" * 32, path="/elsewhere/items") is None


def test_callers_learn_of_it_as_far_as_the_api_shows_its_cache(cast, bot):
    policy_update(actor=PLATFORM, api=API.objects.get(), scope="application")
    _, name = kept(application=bot)
    assert of(cast.alice, name).stored.holder == "acme/bot"
    assert of(cast.charlie, name) == KeyOfCall(name), "another tenant's entry"
    API.objects.update(debug_headers="none")
    assert of(cast.alice, name) is None
    assert of(cast.olga, name).parts


def test_without_redis_only_the_name_is_known(cast, bot, monkeypatch):
    def away(*args):
        raise ConnectionError

    monkeypatch.setattr(CacheInspection, "siblings", away)
    assert of(cast.olga, "f" * 32) == KeyOfCall("f" * 32)
