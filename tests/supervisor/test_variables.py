"""Variables of the environment: a value that can't be used ends the start with one sentence that names the variable."""

import ast
import os
import runpy
import subprocess
import sys

import pytest
from django.conf import settings

from apimgr.variables import read
from apps.supervisor.first_start import AdministratorWishes

SECRET = "hunter2-hunter2"

WRONG = {
    "ALLOWED_HOSTS": ["https://apis.example.com", "a b"],
    "APIMGR_ADMIN_EMAIL": ["admin", "admin@"],
    "APIMGR_ADMIN_PASSWORD": [f"{SECRET}\n"],
    "APIMGR_ADMIN_TOKEN": [f"{SECRET}\x01"],
    "APIMGR_DATA": ["/dev/null/data"],
    "CACHE_REDIS_URL": [f"http://:{SECRET}@cache", f"redis://:{SECRET}@cache/first"],
    "CACHE_TENANT_SHARE": ["0", "0.001", "1.5", "half", "nan"],
    "CALL_LOG_DAYS": ["-1", "7d", "1e9", "99999999"],
    "CELERY_BROKER_URL": [f"amq://me:{SECRET}@broker", f"amqp://me:{SECRET}@a;http://me:{SECRET}@b"],
    "CLIENT_MIN_RATE": ["-1", "fast", "inf"],
    "CONNECTIONS_PER_CLIENT": ["-1", "1.5", "many"],
    "CONSOLE_PORT": ["0", "65536", "http"],
    "CONSOLE_URL": ["apis.example.com", "ftp://apis.example.com", "https://a:0", "https://me:password@a"],
    "CSRF_TRUSTED_ORIGINS": ["apis.example.com", "https://apis.example.com/path"],
    "DATABASE_URL": [
        *(
            f"mysql://me:{SECRET}@database/apimgr",
            f"postgres://me:{SECRET}@database",
            f"postgres://me:{SECRET}@d:99999/a",
        ),
        *("sqlite://", "apimgr.sqlite3"),
    ],
    "DEBUG": ["ture", "2", "-1"],
    "DEFAULT_FROM_EMAIL": ["apimgr"],
    "DEMO": ["of"],
    "DNS_SERVERS": ["dns.acme.test", "192.0.2.53:0"],
    "EGRESS_ALLOW": ["10.0.0.5/8", "10.0.0.0/8,169.254.169.254"],
    "EGRESS_OWN": ["console", "console:99999"],
    "EMAIL_URL": [f"smpt://me:{SECRET}@mail", f"smtp://me:{SECRET}@mail:port", "smtp://"],
    "FIELD_KEYS": [f"{SECRET},,{SECRET}"],
    "GATEWAY_PORT": ["-8080", "８０８０x"],
    "GATEWAY_URL": ["//gateway", "https://"],
    "GATEWAY_WORKERS": ["0", "-2", "two"],
    "HSTS": ["1y", "-1s", "99999d"],
    "HSTS_SUBDOMAINS": ["maybe"],
    "INVALIDATION_QUEUE": ["q" * 256],
    "INVALIDATION_URL": [f"kafak://me:{SECRET}@broker", f"redis://:{SECRET}@broker/x"],
    "KEY_PEPPER": [f"{SECRET}\n{SECRET}"],
    "L1_BYTES": ["-1", "64MiB"],
    "LISTEN_HOST": ["0.0.0", "http://0.0.0.0"],
    "LOG_LEVEL": ["INFOO", "7"],
    "METRICS_NETWORKS": ["10.0.0.0/33", "scraper.internal"],
    "NODE_NAME": ["n" * 256, "one\nline"],
    "REDIS_URL": [
        *(f"redsi://:{SECRET}@state", f"redis://:{SECRET}@state:99999", f"redis+sentinel://:{SECRET}@h1:26379"),
        f"redis+sentinel://:{SECRET}@h1:26379/master/first",
    ],
    "SECRET_KEY": [f"\t{SECRET}"],
    "SECURE_COOKIES": ["tru"],
    "SPOOL_BYTES": ["-1", "1GB"],
    "STRANGER_ROWS": ["-0.5", "ten"],
    "TRUSTED_PROXIES": ["proxy.internal", "10.0.0.0/33", "10.0.0.1;10.0.0.2"],
    "TRUST_LEASE": ["15 minutes", "-1", "inf", "5000d"],
}
"""Of each variable: out of range, of another type, misspelt."""

OF_A_CHILD = {
    "apps/gateway/management/commands/gateway.py",  # GATEWAY_FD, which the supervisor sets
    "apps/supervisor/management/commands/console.py",  # CONSOLE_FD
    "apps/demo/origin.py",  # ORIGIN_FD
    "apps/foundation/ready.py",  # READY_FD
    "apps/foundation/child_command.py",  # what a child inherits
    "apps/catalog/openapi/reader_process.py",
    "apps/supervisor/first_start.py",  # reads by ``read``, and takes secrets out
    "apps/declarative/run.py",  # what a declarative file names
    *("apimgr/celery.py", "apimgr/asgi.py"),  # which settings there are
    "apimgr/variables.py",
}
"""Modules that may touch the environment by themselves."""


def modules():
    for folder in ("apimgr", "apps"):
        for path in (settings.BASE_DIR / folder).rglob("*.py"):
            yield str(path.relative_to(settings.BASE_DIR)), ast.parse(path.read_text())


def run_settings(monkeypatch, tmp_path, **environment):
    for name in WRONG:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("APIMGR_DATA", str(tmp_path))
    for name, value in environment.items():
        monkeypatch.setitem(os.environ, name, value)
    return runpy.run_path(str(settings.BASE_DIR / "apimgr/settings.py"))


def start(monkeypatch, tmp_path, name, value):
    if name.startswith("APIMGR_ADMIN_"):
        AdministratorWishes.take({name: value})
    else:
        run_settings(monkeypatch, tmp_path, **{name: value})


def test_every_variable_that_is_read_is_tried_with_values_that_cannot_be_used():
    read_here = {
        node.args[0].value
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("read", "read_list", "secret")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert read_here == set(WRONG)


def test_nothing_reads_the_environment_in_another_way():
    touching = {
        path
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv", "environ.FileAwareEnv")
    }
    assert touching == OF_A_CHILD


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values], ids=lambda text: text[:40]
)
def test_a_value_that_cannot_be_used_is_refused_in_one_sentence(monkeypatch, tmp_path, name, value):
    with pytest.raises(SystemExit) as refused:
        start(monkeypatch, tmp_path, name, value)
    sentence = refused.value.code
    assert sentence.startswith(f"{name}: ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert SECRET not in sentence
    if SECRET not in value and name not in ("DATABASE_URL", "EMAIL_URL"):
        assert any(repr(part)[1:-1] in sentence for part in value.split(","))


@pytest.mark.parametrize("name", WRONG)
def test_a_variable_that_is_empty_counts_as_missing(monkeypatch, tmp_path, name):
    missing = run_settings(monkeypatch, tmp_path)
    if name == "APIMGR_DATA":
        return
    empty = run_settings(monkeypatch, tmp_path, **{name: ""})
    differing = {key for key in missing if key.isupper() and missing[key] != empty[key]}
    assert differing <= ({name} if isinstance(empty.get(name), list) else set())
    if differing:
        assert empty[name] == []


def test_a_value_may_come_from_a_file(monkeypatch, tmp_path):
    path = tmp_path / "value"
    path.write_text("8123\n")
    assert run_settings(monkeypatch, tmp_path, CONSOLE_PORT_FILE=str(path))["CONSOLE_PORT"] == 8123


@pytest.mark.parametrize(
    ("environment", "begin"),
    [
        ({"KEY_PEPPER": "pepper", "KEY_PEPPER_FILE": "/secret"}, "KEY_PEPPER: it is set, and KEY_PEPPER_FILE too"),
        ({"KEY_PEPPER_FILE": "/nowhere/pepper"}, "KEY_PEPPER_FILE: '/nowhere/pepper' can't be read"),
        ({"KEY_PEPPER_FILE": "/dev/null"}, "KEY_PEPPER_FILE: '/dev/null' is empty"),
    ],
)
def test_a_file_that_gives_no_value_is_refused(environment, begin):
    with pytest.raises(SystemExit) as refused:
        read("KEY_PEPPER", "", str, is_secret=True, environment=environment)
    assert refused.value.code.startswith(begin)


@pytest.mark.parametrize(
    "command", [("manage.py", "check"), ("-m", "celery", "-A", "apimgr", "report"), ("-c", "import apimgr.asgi")]
)
def test_no_process_starts_with_it_and_none_shows_a_traceback(tmp_path, command):
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], "APIMGR_DATA": str(tmp_path), "CACHE_TENANT_SHARE": "7"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode != 0
    assert ended.stderr == "CACHE_TENANT_SHARE: '7' is not allowed: write a number from 0.01 to 1.\n"
