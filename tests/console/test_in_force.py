"""What the console says an application can call, and with what, is what can be called now."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.access.models import Credential, Subscription
from tests.console.conftest import World, text_of
from tests.support.cast import make_api, make_key, make_subscription


@pytest.fixture
def bob(world: World, browse: Any) -> Client:
    """Bob's browser, where the newest key of acme's application ended and its newest subscription is suspended."""
    ended = make_key(world.application, "ended").key
    Credential.objects.filter(pk=ended.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    make_subscription(world.application, make_api(world.people.platform, "weather"), state="suspended")
    return browse(world.people.bob)


def test_a_key_that_ended_is_not_counted_as_active(bob: Client):
    (row,) = bob.get(reverse("console:applications")).context["table"].page
    assert row.record.active_credentials == 2  # a key that lives, and a client ID


def test_the_example_of_an_application_is_a_call_that_its_subscriptions_let_through(world: World, bob: Client):
    page = bob.get(reverse("console:application", args=["acme", "bot"]))
    assert page.context["example_api"] == world.api


@pytest.mark.parametrize(
    "change", [{"state": "suspended"}, {"expires_at": timezone.now() - timedelta(days=1)}], ids=["suspended", "ended"]
)
def test_nothing_is_tried_in_the_name_of_an_application_that_would_be_refused(
    world: World, bob: Client, change: dict[str, Any]
):
    address = reverse("console:try", args=[world.api.slug])
    assert bob.get(address).context["may_call"]
    Subscription.objects.update(**change)
    assert "None of your applications may call this API" in text_of(bob.get(address))


def test_a_new_key_is_shown_with_a_call_that_it_can_make(bob: Client):
    address = reverse("console:key_new", args=["acme", "bot"])
    page = bob.post(address, {"name": "new"})
    assert page.context["curl"].endswith("/products/")
