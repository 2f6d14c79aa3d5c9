"""Whatever people decide in whatever order, each gateway answers exactly the calls that are allowed once the receipt is there.

A state machine (Hypothesis) makes decisions about one application: access, plans, keys, its client ID, its tenant, single tokens
and subjects. After each, every key and token that there ever was is tried at two gateways, which remember what they decided before.
"""

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from time import time
from typing import Any, ClassVar

import pytest
import redis
from django.conf import settings as configured
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from apps.access import services as access
from apps.access.models import AccessRequest, Application, Credential, Subscription
from apps.access.services import client_id_add
from apps.fleet.receipts import wait_for_receipt
from apps.gateway.gateway import Gateway
from apps.tenants import services as tenants
from apps.tenants.actors import PLATFORM
from apps.tenants.models import Tenant
from tests.gateway.house import Door, Origin, gateway_options, ok, serving
from tests.gateway.tokens import key as signing_key
from tests.gateway.tokens import key_set, token
from tests.support.cast import make_api, make_application, make_issuer, make_key, make_plan, make_tenant
from tests.support.examples import examples

SUBJECTS = ("ann", "ben")
STEPS = 14
REFUSALS = {401, 403}


class House:
    """Two gateways and an origin, on an event loop in a thread of its own; what all examples share of the database."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()
        self.origin: Origin = self.run(self._stack.enter_async_context(Origin()))
        self.origin.paths["/items"] = ok(b"items", "cache-control: max-age=60")
        self.issuer = make_issuer(jwks=json.loads(key_set()), algorithms=["ES256"])
        self.api = make_api(
            make_tenant("platform"),
            upstream=self.origin.url,
            authentication=["api_key", "jwt"],
            jwt={"issuers": ["corp"], "required_scopes": [], "required_claims": {}, "operations": []},
            policy={"mode": "ttl", "ttl": 60.0, "scope": "subject"},
        )
        self.plans = [make_plan(slug, rate_calls=None, burst=None, quota=None) for slug in ("one", "two")]
        self.doors: list[Door] = [self.run(self._open(folder, number)) for number in range(2)]

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _open(self, folder: Path, number: int) -> Door:
        gateway = Gateway(gateway_options(folder / f"worker{number}", configured.REDIS_URL, None, worker=number))
        assert await gateway.start()
        self._stack.push_async_callback(gateway.stop)
        return await self._stack.enter_async_context(serving(gateway))

    def statuses(self, calls: list[dict[str, Any]]) -> list[list[int]]:
        """What each call gets, at one gateway after the other: twice at each, because the second may be remembered."""

        async def tried() -> list[list[int]]:
            found = []
            for call in calls:
                answers = [await door.call("/products/items", **call) for door in self.doors for _ in range(2)]
                found.append([answer.status for answer in answers])
            return found

        found: list[list[int]] = self.run(tried())
        return found

    def close(self) -> None:
        """Stop everything."""
        self.run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def house(transactional_db: None, state_redis: redis.Redis, tmp_path: Path) -> Iterator[House]:
    """See ``House``."""
    made = House(tmp_path)
    yield made
    made.close()


@dataclass
class IssuedToken:
    """A token that its issuer made: ``jti``, ``subject`` and ``issued`` (Unix seconds) are in it."""

    jti: str
    subject: str
    issued: int
    text: str = field(init=False)

    def __post_init__(self) -> None:
        client = f"client-{self.jti.partition('-')[0]}"
        self.text = token(signing_key(), None, jti=self.jti, sub=self.subject, iat=self.issued, azp=client)


class Decisions(RuleBasedStateMachine):
    """What people decide, and a model of who may call then."""

    house: ClassVar[House]
    numbers: ClassVar[Iterator[int]] = count()

    tenant: Tenant
    application: Application
    client_id: Credential

    @initialize(approved=st.booleans())
    def begin(self, approved: bool) -> None:
        number = next(self.numbers)
        self.name = f"acme{number}"
        self.tenant = make_tenant(self.name)
        self.application = make_application(self.tenant)
        self.client_id = client_id_add(actor=PLATFORM, application=self.application, client_id=f"client-{self.name}")
        self.request: AccessRequest | None = None
        self.subscription: Subscription | None = None
        self.active, self.suspended_tenant, self.known_client = False, False, True
        self.keys: dict[str, tuple[Credential, bool]] = {}
        self.tokens: list[IssuedToken] = []
        self.revoked: set[str] = set()
        self.until: dict[str, int] = {}
        self.new_key()
        self.issue("ann", 0)
        if approved:
            self.ask(0)
            self.approve(False)

    # Access

    @precondition(lambda self: self.request is None and self.subscription is None)
    @rule(plan=st.sampled_from((0, 1)))
    def ask(self, plan: int) -> None:
        self.request = access.request_create(
            actor=PLATFORM,
            application=self.application,
            api=self.house.api,
            plan=self.house.plans[plan],
            reason="To call.",
        )

    @precondition(lambda self: self.request is not None)
    @rule(ends=st.booleans())
    def approve(self, ends: bool) -> None:
        until = timezone.now() + timedelta(hours=1) if ends else None
        approved = access.request_approve(actor=PLATFORM, access_request=self.request, expires_at=until)
        self.request, self.subscription, self.active = None, approved.subscription, True

    @precondition(lambda self: self.request is not None)
    @rule()
    def reject(self) -> None:
        access.request_reject(actor=PLATFORM, access_request=self.request, comment="No.")
        self.request = None

    @precondition(lambda self: self.subscription is not None and self.active)
    @rule()
    def suspend(self) -> None:
        self.subscription = access.subscription_suspend(actor=PLATFORM, subscription=self.subscription)
        self.active = False

    @precondition(lambda self: self.subscription is not None and not self.active)
    @rule()
    def resume(self) -> None:
        self.subscription = access.subscription_resume(actor=PLATFORM, subscription=self.subscription)
        self.active = True

    @precondition(lambda self: self.subscription is not None)
    @rule(plan=st.sampled_from((0, 1)))
    def change_plan(self, plan: int) -> None:
        access.subscription_change_plan(actor=PLATFORM, subscription=self.subscription, plan=self.house.plans[plan])

    @precondition(lambda self: self.subscription is not None)
    @rule()
    def give_up(self) -> None:
        access.subscription_revoke(actor=PLATFORM, subscription=self.subscription)
        self.subscription, self.active = None, False

    @precondition(lambda self: self.subscription is not None and self.subscription.expires_at is not None)
    @rule()
    def expire(self) -> None:
        access.subscriptions_expire(now=timezone.now() + timedelta(hours=2))
        self.subscription, self.active = None, False

    @rule()
    def switch_tenant(self) -> None:
        switch = tenants.tenant_resume if self.suspended_tenant else tenants.tenant_suspend
        self.tenant = switch(actor=PLATFORM, tenant=self.tenant)
        self.suspended_tenant = not self.suspended_tenant

    # Keys

    @precondition(lambda self: len(self.keys) < 4)
    @rule()
    def new_key(self) -> None:
        key, secret = make_key(self.application)
        self.keys[secret] = (key, True)

    @precondition(lambda self: any(good for _, good in self.keys.values()))
    @rule(overlaps=st.booleans(), data=st.data())
    def rotate(self, overlaps: bool, data: st.DataObject) -> None:
        secret = data.draw(st.sampled_from(self._good_keys(without_successor=True) or [""]))
        if secret:
            old = self.keys[secret][0]
            overlap = timedelta(hours=1 if overlaps else 0)
            key, new = access.key_rotate(actor=PLATFORM, key=old, overlap=overlap)
            self.keys |= {secret: (old, overlaps), new: (key, True)}

    @precondition(lambda self: any(good for _, good in self.keys.values()))
    @rule(data=st.data())
    def revoke_key(self, data: st.DataObject) -> None:
        secret = data.draw(st.sampled_from(self._good_keys()))
        access.key_revoke(actor=PLATFORM, key=self.keys[secret][0])
        self.keys[secret] = (self.keys[secret][0], False)

    @rule()
    def revoke_all_credentials(self) -> None:
        access.keys_revoke(actor=PLATFORM, application=self.application)
        self.keys = {secret: (key, False) for secret, (key, _) in self.keys.items()}
        self.known_client = False

    @precondition(lambda self: not self.known_client)
    @rule()
    def claim_client_id_again(self) -> None:
        client_id_add(actor=PLATFORM, application=self.application, client_id=f"client-{self.name}")
        self.known_client = True

    # Tokens

    @precondition(lambda self: len(self.tokens) < 4)
    @rule(subject=st.sampled_from(SUBJECTS), age=st.integers(0, 60))
    def issue(self, subject: str, age: int) -> None:
        self.tokens.append(IssuedToken(f"{self.name}-{len(self.tokens)}", subject, int(time()) - age))

    @rule(data=st.data())
    def revoke_token(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.tokens))
        access.token_revoke(actor=PLATFORM, issuer=self.house.issuer, jti=chosen.jti, subject=chosen.subject)
        self.revoked.add(chosen.jti)

    @rule(subject=st.sampled_from(SUBJECTS), age=st.integers(0, 60))
    def revoke_subject(self, subject: str, age: int) -> None:
        until = timezone.now() - timedelta(seconds=age)
        access.subject_revoke(actor=PLATFORM, issuer=self.house.issuer, subject=subject, not_before=until)
        self.until[subject] = max(int(until.timestamp()), self.until.get(subject, 0))

    @precondition(lambda self: self.until)
    @rule(data=st.data())
    def restore_subject(self, data: st.DataObject) -> None:
        subject = data.draw(st.sampled_from(sorted(self.until)))
        rows = self.house.issuer.revocations.filter(kind="subject", shown=f"{subject[:1]}…")
        access.subject_restore(actor=PLATFORM, revocation=rows.get())
        del self.until[subject]

    # What must be so

    @invariant()
    def gateways_answer_what_is_allowed_and_nothing_else(self) -> None:
        receipt = wait_for_receipt()
        assert (receipt.workers, receipt.in_force) == (2, 2)
        calls: list[dict[str, str | None]] = [{"key": secret} for secret in self.keys]
        calls += [{"key": None, "authorization": f"Bearer {each.text}"} for each in self.tokens]
        allowed = [good for _, good in self.keys.values()] + [self._is_good(each) for each in self.tokens]
        open_to_it = self.active and not self.suspended_tenant
        for call, good, statuses in zip(calls, allowed, self.house.statuses(calls), strict=True):
            if good and open_to_it:
                assert statuses == [200] * 4, call
            else:
                assert set(statuses) <= REFUSALS, call

    def teardown(self) -> None:
        for subject in self.until:
            for row in self.house.issuer.revocations.filter(kind="subject", shown=f"{subject[:1]}…"):
                access.subject_restore(actor=PLATFORM, revocation=row)

    def _is_good(self, issued: IssuedToken) -> bool:
        over = issued.issued <= self.until.get(issued.subject, 0)
        return self.known_client and issued.jti not in self.revoked and not over

    def _good_keys(self, *, without_successor: bool = False) -> list[str]:
        return [
            secret for secret, (key, good) in self.keys.items() if good and not (without_successor and key.successor_id)
        ]


@pytest.mark.hypothesis
def test_every_gateway_answers_what_is_allowed_and_nothing_else(house: House):
    Decisions.house = house
    run_state_machine_as_test(
        Decisions,
        settings=settings(
            max_examples=examples(6),
            stateful_step_count=STEPS,
            deadline=None,
            phases=(Phase.explicit, Phase.generate) if examples(1) == 1 else tuple(Phase),
            suppress_health_check=tuple(HealthCheck),
        ),
    )
