"""The file's ``cache`` object, with every word that it may have."""

import pytest
import yaml
from django.conf import settings

from apps.caching.models import CachePolicy
from apps.catalog.models import API
from apps.declarative.applying import apply
from apps.declarative.exporting import as_yaml, export
from apps.declarative.reader import FileError, read_text

pytestmark = pytest.mark.django_db

WHOLE = (settings.BASE_DIR / "docs" / "examples" / "caching.yaml").read_text()


def applied(text: str) -> list[str]:
    return apply(read_text(text.encode()))


def changed(old: str, new: str) -> str:
    assert WHOLE.count(old) == 1
    return WHOLE.replace(old, new)


def test_a_file_with_every_word_is_in_force_and_applied_again_changes_nothing():
    assert applied(WHOLE) == ["+ tenant platform", "+ api products"]
    policy = API.objects.get().cache_policy
    assert (policy.sensitivity, policy.jitter, policy.max_size, policy.downstream) == (
        "personal",
        0.2,
        100_000_000,
        "60",
    )
    assert policy.operations[0] == {
        "path": "/items/*",
        "methods": ["GET"],
        "ttl": 3600.0,
        "stale_if_error": None,
        "headers": ["x-tier"],
        "max_variants": 4,
    }
    assert applied(WHOLE) == []


def test_what_is_exported_applied_changes_nothing_and_makes_the_same_elsewhere():
    applied(WHOLE)
    exported = as_yaml(export())
    assert applied(exported) == []
    API.objects.all().delete()
    CachePolicy.objects.all().delete()
    assert applied(exported) == ["+ api products"]
    assert as_yaml(export()) == exported


def test_what_the_object_does_not_say_has_its_default_again():
    applied(WHOLE)
    document = yaml.safe_load(WHOLE)
    document["apis"][0]["cache"] = {"mode": "origin"}
    lines = applied(yaml.safe_dump(document))
    assert len(lines) == 1
    fresh = CachePolicy(sensitivity="personal")
    policy = API.objects.get().cache_policy
    for field in CachePolicy._meta.fields:
        if field.name != "id":
            assert getattr(policy, field.name) == getattr(fresh, field.name), field.name


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("jitter: 0.2", "jitter: 0.9", "0.5"),
        ("negative_ttl: 5s", "negative_ttl: soon", "duration"),
        ("methods: [GET, HEAD, QUERY]", "methods: [GET, DELETE]", "DELETE"),
        ('json: "items[*].id"', 'json: "items[?].id"', "no path"),
        ("path: /items/*", "path: items/*", "slash"),
        ("path: /admin/**", "path: /admin/**/x", "end only"),
        ("body: raw", "body: xml", "one of"),
        ("cache_control: 60s", "cache_control: public", "no-store"),
        ("limits: {variants: 4}", "limits: {size: 4}", "Unknown word"),
        ('mode: "off"', "sensitivity: public", "Unknown word"),
        ("rate: 5/s", "rate: 5000/s", "1000/s"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_changes_nothing(old: str, new: str, told: str):
    text = changed(old, new)
    with pytest.raises(FileError) as refused:
        applied(text)
    (problem,) = refused.value.problems
    line = text[: text.index(new)].count("\n") + 1
    assert problem.startswith(f"file:{line}: ")
    assert told in problem
    assert not API.objects.exists()
