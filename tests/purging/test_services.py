"""Cache policies and purges as the control plane changes them."""

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from apps.audit.models import Entry
from apps.caching.choices import PurgeKind
from apps.caching.models import Purge
from apps.catalog.models import Operation, Revision
from apps.foundation.errors import Unavailable
from apps.purging import services
from apps.wire import redis_names
from tests.support.cast import Cast, make_api


@pytest.fixture
def state(state_redis):
    """A state Redis that knows its epoch, as the fleet leaves it."""
    state_redis.hset(redis_names.EPOCH, mapping={"incarnation": 1, "n": 1, "seq": 0})
    return state_redis


def test_a_policy_is_changed_by_a_revision_of_its_api(cast: Cast):
    api = make_api(cast.platform)
    policy = services.policy_update(actor=cast.olga, api=api, ttl=5.0, mode="ttl", comment="Fresher")
    assert (policy.ttl, policy.mode) == (5.0, "ttl")
    newest = Revision.objects.filter(api=api)[0]
    assert (newest.number, newest.comment, newest.document["cache"]["ttl"]) == (2, "Fresher", "5s")
    assert Entry.objects.order_by("-epoch")[0].affects == [["api", "products"]]
    with pytest.raises(PermissionDenied):
        services.policy_update(actor=cast.alice, api=api, ttl=6.0)


@pytest.mark.parametrize(
    ("kind", "value", "tags"),
    [
        ("api", "", {b"a:products"}),
        ("path", "/items/1", {b"p:products:/items/1"}),
        ("path", "/products/items/1", {b"p:products:/items/1", b"p:products:/products/items/1"}),
        ("prefix", "/items/", {b"x:products:/items"}),
        (
            "path",
            "https://api.example.com/products/items/1?page=2",
            {b"p:products:/items/1", b"p:products:/products/items/1"},
        ),
        ("prefix", "http://api.example.com", {b"x:products:"}),
        ("tag", "shelf-7", {b"k:products:shelf-7", b"k:products:*"}),
        ("operation", "GET /items/{id}", {b"k:products:GET /items/{id}"}),
        ("tenant", "acme", {b"g:products:acme"}),
        ("application", "acme/bot", {b"g:products:acme/bot"}),
    ],
)
def test_a_purge_is_in_redis_with_its_row_and_its_entry(cast: Cast, state, kind: str, value: str, tags: set[bytes]):
    api = make_api(cast.platform)
    Operation.objects.create(api=api, method="GET", path="/items/{id}")
    purge = services.purge(actor=cast.olga, api=api, kind=kind, value=value)
    assert set(state.hgetall(redis_names.PURGES)) == tags
    assert int(state.get(redis_names.PURGE_CLOCK)) == purge.clock
    row = Purge.objects.get()
    assert (row.api_slug, row.kind, row.value, row.actor_email) == ("products", kind, value, "olga@platform.test")
    entry = Entry.objects.order_by("-epoch")[0]
    assert (entry.verb, entry.target, entry.affects) == ("cache.purge", "products", [])
    services.receipt_note(purge=purge, workers=2, in_force=1, slowest_ms=7.0)
    assert Purge.objects.get().in_force == 1


@pytest.mark.parametrize(
    ("kind", "value", "field"),
    [
        ("everything", "", "kind"),
        ("api", "/items", "value"),
        ("path", "", "value"),
        ("path", "items", "value"),
        ("path", "/a\nb", "value"),
        ("prefix", "x" * 2001, "value"),
        ("path", "https://api.example.com/a b", "value"),
        ("operation", "GET /nothing", "value"),
        ("tenant", "acme/bot", "value"),
        ("application", "acme", "value"),
        ("application", "acme/bot\n", "value"),
        ("operation", "GET", "value"),
        ("tag", "two words", "value"),
        ("tag", "line\nbreak", "value"),
    ],
)
def test_a_purge_that_names_nothing_is_refused(cast: Cast, state, kind: str, value: str, field: str):
    with pytest.raises(ValidationError) as refused:
        services.purge(actor=cast.olga, api=make_api(cast.platform), kind=kind, value=value)
    assert set(refused.value.message_dict) == {field}
    assert not Purge.objects.exists()
    assert not state.exists(redis_names.PURGES)


def test_callers_purge_nothing(cast: Cast, state):
    api = make_api(cast.platform)
    for actor in (cast.alice, cast.vera, cast.charlie):
        with pytest.raises(PermissionDenied):
            services.purge(actor=actor, api=api, kind=PurgeKind.API)


def test_while_redis_is_away_or_empty_nothing_is_purged_and_it_is_said(cast: Cast, state_redis, settings):
    api = make_api(cast.platform)
    state_redis.delete(redis_names.EPOCH)
    with pytest.raises(Unavailable):
        services.purge(actor=cast.olga, api=api, kind=PurgeKind.API)
    settings.REDIS_URL = "redis://127.0.0.1:9"
    with pytest.raises(Unavailable):
        services.purge(actor=cast.olga, api=api, kind=PurgeKind.API)
    assert not Purge.objects.exists()
