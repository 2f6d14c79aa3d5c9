"""How the console's answers travel: cookies that stay with HTTPS, HSTS where it is set, and what is asked of a deployment."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.core.checks import run_checks
from django.http import HttpResponse
from django.test import Client, RequestFactory

from apimgr.environment import data_dir, keep_private
from apimgr.transport import SecureCookies
from apps.supervisor import checks
from apps.tenants import services
from tests.support.cast import Cast

PASSWORD = "correct horse battery staple"


def cookies_of_a_visit(cast: Cast, *, secure: bool) -> Client:
    """A browser that has signed in, with every cookie that the console sets."""
    services.user_set_password(actor=cast.ada, user=cast.vera, password=PASSWORD)
    client = Client()
    client.get("/accounts/login/", secure=secure)
    client.post("/accounts/login/", {"login": cast.vera.email, "password": PASSWORD}, secure=secure)
    return client


def test_every_cookie_is_secure_where_the_call_came_over_https(cast: Cast, state_redis: object):
    client = cookies_of_a_visit(cast, secure=True)
    names = {name.partition("-")[0] for name in client.cookies}
    assert names >= {"sessionid", "csrftoken", "known"}
    assert all(cookie["secure"] for cookie in client.cookies.values())


def test_cookies_work_over_http_on_this_machine(cast: Cast, state_redis: object):
    client = cookies_of_a_visit(cast, secure=False)
    assert not any(cookie["secure"] for cookie in client.cookies.values())
    assert client.get("/account/").status_code == 200


def test_a_cookie_that_something_else_sets_is_secure_too():
    response = HttpResponse()
    response.set_cookie("messages", "x")
    response.set_cookie("django_language", "en")
    SecureCookies(lambda _: response)(RequestFactory().get("/", secure=True))
    assert all(cookie["secure"] for cookie in response.cookies.values())


def test_it_is_the_first_middleware():
    assert configured.MIDDLEWARE[0] == "apimgr.transport.SecureCookies"


def codes(found: list[Any]) -> set[str]:
    return {each.id for each in found}


@pytest.mark.parametrize(
    ("url", "hsts", "proxies", "asked"),
    [
        ("http://127.0.0.1:8000", 0, [], set()),
        ("http://localhost:8000", 0, [], set()),
        ("http://console.example.test", 0, [], {"platform.W003"}),
        ("https://console.example.test", 0, [], {"platform.W004", "platform.W005"}),
        ("https://console.example.test", 0, ["10.0.0.1"], {"platform.W005"}),
        ("https://console.example.test", 3600, ["10.0.0.1"], set()),
    ],
)
def test_check_deploy_asks_for_https_in_a_sentence(
    settings: Any, url: str, hsts: int, proxies: list[str], asked: set[str]
):
    settings.CONSOLE_URL, settings.SECURE_HSTS_SECONDS, settings.TRUSTED_PROXIES = url, hsts, proxies
    settings.SESSION_COOKIE_SECURE = False
    found = checks.browsers_keep_to_https(None)
    assert codes(found) == asked
    assert all(each.hint for each in found)


def test_check_deploy_asks_for_no_settings_of_djangos_that_nobody_can_set(settings: Any, db: None, state_redis: object):
    settings.CONSOLE_URL = "https://console.example.test"
    asked = {each.id for each in run_checks(include_deployment_checks=True) if not each.is_silenced()}
    assert "platform.W005" in asked
    assert not {f"security.W{number}" for number in ("004", "008", "009", "012", "016")} & asked
    assert not {each for each in asked if each.startswith("drf_spectacular")}, "that is for us to mend"


def modes_of(folder: Path) -> dict[str, str]:
    return {
        path.name: oct(path.lstat().st_mode & 0o7777) for path in (folder, *folder.rglob("*")) if not path.is_symlink()
    }


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_what_was_open_in_a_data_directory_is_closed(tmp_path: Path, umask: None):
    data, outside = tmp_path / "data", tmp_path / "outside"
    for path, mode in ((data, 0o755), (data / "secrets", 0o777), (data / "spool", 0o750), (outside, 0o755)):
        path.mkdir()
        path.chmod(mode)
    for path, mode in ((data / "secrets" / "key", 0o644), (data / "spool" / "a", 0o660), (data / "closed", 0o400)):
        path.write_text("x")
        path.chmod(mode)
    (data / "link").symlink_to(outside)
    assert keep_private(data) == 5
    (data / "new").write_text("x")
    expected = {"data": "0o700", "secrets": "0o700", "spool": "0o700", "key": "0o600", "a": "0o600", "closed": "0o400"}
    assert modes_of(data) == {**expected, "new": "0o600"}
    assert oct(outside.stat().st_mode & 0o777) == "0o755"
    assert keep_private(data) == 0


def test_a_data_directory_that_was_there_becomes_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o755)
    monkeypatch.setenv("APIMGR_DATA", str(data))
    assert data_dir() == data
    assert oct(data.stat().st_mode & 0o777) == "0o700"
