"""After an upgrade gateways go by what this version makes of the rows, not by what the version before made of them."""

import json
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from apps.access.models import Credential, Revocation
from apps.access.services import client_id_add
from apps.catalog.services import api_update
from apps.fleet import state
from apps.fleet.compile import all_credentials, all_parts
from apps.fleet.publisher import publish_pending
from apps.tenants.actors import PLATFORM
from apps.wire import redis_names
from tests.support.cast import (
    make_api,
    make_application,
    make_introspection,
    make_issuer,
    make_key,
    make_plan,
    make_subscription,
    make_tenant,
)
from tests.support.waiting import wait_until

GOLDEN = Path(__file__).parent / "edition.json"
"""What the rows of ``catalogue`` become: ``BASELINE=write`` writes it anew, once ``state.EDITION`` is raised."""

CHANCE = {"group", "key_id", "digest", "subscription"}


@pytest.mark.parametrize("left", [None, b"0", b"rubbish"])
@pytest.mark.django_db(transaction=True)
def test_what_an_older_version_wrote_is_written_anew(valkey, workers, left: bytes | None):
    worker = workers()
    make_api(make_tenant("platform"), policy={"headers": ["X_Tier"]})
    publish_pending()
    wait_until(lambda: served(worker).underscore_headers == ("x_tier",))
    redis = state.client()
    older = msgspec.structs.replace(served(worker), underscore_headers=())
    at = state.redis_state(redis)
    assert at
    assert state.push(redis, at, {"api:products": older}, {}, n=at.n, names_of=(["api:products"], []))
    wait_until(lambda: served(worker).underscore_headers == ())
    redis.hdel(redis_names.EPOCH, "edition")
    if left is not None:
        redis.hset(redis_names.EPOCH, "edition", left)
    publish_pending()
    wait_until(lambda: served(worker).underscore_headers == ("x_tier",))
    held = state.redis_state(redis)
    publish_pending()
    assert state.redis_state(redis) == held, "once is enough"


@pytest.mark.django_db(transaction=True)
def test_an_older_version_beside_a_newer_one_leaves_its_state_alone(valkey, workers, monkeypatch):
    """While consoles are restarted one after the other: else each would write the other's state anew without end."""
    publish_pending()
    held = state.redis_state(state.client())
    monkeypatch.setattr(state, "EDITION", state.EDITION - 1)
    publish_pending()
    assert state.redis_state(state.client()) == held


@pytest.mark.django_db
def test_other_parts_of_the_same_rows_are_another_edition():
    catalogue()
    found = {"edition": state.EDITION, "rows": rows()}
    if os.environ.get("BASELINE") == "write":
        GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    kept = json.loads(GOLDEN.read_text())
    assert found == kept, "Raise state.EDITION, so that an upgrade writes the state anew; then BASELINE=write."


def served(worker: Any) -> Any:
    return wait_until(lambda: worker.config.route(b"localhost", b"/products/1"))


def catalogue() -> None:
    """Rows with something in every field that parts and records are made of."""
    platform, acme = make_tenant("platform"), make_tenant("acme")
    acme.egress = ["10.0.0.0/8"]
    acme.save()
    api = make_api(
        platform,
        hosts=["shop.test"],
        api_key_header="X-Shop-Key",
        api_key_query="shop_key",
        api_key_cookie="shop-key",
        api_key_basic_user=True,
        underscore_headers=["X_Shop"],
        credential_headers=["X-Shopper"],
        request_headers={"set": {"X-From": "apimgr"}, "remove": ["X-Secret"]},
        policy={
            "mode": "ttl",
            "headers": ["X_Tier", "Accept"],
            "query_mode": "include",
            "query_names": ["q"],
            "entity_tags": [{"json": "items[*].id", "tag": "item:"}],
            "operations": [{"path": "/items/{id}", "methods": ["GET"], "ttl": 5.0, "headers": ["X_Item"]}],
        },
    )
    own = make_issuer("own", platform, jwks_url="https://id.corp.test/keys", leeway=5.0)
    until = datetime(2030, 1, 1, tzinfo=UTC)
    for kind, digest, not_before in (("jti", "ab" * 8, None), ("subject", "ab" + "01" * 7, until)):
        Revocation.objects.create(
            kind=kind, issuer=own, digest=digest, not_before=not_before, expires_at=datetime(2999, 1, 1, tzinfo=UTC)
        )
    make_introspection("own", platform, client_id="gw", secret="made-up")
    rules: dict[str, Any] = {"required_scopes": ["read"], "required_claims": {"tier": ["gold", 1]}, "issuers": ["own"]}
    rules |= {"operations": [{"methods": ["GET"], "path": "/items/{id}", "required_scopes": ["items"]}]}
    api_update(actor=PLATFORM, api=api, jwt=rules, introspection="own")
    bot = make_application(acme)
    make_subscription(bot, api, make_plan(rate_calls=10, burst=20, quota=1000))
    make_key(bot)
    client_id_add(actor=PLATFORM, application=bot, client_id="bot-client")
    Credential.objects.update(
        apis=["products"],
        methods=["GET", "POST"],
        operations=[{"path": "/items/{id}", "methods": ["GET"]}, {"path": "/search/**"}],
        addresses=["10.0.0.0/8"],
    )


def rows() -> dict[str, Any]:
    """What they become, without what differs from run to run and from place to place."""
    parts = [part for each in all_parts() for part in each.items() if part[0] != "egress:"]
    records = [(f"key ({record.kind})", record) for each in all_credentials() for record in each.values() if record]
    return {name: told(made) for name, made in [*parts, *records]}


def told(value: Any) -> Any:
    """A part or record with the names of its fields, so that the file can be read, and a new or renamed field is seen."""
    if isinstance(value, msgspec.Struct):
        return {name: told(getattr(value, name)) for name in value.__struct_fields__ if name not in CHANCE}
    if is_dataclass(value):
        return {each.name: told(getattr(value, each.name)) for each in fields(value) if each.name not in CHANCE}
    if isinstance(value, Mapping):
        return {str(name): told(inner) for name, inner in value.items()}
    if isinstance(value, tuple | list | frozenset):
        return [told(inner) for inner in value]
    return value if isinstance(value, str | int | float | None) else str(value)
