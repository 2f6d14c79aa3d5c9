"""A small installation with one of everything, and browsers in which somebody is signed in."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from typing import Any

import pytest
from django.test import Client

from apps.access.models import (
    AccessRequest,
    Application,
    Credential,
    Introspection,
    Issuer,
    Plan,
    Revocation,
    Subscription,
)
from apps.access.services import NewKey, client_id_add, subject_revoke
from apps.audit.models import Entry
from apps.caching.models import Purge
from apps.catalog.models import API, HostName
from apps.catalog.services import host_claim
from apps.tenants.invitations import invitation_create
from apps.tenants.models import Invitation, Membership, Token
from apps.warming.models import WarmUp
from tests.support.calls import HIT, make_calls
from tests.support.cast import (
    Cast,
    confirm,
    make_api,
    make_application,
    make_introspection,
    make_issuer,
    make_key,
    make_plan,
    make_request,
    make_subscription,
    make_token,
)


@dataclass
class World:
    """One of everything: an API of ``platform``, an application of ``acme`` that may call it, a request of ``globex``."""

    people: Cast
    api: API
    plan: Plan
    application: Application
    key: NewKey
    subscription: Subscription
    asked: AccessRequest
    membership: Membership
    token: Token
    invitation: Invitation
    purge: Purge
    warm_up: WarmUp
    host: HostName
    issuer: Issuer
    introspection: Introspection
    client_id: Credential
    revocation: Revocation


@pytest.fixture
def world(cast: Cast, state_redis: Any) -> World:
    """See ``WorkerConfig``."""
    api = make_api(cast.platform, summary="Everything on sale", tags=["shop"])
    plan = make_plan()
    application = make_application(cast.acme)
    key = make_key(application)
    subscription = make_subscription(application, api, plan)
    asked = make_request(cast.charlie, make_application(cast.globex, "mobile"), api, plan)
    make_calls({"api": "products"}, HIT, {"status": 502, "cache": "BYPASS", "code": "upstream_unreachable"})
    issuer = make_issuer()
    return World(
        people=cast,
        api=api,
        plan=plan,
        application=application,
        key=key,
        subscription=subscription,
        asked=asked,
        membership=cast.bob.memberships.get(),
        token=make_token(cast.vera).token,
        invitation=invitation_create(actor=cast.alice, tenant=cast.acme, email="ines@else.test", role="viewer"),
        purge=Purge.objects.create(
            api_slug="products", kind="path", value="/items/7", clock=1, workers=2, in_force=2, slowest_ms=3
        ),
        warm_up=WarmUp.objects.create(
            api_slug="products", top=100, rate=10, state="running", total=100, done=40, stored=38, failed=2
        ),
        host=host_claim(actor=cast.alice, tenant=cast.acme, host="shop.acme.test"),
        issuer=issuer,
        introspection=make_introspection(),
        client_id=client_id_add(actor=cast.ada, application=application, client_id="bot-client"),
        revocation=subject_revoke(actor=cast.ada, issuer=issuer, subject="ann@corp.test"),
    )


@pytest.fixture
def browse() -> Callable[..., Client]:
    """``browse(user)``: a browser in which ``user`` is signed in, and has given their password again if ``confirmed``."""

    def signed_in(user: Any, *, confirmed: bool = False) -> Client:
        client = Client()
        client.force_login(user)
        if confirmed:
            confirm(client)
        return client

    return signed_in


def text_of(answer: Any) -> str:
    """What a person reads of a page."""
    page = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", answer.content.decode(), flags=re.S)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def errors_of(answer: Any) -> dict[str, list[str]]:
    """What a refused form says, by field."""
    return {name: list(map(str, errors)) for name, errors in answer.context["form"].errors.items()}


def last_entry() -> Entry:
    """The newest entry of the audit log."""
    found = Entry.objects.first()
    assert found
    return found
