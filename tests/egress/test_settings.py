"""What the environment says of egress."""

import json
import os
import subprocess
import sys

import pytest
from django.conf import settings

from apps.egress.rules import ONE_MACHINE

POSTGRES = "postgres://user:secret@database:5433/apimgr"


def read(tmp_path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("EGRESS_ALLOW", "DATABASE_URL")}
    code = "import json; from django.conf import settings as s; print(json.dumps([s.EGRESS_ALLOW, s.OWN_PLACES]))"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.BASE_DIR,
        env={**kept, "DJANGO_SETTINGS_MODULE": "apimgr.settings", "APIMGR_DATA": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("environment", "allow"),
    [
        ({}, list(ONE_MACHINE)),
        ({"EGRESS_ALLOW": ""}, []),
        ({"DATABASE_URL": POSTGRES}, []),
        ({"DATABASE_URL": POSTGRES, "EGRESS_ALLOW": "10.0.0.0/8,*.corp:443"}, ["10.0.0.0/8", "*.corp:443"]),
    ],
)
def test_loopback_is_open_on_one_machine_alone_unless_the_environment_says_otherwise(tmp_path, environment, allow):
    assert json.loads(read(tmp_path, **environment).stdout)[0] == allow


def test_the_places_of_the_installation_are_those_of_its_settings(tmp_path):
    found = read(
        tmp_path,
        DATABASE_URL=POSTGRES,
        REDIS_URL="redis://:secret@state",
        CELERY_BROKER_URL="amqp://guest:guest@broker//",
        EMAIL_URL="smtp+tls://me:secret@mail",
        EGRESS_OWN="console:8000",
        CONSOLE_PORT="8001",
        GATEWAY_PORT="8002",
    )
    places = {tuple(place) for place in json.loads(found.stdout)[1]}
    own = {("localhost", 8001), ("localhost", 8002), ("console", 8000)}
    assert places >= own | {("database", 5433), ("state", 6379), ("broker", 5672), ("mail", 587)}
