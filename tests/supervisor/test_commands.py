"""The small commands, the start-up check, and the console's health."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import CommandError
from django.db import DatabaseError, ProgrammingError, connection

from apps.foundation.database_command import DatabaseCommand
from apps.supervisor.checks import state_server_keeps_what_it_is_given, the_console_has_a_host_of_its_own
from apps.supervisor.data_lock import DataDirectoryInUse, DataLock, holder
from apps.supervisor.orphan_guard import left_over
from apps.supervisor.ports import PortTaken, listen
from apps.tenants.models import User
from apps.tenants.selectors import token_find


@pytest.mark.django_db
def test_the_first_administrator_is_who_the_environment_names(monkeypatch, capsys):
    monkeypatch.setenv("APIMGR_ADMIN_EMAIL", "ada@example.test")
    monkeypatch.setenv("APIMGR_ADMIN_PASSWORD", "correct horse battery")
    monkeypatch.setenv("APIMGR_ADMIN_TOKEN", "short-token")
    call_command("administrator")
    user = User.objects.get()
    assert (user.email, user.is_administrator) == ("ada@example.test", True)
    assert user.check_password("correct horse battery")
    assert token_find("short-token").user == user
    assert "correct horse" not in capsys.readouterr().out


@pytest.mark.django_db
def test_a_password_and_a_token_are_made_and_shown_once(capsys):
    call_command("administrator")
    said = capsys.readouterr().out
    password = said.split("password, shown this once: ")[1].split()[0]
    token = said.split("token, shown this once: ")[1].split()[0]
    user = User.objects.get()
    assert user.check_password(password)
    assert token_find(token).user == user
    call_command("administrator")
    assert capsys.readouterr().out == "There is an administrator already.\n"
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_an_administrator_without_a_real_address_is_refused_and_nothing_is_made(monkeypatch):
    monkeypatch.setenv("APIMGR_ADMIN_EMAIL", "not an address")
    with pytest.raises(SystemExit, match="APIMGR_ADMIN_EMAIL: 'not an address' is no e-mail address"):
        call_command("administrator")
    assert not User.objects.exists()


def test_a_roll_without_up_is_refused(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    with pytest.raises(CommandError, match=r"No `manage\.py up` runs"):
        call_command("roll")


def test_a_roll_signals_the_up_that_has_the_data_directory(settings, tmp_path, capsys):
    settings.DATA_DIR = tmp_path
    lock = DataLock(tmp_path)
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    try:
        call_command("roll")
    finally:
        signal.signal(signal.SIGUSR1, before)
        lock.release()
    assert heard == [signal.SIGUSR1]
    assert f"process {os.getpid()}" in capsys.readouterr().out


def test_a_data_directory_is_one_ups_until_it_is_released(tmp_path):
    lock = DataLock(tmp_path)
    with pytest.raises(DataDirectoryInUse, match=f"process {os.getpid()}"):
        DataLock(tmp_path)
    assert holder(tmp_path) == os.getpid()
    lock.release()
    assert holder(tmp_path) is None


def test_a_state_server_that_keeps_everything_passes_the_check(state_redis):
    assert state_server_keeps_what_it_is_given(None) == []


def test_a_state_server_that_evicts_fails_the_check(extra_valkey, settings):
    settings.REDIS_URL = extra_valkey("state", maxmemory_policy="allkeys-lru").url
    (found,) = state_server_keeps_what_it_is_given(None)
    assert (found.id, found.is_serious()) == ("platform.E001", True)
    assert "allkeys-lru" in found.msg


def test_a_state_server_that_is_away_is_a_warning(settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path}/nothing.sock"
    (found,) = state_server_keeps_what_it_is_given(None)
    assert found.id == "platform.W001"


@pytest.mark.django_db
def test_the_console_is_not_ready_while_the_database_is_away(client, monkeypatch):
    assert client.get("/readyz").status_code == 200

    def away() -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(connection, "cursor", away)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "database" in answer.json()["reason"]
    assert "gone" not in answer.content.decode()
    assert client.get("/livez").status_code == 200


def test_a_taken_port_says_who_needs_it_and_how_to_choose_another():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"Port {port} is taken: the gateway needs it.*GATEWAY_PORT="):
            listen("127.0.0.1", port, use="the gateway", variable="GATEWAY_PORT")


def test_an_address_of_another_machine_is_refused_with_the_reason():
    with pytest.raises(PortTaken, match="can't be used"):
        listen("192.0.2.1", 8080, use="the console", variable="CONSOLE_PORT")


def test_the_guard_keeps_the_groups_that_have_not_ended():
    assert left_over(["+10\n", "+11\n", "-10\n", "\n", "+12\n", "-99\n"]) == {11, 12}


@pytest.mark.parametrize(
    ("listen", "console", "warned"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000", []),
        ("0.0.0.0", "https://console.test", []),
        ("0.0.0.0", "https://api.test:8000", ["platform.W006"]),
    ],
)
def test_a_console_that_shares_its_host_with_the_gateways_is_warned_of(settings, listen, console, warned):
    settings.LISTEN_HOST, settings.CONSOLE_URL, settings.GATEWAY_URL = listen, console, "https://api.test"
    assert [each.id for each in the_console_has_a_host_of_its_own(None)] == warned


WITHOUT_ROWS = {"agent", "console", "events", "gateway", "roll", "up"}
"""Commands that start something, which lives through a database that is away, or makes it what it has to be."""


def test_every_command_that_needs_rows_says_what_to_do_where_there_are_none():
    ours = {name: app for name, app in get_commands().items() if app.startswith("apps.")}
    needing = {name for name, app in ours.items() if isinstance(load_command_class(app, name), DatabaseCommand)}
    assert ours.keys() - needing == WITHOUT_ROWS


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "CommandError: The database isn't as this version has it: run `manage.py migrate` first,"),
        ("postgres://a:b@127.0.0.1:1/x", "CommandError: The database can't be reached: "),
    ],
)
def test_a_command_on_an_empty_or_absent_database_says_one_clear_thing(tmp_path, url, sentence):
    done = subprocess.run(
        [sys.executable, "manage.py", "export"],
        cwd=settings.BASE_DIR,
        env={"PATH": "/usr/bin:/bin", "APIMGR_DATA": str(tmp_path), "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(sentence)
    assert "Traceback" not in done.stderr


@pytest.mark.django_db
def test_what_else_a_database_refuses_is_told_as_it_is(monkeypatch):
    def refuse(self, *args, **options):
        raise ProgrammingError("a fault of ours")

    monkeypatch.setattr("apps.analytics.management.commands.retention.Command.handle", refuse)
    with pytest.raises(ProgrammingError, match="a fault of ours"):
        call_command("retention")
