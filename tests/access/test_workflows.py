"""Both workflows walked at random: what the tables allow happens, and nothing else does."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.access import services
from apps.access.choices import (
    LIVE,
    OPEN,
    REQUEST_WORKFLOW,
    SUBSCRIPTION_WORKFLOW,
    RequestState,
    RequestVerb,
    SubscriptionState,
    SubscriptionVerb,
)
from apps.access.models import AccessRequest, Subscription
from apps.access.services.subscriptions import _move
from apps.audit.models import Entry
from apps.catalog.choices import LIFECYCLE, SERVED, APIState, Transition
from apps.catalog.models import API
from apps.catalog.services import api_transition
from apps.foundation.errors import Conflict
from apps.tenants.actors import PLATFORM
from tests.support.cast import Cast, make_api, make_application, make_request, make_subscription
from tests.support.examples import examples

walks = settings(
    max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def test_the_tables_speak_of_every_verb_and_leave_no_ended_request_or_subscription():
    assert set(REQUEST_WORKFLOW) == set(RequestVerb)
    assert set(SUBSCRIPTION_WORKFLOW) == set(SubscriptionVerb)
    assert set(LIFECYCLE) == set(Transition)
    ended_requests = set(RequestState) - set(OPEN)
    ended_subscriptions = set(SubscriptionState) - set(LIVE)
    assert not any(ended_requests & set(sources) for sources, _ in REQUEST_WORKFLOW.values())
    assert not any(ended_subscriptions & set(sources) for sources, _ in SUBSCRIPTION_WORKFLOW.values())


@walks
@given(verbs=st.lists(st.sampled_from(RequestVerb), max_size=8))
def test_a_request_goes_where_the_table_says(cast: Cast, verbs: list[RequestVerb]):
    Subscription.objects.all().delete()
    AccessRequest.objects.all().delete()
    api = API.objects.filter(slug="products").first() or make_api(cast.platform)
    bot = cast.acme.applications.first() or make_application(cast.acme)
    request = make_request(cast.bob, bot, api, submit=False)
    state = RequestState.DRAFT
    steps = {
        RequestVerb.SUBMIT: lambda: services.request_submit(actor=cast.bob, access_request=request),
        RequestVerb.ASK: lambda: services.request_ask(actor=cast.olga, access_request=request, comment="?"),
        RequestVerb.APPROVE: lambda: services.request_approve(actor=cast.olga, access_request=request),
        RequestVerb.REJECT: lambda: services.request_reject(actor=cast.olga, access_request=request, comment="no"),
        RequestVerb.CANCEL: lambda: services.request_cancel(actor=cast.bob, access_request=request),
    }
    for verb in verbs:
        sources, goal = REQUEST_WORKFLOW[verb]
        entries = Entry.objects.count()
        if state in sources:
            steps[verb]()
            state = goal
            assert Entry.objects.count() == entries + 1
        else:
            with pytest.raises(Conflict):
                steps[verb]()
            assert Entry.objects.count() == entries
        assert AccessRequest.objects.get(pk=request.pk).state == state
        assert Subscription.objects.exists() is (state == RequestState.APPROVED)


@walks
@given(verbs=st.lists(st.sampled_from(SubscriptionVerb), max_size=8))
def test_a_subscription_goes_where_the_table_says(cast: Cast, verbs: list[SubscriptionVerb]):
    Subscription.objects.all().delete()
    api = API.objects.filter(slug="products").first() or make_api(cast.platform)
    bot = cast.acme.applications.first() or make_application(cast.acme)
    subscription = make_subscription(bot, api)
    state = SubscriptionState.ACTIVE
    for verb in verbs:
        sources, goal = SUBSCRIPTION_WORKFLOW[verb]
        if state in sources:
            _move(PLATFORM, subscription, verb, "")
            state = goal
            ended = [] if verb is SubscriptionVerb.RESUME else [["stored", "g:products:acme/bot"]]
            assert Entry.objects.order_by("-epoch")[0].affects == [["application", "acme/bot"], *ended]
        else:
            with pytest.raises(Conflict):
                _move(PLATFORM, subscription, verb, "")
        assert Subscription.objects.get(pk=subscription.pk).state == state


@walks
@given(transitions=st.lists(st.sampled_from(Transition), max_size=8))
def test_an_api_goes_where_the_table_says(cast: Cast, transitions: list[Transition]):
    API.objects.all().delete()
    api = make_api(cast.platform, publish=False)
    state = APIState.DRAFT
    for transition in transitions:
        sources, goal = LIFECYCLE[transition]
        if state in sources:
            api_transition(actor=cast.olga, api=api, transition=transition)
            state = goal
            assert Entry.objects.order_by("-epoch")[0].affects == [["api", "products"]]
        else:
            with pytest.raises(Conflict):
                api_transition(actor=cast.olga, api=api, transition=transition)
        row = API.objects.get(pk=api.pk)
        assert row.state == state
        assert row.published_at is not None or state not in SERVED
