"""Gateways and the audit log over REST."""

import msgspec
import pytest

from apps.audit.models import Entry
from apps.wire import redis_names
from apps.wire.worker_reports import Report
from tests.support.cast import make_api


def test_gateways_are_for_administrators(cast, calls_as):
    assert calls_as(cast.ada).get("/api/v1/gateways/").json() == {"next": None, "previous": None, "results": []}
    assert calls_as(cast.ada).get("/api/v1/gateways/nobody/").status_code == 404
    for user in (cast.alice, cast.charlie):
        assert calls_as(user).get("/api/v1/gateways/").status_code == 403
        assert calls_as(user).get("/api/v1/gateways/nobody/").status_code == 403


def test_a_gateway_is_shown_as_it_said_of_itself(cast, calls_as, state_redis):
    said = Report(
        node="here",
        number=1,
        pid=4242,
        incarnation=1,
        n=7,
        clock=3,
        lease=900.0,
        in_flight=3,
        version="0.1",
        since=1_700_000_000.0,
    )
    seconds, microseconds = state_redis.time()
    heard = b"%d " % (seconds * 1000 + microseconds // 1000)
    state_redis.hset(redis_names.WORKERS, said.worker, heard + msgspec.msgpack.encode(said))
    ada = calls_as(cast.ada)
    [shown] = ada.get("/api/v1/gateways/").json()["results"]
    assert (shown["node"], shown["number"], shown["pid"], shown["in_flight"]) == ("here", 1, 4242, 3)
    assert shown["worker"] == said.worker
    assert ada.get(f"/api/v1/gateways/{said.worker}/").json()["epoch"] == said.n


def test_every_change_is_witnessed_with_its_author_and_its_door(cast, calls_as):
    make_api(cast.acme)
    calls_as(cast.bob).patch("/api/v1/apis/products/", {"summary": "All of them."})
    [entry] = calls_as(cast.alice).get("/api/v1/audit/?verb=api.update&target=products").json()["results"]
    assert (entry["actor"], entry["via"], entry["tenant"]) == (cast.bob.email, "api", "acme")
    assert entry["changes"] == {"summary": ["", "All of them."]}
    assert calls_as(cast.alice).get(f"/api/v1/audit/{entry['epoch']}/").json() == entry


def test_a_stranger_sees_nothing_of_other_tenants_in_the_audit_log(cast, calls_as):
    make_api(cast.acme)
    entry = Entry.objects.get(verb="api.create")
    charlie = calls_as(cast.charlie)
    assert charlie.get("/api/v1/audit/?tenant=acme").json()["results"] == []
    assert charlie.get(f"/api/v1/audit/{entry.epoch}/").status_code == 404


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("actor=ALICE@acme.test&verb=token.create", 1),
        ("target_type=tenant&target=acme", 1),
        ("since=2001-01-01T00:00:00Z&until=2002-01-01T00:00:00Z", 0),
        ("until=1000000000", 0),
        ("via=console", 0),
    ],
)
def test_the_audit_log_is_filtered(cast, calls_as, filters, found):
    calls_as(cast.alice)
    assert len(calls_as(cast.ada).get(f"/api/v1/audit/?{filters}").json()["results"]) == found


def test_a_time_that_is_none_is_refused(cast, calls_as):
    refused = calls_as(cast.ada).get("/api/v1/audit/?since=yesterday")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["since"])


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nobody_changes_the_audit_log(cast, calls_as, method):
    ada = calls_as(cast.ada)
    epoch = Entry.objects.first().epoch
    assert getattr(ada, method)(f"/api/v1/audit/{epoch}/", {}).status_code == 405
    assert getattr(ada, method)("/api/v1/audit/", {}).status_code == 405
