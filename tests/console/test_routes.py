"""Every route has a policy, and keeps it: strangers see nothing, and nobody is let in without signing in."""

from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from apps.analytics.models import CallRecord
from apps.audit.models import Entry
from apps.console.urls import app_name
from tests.console.conftest import World
from tests.support.cast import make_user

#: whoever is signed in may open these: their selectors scope what they hold, and what they name is public to users
OPEN = {
    *(
        "overview",
        "search",
        "help",
        "account",
        "token_new",
        "account_mails",
        "notifications",
        "apis",
        "requests",
        "subscriptions",
        "applications",
    ),
    *(
        "catalogue",
        "catalogue_entry",
        "ask",
        "try",
        "cache",
        "explain",
        "tenants",
        "audit",
        "dashboards",
        "dashboard",
        "calls",
    ),
    *("issuers", "issuer", "issuer_test", "introspection"),
}
#: these are the administrators'
ADMINISTRATORS = {
    *("plans", "plan_new", "plan", "plan_delete", "tenant_new", "users", "user_invite", "user", "user_switch"),
    *("gateways", "settings", "mail", "tenant_switch", "egress", "egress_edit", "tenant_egress"),
    "tenant_host_grant",
}


def console_routes() -> dict[str, URLPattern]:
    """Every pattern of the console by its name."""
    found: dict[str, URLPattern] = {}

    def walk(patterns: list[URLPattern | URLResolver]) -> None:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns)
            else:
                assert pattern.name, pattern
                assert pattern.name not in found, pattern.name
                found[pattern.name] = pattern

    for resolver in get_resolver().url_patterns:
        if isinstance(resolver, URLResolver) and resolver.app_name == app_name:
            walk(resolver.url_patterns)
    return found


ROUTES = console_routes()


def address_of(name: str, world: World) -> str:
    """Where a route leads in the small installation."""
    people = world.people
    by_prefix: list[tuple[str, dict[str, Any]]] = [
        ("api_step", {"slug": "products", "transition": "retire"}),
        ("api_revision", {"slug": "products", "number": 1}),
        ("api_restore", {"slug": "products", "number": 1}),
        ("warm_up", {"number": world.warm_up.pk}),
        ("request_", {"number": world.asked.pk}),
        ("subscription_", {"number": world.subscription.pk}),
        ("plan", {"slug": world.plan.slug}),
        ("application", {"tenant": "acme", "slug": "bot"}),
        ("client_id_new", {"tenant": "acme", "slug": "bot"}),
        ("certificate_new", {"tenant": "acme", "slug": "bot"}),
        ("signing_key_new", {"tenant": "acme", "slug": "bot"}),
        ("key_new", {"tenant": "acme", "slug": "bot"}),
        ("key_", {"number": world.key.key.pk}),
        ("member_", {"slug": "acme", "number": world.membership.pk}),
        ("host_", {"slug": "acme", "number": world.host.pk}),
        ("invitation_", {"slug": "acme", "number": world.invitation.pk}),
        ("issuer", {"slug": world.issuer.slug}),
        ("introspection", {"slug": world.introspection.slug}),
        ("revocation_", {"number": world.revocation.pk}),
        ("tenant", {"slug": "acme"}),
        ("invite", {"slug": "acme"}),
        ("user", {"number": people.bob.pk}),
        ("token_revoke", {"number": world.token.pk}),
        ("audit_entry", {"epoch": Entry.objects.filter(tenant_slug="acme").latest("epoch").epoch}),
        ("mail", {"name": "none.log"}),
        ("dashboard", {"name": "cache"}),
        ("call", {"call_id": CallRecord.objects.latest("at").call_id}),
        ("request", {"number": world.asked.pk}),
        ("", {"slug": "products"}),
    ]
    wanted = set(ROUTES[name].pattern.converters)
    if not wanted:
        return reverse(f"console:{name}")
    for prefix, parameters in by_prefix:
        if name.startswith(prefix) and set(parameters) == wanted:
            return reverse(f"console:{name}", kwargs=parameters)
    raise AssertionError(f"no address for {name}: {wanted}")


@pytest.mark.parametrize("name", ROUTES)
def test_every_route_is_guarded_by_a_policy(name):
    assert callable(getattr(ROUTES[name].callback, "policy", None)), f"{name} is not wrapped in console.guard.page"


def test_nobody_gets_anywhere_without_signing_in(world, client):
    for name in ROUTES:
        address = address_of(name, world)
        for answer in (client.get(address), client.post(address)):
            assert answer.status_code == 302, name
            assert answer["Location"].startswith(reverse("account_login")), name


def test_who_signs_in_comes_back_to_the_page(world, client):
    assert client.get("/apis/?state=draft")["Location"] == "/accounts/login/?next=/apis/%3Fstate%3Ddraft"


def test_htmx_is_sent_to_the_sign_in_page_as_a_whole(world, client):
    answer = client.get("/requests/", headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/apis/"})
    assert answer["HX-Redirect"] == "/accounts/login/?next=/apis/"


def test_a_stranger_opens_only_what_is_everybodys(world, browse):
    stranger = browse(make_user("sam@nowhere.test"), confirmed=True)
    for name in ROUTES:
        status = stranger.get(address_of(name, world)).status_code
        assert (status == 200) == (name in OPEN), f"{name}: {status}"
        assert status in {200, 403, 404}, f"{name}: {status}"


def test_a_stranger_changes_nothing(world, browse):
    stranger = browse(make_user("sam@nowhere.test"), confirmed=True)
    before = Entry.objects.count()
    for name in ROUTES.keys() - {"token_new", "account", "account_mails", "notifications"}:
        assert stranger.post(address_of(name, world)).status_code in {403, 404, 405, 422, 200}, name
    assert Entry.objects.count() == before


def test_an_owner_is_no_administrator(world, browse):
    alice = browse(world.people.alice)
    for name in ADMINISTRATORS:
        assert alice.get(address_of(name, world)).status_code in {403, 404}, name


def test_an_administrator_opens_every_page(world, browse):
    ada = browse(world.people.ada, confirmed=True)
    for name in ROUTES.keys() - {"mail"}:
        assert ada.get(address_of(name, world)).status_code == 200, name


def test_a_viewer_looks_and_changes_nothing(world, browse):
    vera = browse(world.people.vera)
    assert vera.get(reverse("console:application", args=["acme", "bot"])).status_code == 200
    for name in (
        "key_new",
        "client_id_new",
        "key_revoke",
        "key_rotate",
        "application_edit",
        "application_delete",
        "invite",
    ):
        assert vera.get(address_of(name, world)).status_code == 403, name


def test_pages_have_neither_inline_scripts_nor_inline_styles(world, browse):
    import re

    ada = browse(world.people.ada, confirmed=True)
    for name in ROUTES.keys() - {"mail"}:
        page = ada.get(address_of(name, world)).content.decode()
        bad = re.findall(
            r"<script(?![^>]*(?:\bsrc=|application/json))[^>]*>|<style[^>]*>|\sstyle=\"|\son[a-z]+=\"", page
        )
        assert not bad, f"{name}: {bad}"


def test_every_page_has_one_heading_and_a_title(world, browse):
    ada = browse(world.people.ada, confirmed=True)
    for name in ROUTES.keys() - {"mail"}:
        page = ada.get(address_of(name, world)).content.decode()
        assert page.count("<h1") == 1, name
        title = page.split("<title>")[1].split("</title>")[0]
        assert title.strip().endswith("· apimgr"), name
        assert title.split("·")[0].strip(), name


def test_every_icon_of_the_templates_is_in_the_sprite(settings):
    import re
    from pathlib import Path

    from apps.console import status_labels
    from apps.console.navigation import GROUPS
    from apps.console.templatetags.console import SPRITE

    sprite = (Path(settings.BASE_DIR) / "static" / SPRITE).read_text()
    have = set(re.findall(r'<symbol id="([\w-]+)"', sprite))
    templates = "\n".join(path.read_text() for path in (Path(settings.BASE_DIR) / "templates").rglob("*.html"))
    wanted = set(re.findall(r'{% icon "([\w-]+)"', templates)) | set(re.findall(r'\bicon="([\w-]+)"', templates))
    wanted |= {item.icon for group in GROUPS for item in group.items}
    wanted |= {each.icon for each in (*status_labels._STATES.values(), *status_labels._RESULTS.values())}
    assert wanted - have == set()


def test_vendored_files_are_the_ones_that_were_summed(settings):
    import hashlib
    from pathlib import Path

    folder = Path(settings.BASE_DIR) / "static" / "vendor"
    lines = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert {path for _, path in lines} == {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS"
    }
    for digest, path in lines:
        assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == digest, path


def test_a_missing_page_says_so_without_asking_the_database(db, client: Client, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = client.get("/no/such/page/")
    assert answer.status_code == 404
    assert b"There is nothing here" in answer.content
