"""Short names: what addresses need is reserved, and nobody is left without a way out."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from apps.access.models import Application, Plan
from apps.catalog.models import API
from apps.foundation import slugs
from apps.tenants.models import Tenant
from tests.support.cast import (
    make_api,
    make_application,
    make_introspection,
    make_issuer,
    make_plan,
    make_tenant,
)

PARAMETER = "<>"

#: what stands before a slug in an address of the console or of the REST API -> whose slug it is
KINDS = {
    ("apis",): "api",
    ("catalogue",): "api",
    ("plans",): "plan",
    ("tenants",): "tenant",
    ("issuers",): "issuer",
    ("introspections",): "introspection",
    ("applications",): "tenant",
    ("applications", PARAMETER): "application",
    ("api", "v1", "apis"): "api",
    ("api", "v1", "cache-policies"): "api",
    ("api", "v1", "cdns"): "api",
    ("api", "v1", "purge-webhooks"): "api",
    ("api", "v1", "plans"): "plan",
    ("api", "v1", "issuers"): "issuer",
    ("api", "v1", "introspections"): "introspection",
    ("api", "v1", "tenants"): "tenant",
    ("api", "v1", "applications"): "tenant",
    ("api", "v1", "applications", PARAMETER): "application",
}
NAMED = {"slug", "tenant", "api", "application"}


def patterns(resolver: Any = None, before: str = "") -> Iterator[str]:
    for pattern in (resolver or get_resolver()).url_patterns:
        text = before + str(pattern.pattern).lstrip("^").rstrip("$").replace("\\Z", "")
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern, text)
        elif isinstance(pattern, URLPattern):
            yield text


def segments(pattern: str) -> list[str]:
    """Its parts; a slug is ``<>``, another parameter ``#``."""

    def part(match: re.Match[str]) -> str:
        return PARAMETER if match[1] in NAMED else "#"

    pattern = re.sub(r"\(\?P<application>.*?\)\+?(?=/)", "<tenant>/<application>", pattern)
    pattern = re.sub(r"\(\?P<(\w+)>[^()]*\)", part, pattern)
    pattern = re.sub(r"<(?:\w+:)?(\w+)>", part, pattern)
    return pattern.strip("/").split("/")


def test_words_that_addresses_have_in_the_place_of_a_slug_are_reserved_for_its_kind():
    beside: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for pattern in patterns():
        parts = segments(pattern)
        for index, part in enumerate(parts):
            beside[tuple(parts[:index])].add(part)
    found: dict[str, set[str]] = {kind: set() for kind in slugs.RESERVED}
    assert {before for before, words in beside.items() if PARAMETER in words} == set(KINDS)
    for before in KINDS:
        found[KINDS[before]] |= {word for word in beside[before] if re.fullmatch(r"[-a-zA-Z0-9_]+", word)}
    assert found == slugs.RESERVED


MAKES = {
    "api": lambda slug: make_api(Tenant.objects.filter(slug="owner").first() or make_tenant("owner"), slug),
    "introspection": make_introspection,
    "issuer": make_issuer,
    "plan": make_plan,
    "tenant": make_tenant,
}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "slug"), [(kind, slug) for kind, words in slugs.RESERVED.items() for slug in sorted(words)]
)
def test_a_reserved_word_names_nothing_new_and_what_has_it_stays_usable(monkeypatch, kind: str, slug: str):
    with pytest.raises(ValidationError, match="is a word of the addresses"):
        MAKES[kind](slug)
    with monkeypatch.context() as earlier:
        earlier.setitem(slugs.RESERVED, kind, frozenset())
        row = MAKES[kind](slug)
    row.name = "Another name"
    row.full_clean()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "free"),
    [
        ("商品情報", "plan-1"),
        ("new", "new-2"),
        ("New", "new-2"),
        ("Gold", "gold-3"),
        ("Größe", None),
        ("x" * 100, None),
    ],
)
def test_a_name_whose_slug_cannot_be_had_is_offered_a_free_one(name: str, free: str | None):
    for slug in ("gold", "gold-2"):
        make_plan(slug)
    if free is None:
        assert slugs.free_slug(name, Plan.objects.all()) == slugs.slug_of(name)
        return
    with pytest.raises(slugs.SlugTaken, match=f"{free} is free") as refused:
        slugs.free_slug(name, Plan.objects.all())
    assert refused.value.free == free
    make_plan(free)
    with pytest.raises(slugs.SlugTaken) as refused:
        slugs.free_slug(name, Plan.objects.all())
    assert refused.value.free != free


def test_letters_without_accents_to_take_away_are_written_in_two():
    assert slugs.slug_of("Größe & Łódź & Smørrebrød") == "grosse-lodz-smorrebrod"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("route", "model", "fields"),
    [
        (
            "console:api_register",
            API,
            {"listen_path": "/a/", "upstream_url": "http://127.0.0.1:9/", "tenant": "platform"},
        ),
        ("console:plan_new", Plan, {"rate_period": "1s", "quota_period": "month"}),
        ("console:tenant_new", Tenant, {}),
        ("console:application_new", Application, {"tenant": "platform"}),
    ],
)
def test_a_form_offers_a_free_short_name_and_takes_it(cast, client, route: str, model: Any, fields: dict[str, str]):
    client.force_login(cast.ada)
    address, name = reverse(route), {"name": "商品情報"}
    initial = client.get(address).context["form"]
    start = {field: value for field in initial.fields if (value := initial[field].value()) is not None}
    asked = client.post(address, start | fields | name)
    assert asked.status_code == 422
    offered = asked.context["form"]["slug"].value()
    assert offered == f"{model._meta.model_name}-1"
    assert f"{offered} is free" in asked.content.decode()
    assert client.post(address, start | fields | name | {"slug": offered}).status_code == 302
    assert model.objects.get(slug=offered).name == "商品情報"


@pytest.mark.django_db
def test_applications_of_other_tenants_take_no_short_names(cast):
    make_application(cast.acme, "mobile")
    assert slugs.free_slug("Mobile", Application.objects.filter(tenant=cast.platform)) == "mobile"
