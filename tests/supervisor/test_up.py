"""``manage.py up`` as a whole: it starts, says what to do, restarts what dies, stops in time and leaves nothing."""

import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from django.conf import settings

from tests.support.installation import Installation
from tests.support.waiting import wait_until


@pytest.fixture
def installation(tmp_path) -> Iterator[Callable[..., Installation]]:
    made: list[Installation] = []

    def make(**environment: str) -> Installation:
        made.append(Installation(tmp_path / "data", **environment))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Installation]:
    """One installation with the demo for the tests that leave it as it was."""
    data = tmp_path_factory.mktemp("up") / "data"
    for folder in (data, data / "spool", data / "secrets", data / "gateway"):  # from a time when all might read there
        folder.mkdir()
        folder.chmod(0o755)
    (data / "gateway" / "left").write_text("left")
    (data / "gateway" / "left").chmod(0o664)
    one = Installation(data).start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Iterator[Installation]:
    """One without the demo, under a name too long for a socket, whose operator chose the first administrator."""
    one = Installation(
        tmp_path_factory.mktemp("plain") / ("a" * 120),
        DEMO="0",
        APIMGR_ADMIN_EMAIL="operator@example.test",
        APIMGR_ADMIN_PASSWORD="a-password-of-the-operator",
        APIMGR_ADMIN_TOKEN="a-token-of-the-operators-own-choice",
        TRUSTED_PROXIES="127.0.0.1",
        HSTS="1h",
    ).start()
    yield one
    one.stop()


@pytest.mark.parametrize("variable", ["GATEWAY_PORT", "CONSOLE_PORT"])
def test_a_taken_port_is_named_and_nothing_is_started(installation, variable):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        one = installation(**{variable: port})
        one.launch()
        assert one.wait() == 1
    assert f"Port {port} is taken" in one.output
    assert f"choose another with {variable}=" in one.output
    assert "Traceback" not in one.output
    assert not (one.data / "state").exists()


def test_it_says_what_a_newcomer_needs(running):
    assert f"Console   {running.console}/" in running.output
    assert f"Gateway   {running.gateway}/" in running.output
    assert re.search(r"password  \S{12,}", running.output)
    assert re.search(r"token     \S{20,}", running.output)
    for person in ("owner@acme.test", "developer@globex.test", "viewer@globex.test"):
        assert person in running.output


def test_its_curl_works_as_it_stands_the_first_call_misses_and_the_second_hits(running):
    line = re.search(r"^ +(curl .*)$", running.output, re.MULTILINE)[1]
    name, *arguments = shlex.split(line)
    answers = [
        subprocess.run([name, "-s", *arguments], capture_output=True, text=True, timeout=30).stdout for _ in "12"
    ]
    assert all(answer.startswith("HTTP/1.1 200") for answer in answers)
    assert [re.search(r"(?i)^x-cache: (\w+)", answer, re.MULTILINE)[1] for answer in answers] == ["MISS", "HIT"]
    assert urlsplit(shlex.split(line)[-1]).path in (settings.BASE_DIR / "README.md").read_text()


def test_the_demos_calls_go_on(running):
    assert len(running.pids("demo --steady")) == 1


def test_the_token_opens_the_rest_api(running):
    token = re.search(r"token     (\S+)", running.output)[1]
    with httpx.Client(base_url=running.console, trust_env=False) as client:
        assert client.get("/api/v1/tenants/").status_code == 401
        answer = client.get("/api/v1/tenants/", headers={"authorization": f"Bearer {token}"})
    assert {tenant["slug"] for tenant in answer.json()["results"]} == {"acme", "globex"}


def test_the_console_is_alive_and_ready(running):
    with httpx.Client(base_url=running.console, trust_env=False) as client:
        assert client.get("/livez").json() == {"status": "alive"}
        assert client.get("/readyz").json() == {"status": "ready"}
        assert client.post("/livez").status_code in (403, 405)


def test_secrets_are_made_once_for_the_owner_alone(running):
    folder = running.data / "secrets"
    assert stat.S_IMODE(running.data.stat().st_mode) == 0o700
    assert {path.name for path in folder.iterdir()} == {"secret_key", "key_pepper", "field_keys"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_nothing_below_the_data_directory_is_open_to_others(running):
    paths = (running.data, *running.data.rglob("*"))
    assert [path for path in paths if not path.is_symlink() and path.stat().st_mode & 0o077] == []
    assert stat.S_IMODE((running.data / "gateway" / "left").stat().st_mode) == 0o600


def sign_in_page(one, **headers):
    answer = httpx.get(f"{one.console}/accounts/login/", headers=headers, trust_env=False)
    cookies = SimpleCookie(answer.headers["set-cookie"])
    return bool(cookies["csrftoken"]["secure"]), answer.headers.get("strict-transport-security")


def test_a_trusted_proxy_tells_that_a_call_came_over_https(plain):
    assert sign_in_page(plain, **{"x-forwarded-proto": "https"}) == (True, "max-age=3600")
    assert sign_in_page(plain, **{"x-forwarded-proto": "http"}) == (False, None)
    assert sign_in_page(plain) == (False, None)


def test_nobody_else_tells(running):
    assert sign_in_page(running, **{"x-forwarded-proto": "https"}) == (False, None)


def test_only_gateway_workers_are_called_gateway(running):
    workers = {line for line in running.processes().values() if "gateway" in line}
    assert len(workers) == 2
    assert all(re.search(r"manage.py gateway --worker [01]$", line) for line in workers)


def test_every_child_has_its_own_group_in_one_session(running):
    groups = {pid: os.getpgid(pid) for pid in running.processes()}
    assert groups.pop(running.pid) == running.pid
    assert all(pid == group for pid, group in groups.items())
    assert len(groups) >= 8


def test_the_operators_administrator_is_the_first_one(plain):
    assert "operator@example.test" in plain.output
    with httpx.Client(base_url=plain.console, trust_env=False) as client:
        answer = client.get("/api/v1/users/", headers={"authorization": "Bearer a-token-of-the-operators-own-choice"})
    assert [user["email"] for user in answer.json()["results"]] == ["operator@example.test"]


def test_no_child_inherits_the_first_administrators_secrets(plain):
    environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in plain.processes() if pid != plain.pid]
    assert environments
    assert not any(b"APIMGR_ADMIN" in environment for environment in environments)
    assert "a-password-of-the-operator" not in plain.output


def test_without_the_demo_it_starts_empty(plain):
    assert "globex" not in plain.output
    assert f"curl -i {plain.gateway}/_gateway/readyz" in plain.output
    assert not plain.pids("demo")


def test_a_data_directory_with_a_long_name_works(plain):
    assert plain.is_ready()
    assert not list(plain.data.glob("*.sock"))


def test_calls_come_before_background_work(running):
    def priority(name: str) -> int:
        (found,) = {os.getpriority(os.PRIO_PROCESS, pid) for pid in running.pids(name)}
        return found

    ours = os.getpriority(os.PRIO_PROCESS, running.pid)
    assert priority("gateway --worker") == priority("manage.py console") == ours
    assert ours < priority("celery") <= 19
    assert ours < priority("demo.origin") <= 19


def test_a_killed_worker_is_started_again(running):
    first, second = running.pids("gateway --worker")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: len(set(running.pids("gateway --worker")) - {first, second}) == 1, 30)
    wait_until(running.is_ready, 30)
    assert second in running.pids("gateway --worker")


@pytest.mark.parametrize(
    "name", ["manage.py console", "manage.py agent", "celery --app=apimgr --quiet beat", "state.conf"]
)
def test_every_other_child_is_started_again_too(running, name):
    (pid,) = running.pids(name)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: running.pids(name) not in ([], [pid]), 30, what=name)
    wait_until(running.is_ready, 30)


def test_a_roll_replaces_every_worker_and_fails_no_call(running):
    before = running.pids("gateway --worker")
    running.send(signal.SIGHUP)  # it has no terminal
    statuses = []
    deadline = time.monotonic() + 60
    while "rolled 2 of kind gateway" not in running.output and time.monotonic() < deadline:
        with httpx.Client(timeout=10, trust_env=False) as client:
            statuses.append(client.get(f"{running.gateway}/_gateway/livez").status_code)
    assert "rolled 2 of kind gateway" in running.output
    assert set(statuses) == {200}
    assert len(statuses) > 10
    assert not set(before) & set(running.pids("gateway --worker"))


def test_a_second_up_with_the_same_data_is_refused(running):
    other = Installation(running.data)
    other.launch()
    assert other.wait() == 1
    assert f"already runs with the data directory {running.data}, as process {running.pid}" in other.output
    assert running.is_ready()


def provoke_refusals(one: Installation) -> set[int]:
    """Have the console refuse a call in each way that it has, and return the statuses."""
    token = re.search(r"token     (\S+)", one.output)[1]
    password = re.search(r"the password (\S+)\)", one.output)[1]
    api = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=one.console, timeout=30, trust_env=False) as client:
        refused = [
            client.get("/nowhere/"),
            client.get("/static/nowhere.css"),
            client.get("/", headers={"host": "elsewhere.test"}),
            client.get("/api/v1/tenants/"),
            client.get("/api/v1/tenants/nowhere/", headers=api),
            client.delete("/api/v1/analytics/summary/", headers=api),
            client.post("/api/v1/tenants/", headers=api, json={"slug": "not a slug"}),
            client.post("/api/v1/tenants/", headers=api, content=b"{", follow_redirects=True),
            client.post("/accounts/login/", data={"login": "x"}),
        ]
        page = client.get("/accounts/login/").text
        assert client.get(re.search(r'href="(/static/[^"]+\.css)', page)[1]).status_code == 200
        csrf = {"csrfmiddlewaretoken": client.cookies["csrftoken"]}
        client.post("/accounts/login/", data={"login": "viewer@globex.test", "password": password, **csrf})
        csrf = {"csrfmiddlewaretoken": client.cookies["csrftoken"]}
        refused += [
            client.get("/users/"),
            client.get("/apis/register/"),
            client.post("/apis/register/", data=csrf),
            client.put("/"),
            client.post("/applications/new/", data=csrf),
            client.get("/calls/", params={"cursor": "none"}),
        ]
        # More fields than Django takes: an operation of its kind "suspicious".
        refused.append(client.post("/accounts/logout/", data={**csrf, **{f"field{n}": "" for n in range(2000)}}))
    with socket.create_connection(("127.0.0.1", int(one.environment["CONSOLE_PORT"]))) as connection:
        connection.sendall(b"no HTTP\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert one.call("/nowhere/").status_code == 404
    return {answer.status_code for answer in refused}


def test_it_stops_in_time_leaves_nothing_and_keeps_its_data(installation):
    one = installation().start()
    assert provoke_refusals(one) >= {400, 401, 403, 404, 405}
    secrets = {path.name: path.read_text() for path in (one.data / "secrets").iterdir()}
    assert len(one.processes()) >= 9
    began = time.monotonic()
    one.send(signal.SIGTERM)
    assert one.wait(10) == 0
    assert time.monotonic() - began < 10
    assert one.processes() == {}
    assert "state did not stop" not in one.output  # it closes its journal itself
    # Neither a first start nor a refusal is news for whoever runs it.
    assert not re.findall(r"(?i)^.*(?:warning|error|traceback).*$", one.output, re.MULTILINE)

    one.start()
    assert {path.name: path.read_text() for path in (one.data / "secrets").iterdir()} == secrets
    assert "shown this once" not in one.output
    assert "owner@acme.test" in one.output
    one.send(signal.SIGINT)
    assert one.wait(10) == 0
    assert one.processes() == {}


def test_a_killed_up_leaves_nothing_behind(installation):
    one = installation().start("--no-demo")
    one.send(signal.SIGKILL)
    one.wait()
    wait_until(lambda: one.processes() == {}, 10)
    one.start("--no-demo")
    assert one.is_ready()


def test_a_stop_before_it_is_ready_leaves_nothing(installation):
    one = installation()
    one.launch()
    wait_until(lambda: len(one.processes()) > 3, 30)
    one.send(signal.SIGTERM)
    assert one.wait(10) == 0
    assert one.processes() == {}


def test_a_state_server_that_evicts_is_refused(installation, extra_valkey):
    server = extra_valkey("state", maxmemory_policy="allkeys-lru")
    one = installation(REDIS_URL=server.url)
    one.launch()
    assert one.wait(30) == 1
    assert "its maxmemory-policy is allkeys-lru" in one.output
    assert one.processes() == {}


def test_an_administrators_address_that_is_none_is_refused_before_anything_starts(installation):
    one = installation(APIMGR_ADMIN_EMAIL="not an address")
    one.launch()
    assert one.wait(60) == 1
    assert one.output.startswith("APIMGR_ADMIN_EMAIL: 'not an address' is no e-mail address")
    assert "Traceback" not in one.output
