"""The audit log over REST."""

import pytest
from django.core.management import call_command

from apps.audit import verification
from apps.audit.models import Entry
from apps.catalog.models import API
from apps.foundation.via import coming_by
from tests.api.conftest import Caller
from tests.support.cast import Cast, make_api, make_application, make_key


def test_the_head_is_told_as_the_command_takes_it(cast: Cast, calls_as: Caller):
    client = calls_as(cast.ada)
    told = client.get("/api/v1/audit/head/").json()
    last = verification.head()
    assert told == {"epoch": last.epoch, "hash": last.hash, "head": str(last)}
    call_command("audit", "verify", "--head", told["head"])


def test_an_entry_tells_where_it_came_from_and_its_place_in_the_chain(cast: Cast, calls_as: Caller):
    client = calls_as(cast.ada)
    made = client.post(
        "/api/v1/tenants/",
        {"slug": "initech", "name": "Initech"},
        headers={"user-agent": "curl/8", "x-request-id": "abc"},
        REMOTE_ADDR="192.0.2.7",
    )
    assert (made.status_code, made["X-Request-ID"]) == (201, "abc")
    entry = Entry.objects.get(verb="tenant.create", target="initech")
    told = client.get(f"/api/v1/audit/{entry.epoch}/").json()
    assert (told["via"], told["address"], told["agent"], told["request_id"]) == ("api", "192.0.2.7", "curl/8", "abc")
    assert (told["hash"], told["previous_hash"], told["mac"]) == (entry.hash, entry.previous_hash, entry.mac)


def test_a_command_is_named_without_its_arguments(cast: Cast, state_redis, monkeypatch):
    key = make_key(make_application(cast.acme)).key
    monkeypatch.setattr("sys.argv", ["manage.py", "revoke", "a-secret"])
    with pytest.raises(SystemExit, match="0"):
        call_command("revoke", str(key.pk))
    entry = Entry.objects.get(verb="key.revoke")
    assert entry.via == "command"
    assert entry.agent.startswith("manage.py revoke by ")
    assert "secret" not in entry.agent


def test_what_a_command_leaves_has_no_origin_afterwards(cast: Cast):
    with coming_by("command"):
        pass
    make_api(cast.platform)
    assert API.objects.exists()
    assert Entry.objects.first().agent == ""
