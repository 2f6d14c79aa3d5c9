"""What a deployment is told of its secrets and of its database before it serves."""

import base64
import secrets
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from apps.supervisor.checks import secrets_are_long_and_random, the_database_is_no_newer_versions
from apps.supervisor.first_start import AdministratorWishes
from apps.supervisor.up import CannotStart, _first_start

MADE = [base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(), secrets.token_urlsafe(32)]
"""As the first start makes them, and as .env.example says."""


@pytest.mark.parametrize(
    ("secret", "is_weak"),
    [*((each, False) for each in MADE), ("changeme", True), ("ab" * 40, True)],
    ids=["base64", "token_urlsafe", "changeme", "ab-ab-ab"],  # several processes collect the same names
)
@pytest.mark.parametrize("name", ["SECRET_KEY", "KEY_PEPPER", "FIELD_KEYS"])
def test_a_deployment_is_told_which_secrets_can_be_guessed_and_of_no_other(
    settings: Any, name: str, secret: str, is_weak: bool
):
    settings.SECRET_KEY, settings.KEY_PEPPER, settings.FIELD_KEYS = MADE[0], MADE[0].encode(), [MADE[0]]
    setattr(settings, name, {"KEY_PEPPER": secret.encode(), "FIELD_KEYS": [secret, "old"]}.get(name, secret))
    assert [each.msg.split()[0] for each in secrets_are_long_and_random(None)] == [name] * is_weak


@pytest.mark.django_db
def test_a_database_that_a_newer_version_has_changed_stops_an_older_one_before_it_serves():
    assert the_database_is_no_newer_versions(None, databases=["default"]) == []
    MigrationRecorder(connection).record_applied("catalog", "9999_of_a_newer_version")
    MigrationRecorder(connection).record_applied("taken_out", "0001_initial")
    with pytest.raises(
        SystemCheckError, match=r"newer version of apimgr has changed this database: catalog\.9999_of_a"
    ):
        call_command("migrate", skip_checks=False)
    with pytest.raises(CannotStart, match="put back the backup from before the upgrade"):
        _first_start(AdministratorWishes(), demo=False)
