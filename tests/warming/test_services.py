"""Who may warm an API up, with what, and what begins by itself."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils import timezone

from apps.audit.models import Entry
from apps.caching.models import CachePolicy, Purge
from apps.catalog.services import api_publish, api_unpublish, api_update
from apps.fleet.publisher import publish_pending
from apps.foundation.errors import Conflict
from apps.foundation.field_names import by_path
from apps.tenants.actors import PLATFORM
from apps.warming.choices import WarmUpCause
from apps.warming.models import WarmUp
from apps.warming.policies import warm_ups_visible_to
from apps.warming.services import KEPT, MOST_WAITING, warm_up_cancel, warm_up_start
from apps.warming.triggers import PURGES_MATTER, begin_due
from tests.support.cast import make_api


def said(api, **warm_up):
    """The API with this warm_up in its policy."""
    return api_update(actor=PLATFORM, api=api, policy={"warm_up": warm_up})


@pytest.fixture
def out(state_redis):
    """Has Redis hear of every change at once, as in an installation."""
    return publish_pending


def over() -> None:
    WarmUp.objects.update(state="done", ended_at=timezone.now())


def test_a_warm_up_is_queued_and_witnessed(cast):
    warm_up = warm_up_start(actor=cast.olga, api=make_api(cast.platform), urls=["/items/1"], top=50, rate="20/s")
    assert (warm_up.state, warm_up.urls, warm_up.top, warm_up.rate) == ("queued", ["/items/1"], 50, 20.0)
    assert warm_up.actor_email == cast.olga.email
    entry = Entry.objects.first()
    assert (entry.verb, entry.target, entry.changes) == (
        "cache.warm_up",
        "products",
        {"warm-up": [None, "1 URLs and the top 50 at 20/s"]},
    )
    assert entry.affects == []


@pytest.mark.parametrize("who", ["vera", "charlie"])
def test_viewers_and_strangers_start_none(cast, who):
    with pytest.raises(PermissionDenied):
        warm_up_start(actor=getattr(cast, who), api=make_api(cast.acme), urls=["/1"])
    assert not WarmUp.objects.exists()


@pytest.mark.parametrize("who", ["vera", "charlie"])
def test_viewers_and_strangers_cancel_none(cast, who):
    warm_up = warm_up_start(actor=cast.bob, api=make_api(cast.acme), urls=["/1"])
    with pytest.raises(PermissionDenied):
        warm_up_cancel(actor=getattr(cast, who), warm_up=warm_up)
    assert not WarmUp.objects.get().is_over


def test_one_sees_those_of_ones_own_tenants_apis(cast):
    warm_up = warm_up_start(actor=cast.bob, api=make_api(cast.acme), urls=["/1"])
    assert list(warm_ups_visible_to(cast.vera)) == [warm_up]
    assert list(warm_ups_visible_to(cast.charlie)) == []
    assert list(warm_ups_visible_to(cast.ada)) == [warm_up]


def test_a_cancelled_one_is_over_and_cancelled_once(cast):
    warm_up = warm_up_start(actor=cast.bob, api=make_api(cast.acme), urls=["/1"])
    warm_up_cancel(actor=cast.bob, warm_up=warm_up)
    assert (warm_up.state, warm_up.is_over, Entry.objects.first().verb) == ("cancelled", True, "cache.warm_up_cancel")
    with pytest.raises(Conflict, match="cancelled"):
        warm_up_cancel(actor=cast.bob, warm_up=warm_up)


@pytest.mark.parametrize(
    ("asked", "field", "told"),
    [
        ({"urls": ["/ok", "items"]}, "urls", "Number 2: Write a path"),
        ({"urls": ["ftp://api.test/products/1"]}, "urls", "Number 1"),
        ({"urls": ["http://user:word@api.test/products/1"]}, "urls", "no credentials"),
        ({"urls": ["/..%2fsecret"]}, "urls", "400"),
        ({"urls": ["http://api.test/orders/1"]}, "urls", "don't reach Products"),
        ({"urls": ["http://api.test/products"]}, "urls", "don't reach Products"),
        ({"urls": ["/" + "x" * 2000]}, "urls", "2,000 characters"),
        ({"urls": ["/1"] * 1001}, "urls", "At most 1000"),
        ({"top": 10_001}, "top", "At most 10,000"),
        ({"top": -1}, "top", "whole number"),
        ({"urls": ["/1"], "rate": "fast"}, "rate", "like 100/s"),
        ({"urls": ["/1"], "rate": "1001/s"}, "rate", "1000/s"),
        ({"urls": ["/1"], "rate": "1/d"}, "rate", "1/h"),
        ({"urls": ["/1"], "headers": {"Authorization": "Bearer x"}}, "headers", "not for everybody"),
        ({"urls": ["/1"], "headers": {"X-API-Key": "x"}}, "headers", "not for everybody"),
        ({"urls": ["/1"], "headers": {"Host": "other"}}, "headers", "not a request header"),
        ({"urls": ["/1"], "headers": {"X-Apimgr-Warm-Up": "x"}}, "headers", "not a request header"),
        ({"urls": ["/1"], "headers": {"a b": "x"}}, "headers", "not a request header"),
        ({"urls": ["/1"], "headers": {"accept": "a\r\nb"}}, "headers", "not plain text"),
    ],
)
def test_what_is_wrong_is_said_by_field(cast, asked, field, told):
    with pytest.raises(ValidationError) as refusal:
        warm_up_start(actor=cast.olga, api=make_api(cast.platform), **asked)
    errors = by_path(refusal.value)
    assert list(errors) == [field]
    assert told in errors[field][0]
    assert not WarmUp.objects.exists()


def test_a_url_that_a_longer_listen_path_takes_is_refused(cast):
    api = make_api(cast.platform)
    make_api(cast.platform, "special", listen_path="/products/special/")
    with pytest.raises(ValidationError, match="another API"):
        warm_up_start(actor=cast.olga, api=api, urls=["/special/1"])


def test_what_nobody_serves_is_not_warmed_up(cast):
    with pytest.raises(ValidationError, match="publish it first"):
        warm_up_start(actor=cast.olga, api=make_api(cast.platform, publish=False), urls=["/1"])


def test_where_each_key_has_answers_of_its_own_nothing_is_warmed_up(cast):
    with pytest.raises(ValidationError, match="sends its callers' X-API-Key on"):
        warm_up_start(actor=cast.olga, api=make_api(cast.platform, forward_credential=True), urls=["/1"])


def test_so_many_of_one_api_may_wait_and_no_more(cast):
    api = make_api(cast.platform)
    for _ in range(MOST_WAITING):
        warm_up_start(actor=cast.olga, api=api, urls=["/1"])
    with pytest.raises(Conflict):
        warm_up_start(actor=cast.olga, api=api, urls=["/1"])


def test_without_urls_the_policy_says_which(cast):
    api = said(make_api(cast.platform), urls=["/a"], top=7, rate="2/s", headers={"accept": "text/html"})
    warm_up = warm_up_start(actor=cast.olga, api=api)
    assert (warm_up.urls, warm_up.top, warm_up.rate, warm_up.headers) == (["/a"], 7, 2.0, {"accept": "text/html"})
    named = warm_up_start(actor=cast.olga, api=api, urls=["/b"])
    assert (named.urls, named.top, named.rate) == (["/b"], 0, 10.0)


def test_without_anything_it_is_the_usual_top(cast):
    warm_up = warm_up_start(actor=cast.olga, api=make_api(cast.platform))
    assert (warm_up.urls, warm_up.top, warm_up.rate) == ([], 100, 10.0)


def test_old_ones_are_forgotten_by_cause(cast):
    api = make_api(cast.platform)
    kept = warm_up_start(actor=PLATFORM, api=api, cause=WarmUpCause.PUBLISH, mark=3)
    for _ in range(KEPT + 3):
        over()
        warm_up_start(actor=cast.olga, api=api, urls=["/1"])
    assert WarmUp.objects.filter(cause=WarmUpCause.MANUAL).count() == KEPT + 1
    assert WarmUp.objects.filter(pk=kept.pk).exists()


# What begins by itself


def test_nothing_begins_where_no_policy_says_so(cast):
    make_api(cast.platform)
    assert begin_due(timezone.now()) == 0


def test_a_new_revision_in_force_is_warmed_up_once(cast, out):
    api = said(make_api(cast.platform), on_publish=True, urls=["/a"])
    assert begin_due(timezone.now()) == 0  # no gateway can know of it
    out()
    assert begin_due(timezone.now()) == 1
    assert (WarmUp.objects.get().cause, WarmUp.objects.get().urls) == (WarmUpCause.PUBLISH, ["/a"])
    over()
    assert begin_due(timezone.now()) == 0
    api_update(actor=PLATFORM, api=api, read_timeout=7.0)
    out()
    assert begin_due(timezone.now()) == 1
    over()
    assert begin_due(timezone.now()) == 0


def test_a_draft_is_warmed_up_when_it_is_published_and_again_when_it_comes_back(cast, out):
    api = said(make_api(cast.platform, publish=False), on_publish=True)
    assert begin_due(timezone.now()) == 0
    api_publish(actor=PLATFORM, api=api)
    out()
    assert begin_due(timezone.now()) == 1
    over()
    api_unpublish(actor=PLATFORM, api=api)
    assert begin_due(timezone.now()) == 0
    api_publish(actor=PLATFORM, api=api)
    out()
    assert begin_due(timezone.now()) == 1


def purged(slug="products", **change) -> Purge:
    purge = Purge.objects.create(api_slug=slug, kind="api", clock=1)
    Purge.objects.filter(pk=purge.pk).update(**change)
    return purge


def test_a_purge_is_followed_by_a_warm_up_where_the_policy_says_so(cast):
    said(make_api(cast.platform), after_purge=True)
    make_api(cast.platform, "orders")
    assert begin_due(timezone.now()) == 0
    purged()
    purged("orders")
    assert begin_due(timezone.now()) == 1
    assert WarmUp.objects.get().cause == WarmUpCause.PURGE
    over()
    assert begin_due(timezone.now()) == 0


def test_two_purges_before_it_starts_need_one_warm_up(cast):
    said(make_api(cast.platform), after_purge=True)
    purged()
    assert begin_due(timezone.now()) == 1
    newest = purged()
    assert begin_due(timezone.now()) == 0
    assert WarmUp.objects.get().mark == newest.pk


def test_a_purge_while_one_runs_needs_another(cast):
    said(make_api(cast.platform), after_purge=True)
    purged()
    begin_due(timezone.now())
    WarmUp.objects.update(state="running", worker="w")
    purged()
    assert begin_due(timezone.now()) == 1


def test_a_purge_of_long_ago_warms_nothing_up(cast):
    said(make_api(cast.platform), after_purge=True)
    purged(at=timezone.now() - 2 * PURGES_MATTER)
    assert begin_due(timezone.now()) == 0


def test_the_schedule_begins_one_every_so_often(cast):
    said(make_api(cast.platform), every="6h")
    now = timezone.now()
    assert begin_due(now) == 1
    over()
    assert begin_due(now + timedelta(hours=5)) == 0
    assert begin_due(now + timedelta(hours=6, seconds=1)) == 1
    assert set(WarmUp.objects.values_list("cause", flat=True)) == {WarmUpCause.SCHEDULE}


def test_what_a_setting_brings_about_is_no_decision_in_the_audit_log(cast):
    said(make_api(cast.platform), every="6h")
    before = Entry.objects.count()
    begin_due(timezone.now())
    assert Entry.objects.count() == before


def test_a_setting_that_is_wrong_by_now_is_told_once_and_stops_nobody_else(cast):
    api = said(make_api(cast.platform), every="6h", urls=["http://api.test/products/1"])
    said(make_api(cast.platform, "orders"), every="6h")
    CachePolicy.objects.filter(api=api).update(warm_up={"every": "6h", "urls": ["http://api.test/elsewhere/1"]})
    now = timezone.now()
    assert begin_due(now) == 1
    refused = WarmUp.objects.get(api_slug="products")
    assert refused.state == "failed"
    assert "don't reach Products" in refused.note
    over()
    assert begin_due(now + timedelta(minutes=1)) == 0


def test_how_many_queries_it_takes_doesnt_depend_on_how_many_apis_there_are(cast, out, django_assert_max_num_queries):
    for number in range(5):
        said(make_api(cast.platform, f"api-{number}"), on_publish=True, after_purge=True, every="6h")
    out()
    begin_due(timezone.now())
    over()
    with django_assert_max_num_queries(4):
        assert begin_due(timezone.now()) == 0
