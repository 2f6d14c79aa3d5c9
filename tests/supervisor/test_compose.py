"""docker-compose.yml: is well-formed, and gives the data plane no way to write configuration or credentials."""

import shutil
import subprocess

import pytest
import redis
import yaml
from django.conf import settings

NAMES = (
    *(
        "SECRET_KEY",
        "KEY_PEPPER",
        "FIELD_KEYS",
        "POSTGRES_PASSWORD",
        "CONTROL_REDIS_PASSWORD",
        "GATEWAY_REDIS_PASSWORD",
    ),
    *("CACHE_REDIS_PASSWORD", "APIMGR_ADMIN_EMAIL", "APIMGR_ADMIN_PASSWORD"),
)
SECRETS = dict.fromkeys(NAMES, "s3cret-for-tests")


def compose_file():
    text = (settings.BASE_DIR / "docker-compose.yml").read_text()
    for name, value in SECRETS.items():
        text = text.replace(f"${{{name}}}", value)
    return yaml.safe_load(text)


@pytest.fixture
def state(extra_valkey):
    """The state server, with the users that the file declares."""
    server = extra_valkey("state")
    client = server.client()
    for argument in compose_file()["services"]["state"]["command"]:
        if argument.startswith("--user ") and not argument.startswith("--user default"):
            client.execute_command("ACL", "SETUSER", *argument.removeprefix("--user ").split())
    return server


@pytest.fixture
def gateway_user(state):
    client = state.client()
    client.execute_command("AUTH", "gateway", SECRETS["GATEWAY_REDIS_PASSWORD"])
    return client


def test_every_service_of_an_installation_is_there():
    assert {"database", "state", "cache", "console", "worker", "beat", "gateway", "agent"} <= compose_file()[
        "services"
    ].keys()


def test_the_state_server_never_evicts_and_the_cache_server_may():
    services = compose_file()["services"]
    assert "--maxmemory-policy noeviction" in services["state"]["command"]
    assert "--appendonly yes" in services["state"]["command"]
    assert "--maxmemory-policy allkeys-lfu" in services["cache"]["command"]


def test_gateways_know_no_database_and_hold_another_password_than_the_control_plane():
    environment = compose_file()["services"]["gateway"]["environment"]
    assert not {"DATABASE_URL", "SECRET_KEY", "FIELD_KEYS"} & environment.keys()
    assert environment["REDIS_URL"].startswith("redis://gateway:")


def test_only_gateways_are_published_to_everybody_and_the_console_on_loopback_unless_told_otherwise():
    published = {name: each["ports"] for name, each in compose_file()["services"].items() if "ports" in each}
    assert published == {"console": ["${CONSOLE_BIND:-127.0.0.1}:8000:8000"], "gateway": ["8080-8089:8080"]}


@pytest.mark.parametrize(
    "command",
    [
        ("HSET", "apimgr:parts:1", "api:products", "x"),
        ("SET", "apimgr:key:1:abc", "x"),
        ("DEL", "apimgr:key:1:abc"),
        ("FLUSHALL",),
        ("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"),
        ("KEYS", "*"),
        ("SET", "celery", "x"),
    ],
)
def test_a_gateway_may_not_mint_keys_nor_write_configuration(gateway_user, command):
    with pytest.raises(redis.exceptions.NoPermissionError):
        gateway_user.execute_command(*command)


@pytest.mark.parametrize(
    "command",
    [
        ("HGETALL", "apimgr:parts:1"),
        ("GET", "apimgr:key:1:abc"),
        ("HSET", "apimgr:workers", "w", "x"),
        ("XRANGE", "apimgr:events", "-", "+"),
        ("XADD", "apimgr:calls", "*", "f", "x"),
        ("EVAL", "return redis.call('TIME')", "0"),
        ("INFO", "server"),
    ],
)
def test_a_gateway_may_do_what_serving_needs(gateway_user, command):
    gateway_user.execute_command(*command)


def test_docker_compose_accepts_the_file():
    tool = shutil.which("docker-compose")
    if tool is None:
        # The file's form was read above; what only Docker's own tool can say is said where Debian's package is installed.
        print("docker-compose is not installed: `docker-compose config` was not run")
        return
    done = subprocess.run(
        [tool, "config", "--quiet"],
        cwd=settings.BASE_DIR,
        env={"PATH": "/usr/bin:/bin", **SECRETS},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
