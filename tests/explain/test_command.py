"""``manage.py explain URL [-H …]``."""

import json

import pytest
from django.core.management import call_command

from apps.fleet.publisher import publish_pending
from tests.explain.test_lookup import kept
from tests.support.cast import make_api, make_application, make_key, make_subscription


@pytest.fixture
def published(cast, state_redis, cache_redis):
    """``products``, with acme's bot as its subscriber."""
    application = make_application(cast.acme)
    make_key(application)
    make_subscription(application, make_api(cast.platform))
    publish_pending()


def said(capsys, *words):
    call_command("explain", *words)
    return capsys.readouterr().out


def test_it_prints_the_decision_the_parts_and_what_differs(published, capsys):
    kept("/products/items?a=2")
    text = said(capsys, "/products/items?a=1", "--as", "acme/bot", "-H", "Accept: text/html")
    lines = text.splitlines()
    assert lines[0].startswith("GET http://")
    assert lines[1] == "MISS (not_found): Nothing is stored under this key."
    assert "  query            a=1" in lines
    assert any(line.startswith("The nearest other stored response: 200, 27 bytes, fresh for ") for line in lines)
    assert "  query            a=1 ≠ a=2" in lines


def test_a_hit_says_what_is_stored(published, capsys):
    kept("/products/items")
    text = said(capsys, "/products/items", "--as", "acme/bot")
    assert "HIT (fresh): A stored response is still fresh." in text
    assert "Stored under this key: 200, 27 bytes, fresh for " in text


def test_a_body_makes_it_a_post_unless_a_method_is_given(published, capsys):
    assert said(capsys, "/products/items", "--as", "acme/bot", "-d", "{}").startswith("POST ")
    assert said(capsys, "/products/items", "--as", "acme/bot", "-d", "{}", "-X", "QUERY").startswith("QUERY ")


def test_it_prints_json_for_programs(published, capsys):
    found = json.loads(said(capsys, "/products/items", "--as", "acme/bot", "--json"))
    assert (found["result"], found["application"]) == ("MISS", "acme/bot")


def test_a_call_that_never_reaches_the_cache_says_why(published, capsys):
    assert "REFUSED (missing_credential)" in said(capsys, "/products/items")
    assert "REFUSED (unknown_api)" in said(capsys, "/nothing")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["products"], "Write a path"),
        (["/products/", "-H", "nonsense"], "not a header"),
        (["/products/", "--as", "acme/nobody"], "no such application"),
        (["/products/", "-X", "TRACE"], "One of"),
    ],
)
def test_what_cant_be_explained_is_refused_with_status_1(published, capsys, words, why):
    with pytest.raises(SystemExit) as refused:
        call_command("explain", *words)
    assert refused.value.code == 1
    assert why in capsys.readouterr().err
