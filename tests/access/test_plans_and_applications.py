"""Plans and applications."""

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from apps.access import services
from apps.access.document import plan_document, read_plan
from apps.access.models import AccessRequest, Application, Credential, Plan, Subscription
from apps.audit.models import Entry
from tests.support.cast import Cast, make_api, make_application, make_key, make_plan, make_request, make_subscription


def last() -> Entry:
    return Entry.objects.order_by("-epoch")[0]


def test_a_plan_is_made_changed_and_told_to_the_gateways(cast: Cast):
    plan = services.plan_create(actor=cast.ada, slug="gold", name="Gold", rate_calls=10)
    assert (last().verb, last().affects) == ("plan.create", [["plan", "gold"]])
    plan = services.plan_update(actor=cast.ada, plan=plan, rate_calls=20, burst=40)
    assert Plan.objects.get(slug="gold").burst == 40
    assert last().changes == {"rate_calls": [10, 20], "burst": [None, 40]}
    before = Entry.objects.count()
    services.plan_update(actor=cast.ada, plan=plan, rate_calls=20)
    assert Entry.objects.count() == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slug", "standard"),
        ("name", ""),
        ("rate_calls", 0),
        ("rate_period", 0.0),
        ("rate_period", float("nan")),
        ("rate_period", "often"),
        ("rate_period", None),
        ("burst", 0),
        ("quota", 10**13),
        ("quota_period", "year"),
        ("trust_lease", -1.0),
        ("trust_lease", float("inf")),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_next_to_its_field(cast: Cast, field: str, value: object):
    make_plan("standard")
    fields: dict[str, Any] = {"slug": "gold", "name": "Gold", "rate_calls": 1} | {field: value}
    with pytest.raises(ValidationError) as refused:
        services.plan_create(actor=cast.ada, **fields)
    assert field in refused.value.message_dict
    assert Plan.objects.count() == 1


def test_a_burst_needs_a_rate(cast: Cast):
    with pytest.raises(ValidationError) as refused:
        services.plan_create(actor=cast.ada, slug="gold", name="Gold", burst=5)
    assert "burst" in refused.value.message_dict


def test_a_plan_that_was_ever_used_is_not_deleted(cast: Cast):
    subscribed, asked, free = make_plan("subscribed"), make_plan("asked"), make_plan("free")
    api = make_api(cast.platform)
    make_subscription(make_application(cast.acme), api, subscribed, state="revoked")
    make_request(cast.bob, make_application(cast.acme, "other"), api, asked)
    for plan in (subscribed, asked):
        with pytest.raises(ValidationError):
            services.plan_delete(actor=cast.ada, plan=plan)
    services.plan_delete(actor=cast.ada, plan=free)
    assert set(Plan.objects.values_list("slug", flat=True)) == {"subscribed", "asked"}
    assert (last().verb, last().affects) == ("plan.delete", [["plan", "free"]])


def test_plans_are_the_administrators_business(cast: Cast):
    plan = make_plan()
    for actor in (cast.alice, cast.olga):
        for attempt in (
            lambda actor: services.plan_create(actor=actor, slug="x", name="X"),
            lambda actor: services.plan_update(actor=actor, plan=plan, name="X"),
            lambda actor: services.plan_delete(actor=actor, plan=plan),
        ):
            with pytest.raises(PermissionDenied):
                attempt(actor)


def test_a_plan_is_written_and_read_in_the_same_words(cast: Cast):
    plan = make_plan("odd", rate_calls=5, rate_period=10.0, quota=None, trust_lease=0.0)
    document = plan_document(plan)
    assert (document["rate_limit"], document["quota"], document["trust_lease"]) == ("5/10s", None, "0s")
    assert document["burst"] == 200
    fields = read_plan({word: value for word, value in document.items() if word != "slug"})
    assert {name: getattr(plan, name) for name in fields} == fields


def test_an_application_is_made_by_a_developer_of_its_tenant(cast: Cast):
    bot = services.application_create(actor=cast.bob, tenant=cast.acme, slug="bot", name="Bot")
    assert Application.objects.get() == bot
    assert (last().verb, last().target, last().tenant_slug) == ("application.create", "acme/bot", "acme")
    services.application_create(actor=cast.charlie, tenant=cast.globex, slug="bot", name="Bot")
    with pytest.raises(ValidationError):
        services.application_create(actor=cast.alice, tenant=cast.acme, slug="bot", name="Again")
    for actor in (cast.vera, cast.charlie):
        with pytest.raises(PermissionDenied):
            services.application_create(actor=actor, tenant=cast.acme, slug="x", name="X")
        with pytest.raises(PermissionDenied):
            services.application_update(actor=actor, application=bot, name="X")
        with pytest.raises(PermissionDenied):
            services.application_delete(actor=actor, application=bot)


def test_an_application_is_changed_once(cast: Cast):
    bot = make_application(cast.acme)
    services.application_update(actor=cast.bob, application=bot, name="Robot")
    assert last().changes == {"name": ["Bot", "Robot"]}
    before = Entry.objects.count()
    services.application_update(actor=cast.bob, application=bot, name="Robot")
    assert Entry.objects.count() == before


def test_a_deleted_application_takes_its_keys_from_the_gateways(cast: Cast):
    bot, api = make_application(cast.acme), make_api(cast.platform)
    digests = {make_key(bot, name).key.digest for name in ("a", "b")}
    make_subscription(bot, api)
    make_request(cast.bob, bot, api, make_plan("large"))
    services.application_delete(actor=cast.bob, application=bot)
    assert [model.objects.count() for model in (Credential, Subscription, AccessRequest)] == [0, 0, 0]
    assert last().verb == "application.delete"
    assert {tuple(pair) for pair in last().affects} == {
        *(("key", digest) for digest in digests),
        ("stored", "o:acme/bot"),
    }
    assert last().changes == {"keys": [2, 0], "subscriptions": [1, 0]}
