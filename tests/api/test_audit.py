"""The audit log over REST."""

import hashlib
import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

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


def exported(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def by_command(*arguments: str) -> list[dict[str, Any]]:
    out = StringIO()
    call_command("audit", "export", *arguments, stdout=out)
    return exported(out.getvalue())


def test_an_export_can_be_checked_elsewhere(cast: Cast):
    make_api(cast.platform)
    rows = by_command("--format", "jsonl")
    assert [row["epoch"] for row in rows] == list(range(1, verification.head().epoch + 1))
    last = ""
    for row in rows:
        content = {
            name: value for name, value in row.items() if name not in {"hash", "mac"} and value not in ("", {}, [])
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        assert row["previous_hash"] == last
        last = hashlib.sha256(text.encode()).hexdigest()
        assert row["hash"] == last
    assert last == verification.head().hash


def test_an_export_is_of_a_span(cast: Cast):
    until = Entry.objects.order_by("epoch")[3].at.isoformat()
    before = by_command("--until", until)
    since = by_command("--since", until)
    assert before
    assert since
    assert [row["epoch"] for row in before + since] == list(range(1, verification.head().epoch + 1))
    with pytest.raises(CommandError, match="Write a time like"):
        by_command("--since", "yesterday")


def test_rest_exports_json_lines_a_part_at_a_time(cast: Cast, calls_as: Caller, monkeypatch):
    monkeypatch.setattr("apps.audit.api.views.MOST", 3)
    client = calls_as(cast.ada)
    client.default_format = None
    rows: list[dict[str, Any]] = []
    while True:
        response = client.get("/api/v1/audit/export/", {"after": rows[-1]["epoch"] if rows else 0})
        part = exported(response.content.decode())
        if not part:
            break
        assert response["Content-Type"].startswith("application/x-ndjson")
        assert len(part) <= 3
        rows += part
    assert rows == by_command()
    assert (
        exported(client.get("/api/v1/audit/export/", {"verb": "tenant.create"}).content.decode())[0]["target"]
        == "platform"
    )
    refused = client.get("/api/v1/audit/export/", {"verbs": "x"})
    assert refused.status_code == 400
    assert "no such filter" in refused.content.decode()


def test_an_owner_exports_what_concerns_their_tenant_and_other_members_nothing(cast: Cast, calls_as: Caller):
    make_application(cast.acme)
    by_alice = exported(calls_as(cast.alice).get("/api/v1/audit/export/").content.decode())
    assert {row["tenant_slug"] for row in by_alice} == {"acme"}
    for member in (cast.bob, cast.vera):
        assert calls_as(member).get("/api/v1/audit/export/").content == b""


def test_other_members_do_not_see_where_an_entry_came_from(cast: Cast, calls_as: Caller):
    body = {"tenant": "acme", "slug": "x", "name": "X"}
    calls_as(cast.alice).post("/api/v1/applications/", body, headers={"user-agent": "curl/8"})
    entry = Entry.objects.get(verb="application.create")
    seen = {}
    for user in (cast.ada, cast.alice, cast.bob, cast.vera):
        told = calls_as(user).get(f"/api/v1/audit/{entry.epoch}/").json()
        seen[user.email.partition("@")[0]] = (told["address"], told["agent"], bool(told["request_id"]))
    known, hidden = ("127.0.0.1", "curl/8", True), ("", "", False)
    assert seen == {"ada": known, "alice": known, "bob": hidden, "vera": hidden}
