"""What a token's scope and tenant leave of its user's rights: every route, every method, every scope."""

from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from apps.access.api.leaked_keys import LeakedKeysView
from apps.audit.models import Entry
from apps.explain.api.lookup import ExplainView
from apps.explain.api.token import TestTokenView
from apps.tenants import services
from apps.tenants.actors import PLATFORM
from apps.tenants.api.permissions import HasScope
from apps.tenants.choices import Role, TokenScope
from apps.tenants.models import Membership, Tenant, Token, User
from tests.api.test_routes import EVERY, METHODS, OPEN, SIGNED
from tests.support.calls import make_calls
from tests.support.cast import (
    PASSWORD,
    confirm,
    make_api,
    make_application,
    make_key,
    make_request,
    make_subscription,
    make_tenant,
    make_token,
    make_user,
)

SAFE = ("get", "head", "options")
#: POSTs that need less than the others
LESS = {
    ("/api/v1/apis/1/explain/", "post"): TokenScope.READ,
    ("/api/v1/issuers/1/test/", "post"): TokenScope.READ,
    ("/api/v1/leaked-keys/", "post"): TokenScope.SCAN,
}


def calls_with(user: User, scope: TokenScope, tenant: Tenant | None = None) -> APIClient:
    """A client that calls with a token of this scope."""
    client = APIClient(headers={"authorization": f"Bearer {make_token(user, scope, tenant).secret}"})
    client.default_format = "json"
    return client


def views(resolver: Any = None, prefix: str = "/") -> list[tuple[str, Any]]:
    """The class behind every route below /api/."""
    found = []
    for pattern in (resolver or get_resolver()).url_patterns:
        text = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found += views(pattern, text)
        elif isinstance(pattern, URLPattern) and text.startswith("/api/"):
            found.append((text, getattr(pattern.callback, "cls", getattr(pattern.callback, "view_class", None))))
    return found


@pytest.mark.parametrize(("route", "view"), views())
def test_no_route_leaves_the_scope_out(route, view):
    """A view that names its own permissions names this one too; messages with a signature have no token."""
    if "/schema/" in route or "/docs/" in route or route.endswith(("/messages/", "/security-events/")):
        assert len(OPEN | SIGNED) == 4
        return
    assert HasScope in view.permission_classes, route
    said = getattr(view, "scopes", {})
    assert set(said) <= {"POST"}, "only a POST may need less than its method says"
    assert bool(said) == (view in (ExplainView, LeakedKeysView, TestTokenView)), route


@pytest.fixture
def everything(cast, state_redis):
    """One of each."""
    api = make_api(cast.platform)
    application = make_application(cast.acme)
    make_subscription(application, api)
    make_key(application)
    make_request(cast.bob, make_application(cast.acme, "second"), api)
    make_api(cast.globex, "secrets", publish=False)
    make_calls({})


@pytest.mark.parametrize("address", EVERY)
def test_each_method_needs_the_scope_that_the_documentation_says(cast, everything, address):
    """Safe methods need read, all others write. Administration's own part of it is the next test's."""
    for scope in TokenScope:
        client = calls_with(cast.ada, scope)
        changes = Entry.objects.count()
        for method in (*METHODS, "head", "options"):
            answer = getattr(client, method)(address)
            needs = LESS.get((address, method), TokenScope.READ if method in SAFE else TokenScope.WRITE)
            if needs in scope.included:
                assert answer.status_code != 401, (scope, method)
                assert "insufficient_scope" not in answer.headers.get("WWW-Authenticate", ""), (scope, method)
            else:
                assert answer.status_code == 403, (scope, method)
                assert method == "head" or answer.json()["code"] == "insufficient_scope", (scope, method)
                told = f'Bearer realm="apimgr", error="insufficient_scope", scope="{needs}"'
                assert answer["WWW-Authenticate"] == told
        if scope in TokenScope.READ.included:
            assert Entry.objects.count() == changes


#: the reader's own, not what they may see
OWN = {"id", "email", "name", "user", "is_administrator", "date_joined", "last_login", "everybodys_bytes"}


def without_oneself(value: Any) -> Any:
    if isinstance(value, dict):
        return {word: without_oneself(held) for word, held in value.items() if word not in OWN}
    return [without_oneself(each) for each in value] if isinstance(value, list) else value


def shown(client: APIClient, address: str) -> tuple[int, Any]:
    answer = client.get(address)
    if answer.headers.get("Content-Type", "").startswith("application/x-ndjson") and answer.status_code < 400:
        return answer.status_code, answer.content.splitlines()
    refused = answer.status_code >= 400  # whose sentence may name the scope that it takes
    return answer.status_code, without_oneself(answer.json()) if answer.content and not refused else None


def test_without_the_scope_admin_an_administrator_is_a_mere_user(cast, everything):
    """What Ada sees and may by such a token is what Sam does, who has no right and no membership."""
    sam, ada = calls_with(make_user("sam@nowhere.test"), TokenScope.WRITE), calls_with(cast.ada, TokenScope.WRITE)
    for address in EVERY:
        assert shown(ada, address) == shown(sam, address), address
        for method in METHODS[1:]:
            told = [getattr(client, method)(address, {}) for client in (sam, ada)]
            assert told[0].status_code == told[1].status_code, (address, method)
            assert told[0].status_code >= 400 or address == "/api/v1/notifications/read/", (address, method)


def test_with_it_the_same_routes_answer_differently(cast, everything):
    by_write, by_admin = calls_with(cast.ada, TokenScope.WRITE), calls_with(cast.ada, TokenScope.ADMIN)
    assert sum(shown(by_write, address) != shown(by_admin, address) for address in EVERY) > 15


def test_a_refused_administrator_learns_which_scope_it_takes(cast, everything):
    refused = calls_with(cast.ada, TokenScope.WRITE).post("/api/v1/tenants/", {"slug": "new", "name": "New"})
    assert refused.status_code == 403
    assert "needs the scope admin" in refused.json()["detail"]
    assert "scope" not in calls_with(cast.alice, TokenScope.WRITE).post("/api/v1/tenants/", {}).json()["detail"]


def test_a_token_of_one_tenant_reaches_no_other(cast, everything):
    """Bob develops in globex too; by a token for acme he is Dan, who is only in acme."""
    dan = make_user("dan@acme.test", cast.acme, Role.DEVELOPER)
    services.membership_set(actor=PLATFORM, tenant=cast.globex, user=cast.bob, role=Role.OWNER)
    limited = calls_with(cast.bob, TokenScope.WRITE, cast.acme)
    other = calls_with(dan, TokenScope.WRITE, cast.acme)
    for address in EVERY:
        if "/notifications/" not in address:  # of what was before Dan came
            assert shown(limited, address) == shown(other, address), address
        assert "globex" not in limited.get(address).content.decode(), address


def test_a_token_of_one_tenant_changes_nothing_elsewhere(cast, everything):
    services.membership_set(actor=PLATFORM, tenant=cast.globex, user=cast.bob, role=Role.OWNER)
    make_token(cast.bob, TokenScope.WRITE)
    limited = calls_with(cast.bob, TokenScope.WRITE, cast.acme)
    for method, path, body in (
        ("patch", "tenants/globex/", {"name": "Mine"}),
        ("patch", "apis/secrets/", {"name": "Mine"}),
        ("post", "applications/", {"tenant": "globex", "slug": "x", "name": "X"}),
        ("patch", f"users/{cast.bob.pk}/", {"name": "Robert"}),
        ("delete", f"users/{cast.bob.pk}/tokens/{Token.objects.get(user=cast.bob, tenant=None).pk}/", None),
    ):
        assert getattr(limited, method)(f"/api/v1/{path}", body).status_code in (400, 403, 404), path
    made = limited.post("/api/v1/applications/", {"tenant": "acme", "slug": "x", "name": "X"})
    assert made.status_code == 201


def test_a_token_of_a_tenant_that_its_user_left_reaches_nothing(cast, everything):
    limited = calls_with(cast.bob, TokenScope.WRITE, cast.acme)
    assert limited.get("/api/v1/tenants/acme/").status_code == 200
    services.membership_remove(actor=cast.alice, membership=Membership.objects.get(user=cast.bob))
    assert limited.get("/api/v1/tenants/acme/").status_code == 404


@pytest.mark.parametrize("who", ["ada", "alice"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", "users/{me}/tokens/", {"name": "x", "scope": "read", "expires_at": "2040-01-01T00:00:00Z"}),
        ("patch", "users/{me}/", {"password": "another long one"}),
        ("patch", "users/{me}/", {"email": "me@elsewhere.test"}),
        ("patch", "users/{me}/", {"is_administrator": "other"}),
        ("patch", "users/{bob}/", {"password": "another long one"}),
        ("patch", "users/{bob}/", {"email": "bob@elsewhere.test"}),
        ("patch", "users/{bob}/", {"is_administrator": True}),
        ("post", "tenants/", {"slug": "mine", "name": "Mine", "owner": "{address}"}),
        ("post", "tenants/globex/memberships/", {"user": "{address}", "role": "developer"}),
        ("patch", "tenants/platform/memberships/{mine}/", {"role": "viewer"}),
    ],
)
def test_nothing_that_outlives_a_token_is_made_by_it(cast, state_redis, who, method, path, body):
    """No token, no password, no other address, no right and no membership of oneself: whatever the scope, whoever's it is."""
    user: User = getattr(cast, who)
    mine = services.membership_set(actor=PLATFORM, tenant=cast.platform, user=user, role=Role.OWNER).pk
    if not user.is_administrator:
        services.membership_set(actor=PLATFORM, tenant=cast.globex, user=user, role=Role.OWNER)
    widest = TokenScope.ADMIN if user.is_administrator else TokenScope.WRITE
    client = calls_with(user, widest)
    kept = dict(User.objects.values_list("pk", "password")), list(Membership.objects.values_list("user", "role"))
    body = {word: value.format(address=user.email) if isinstance(value, str) else value for word, value in body.items()}
    if body.get("is_administrator") == "other":
        body["is_administrator"] = not user.is_administrator
    refused = getattr(client, method)(f"/api/v1/{path.format(me=user.pk, bob=cast.bob.pk, mine=mine)}", body)
    is_member = who == "alice" and method == "post" and "memberships" in path
    assert refused.status_code == (400 if is_member else 403), refused.content
    if who == "ada":
        assert "No token may" in refused.json()["detail"]
    assert (
        dict(User.objects.values_list("pk", "password")),
        list(Membership.objects.values_list("user", "role")),
    ) == kept
    assert set(User.objects.filter(is_administrator=True)) == {cast.ada}
    assert Token.objects.count() == 1


def test_an_administrators_token_adds_another_user_with_a_password(cast, calls_as):
    made = calls_as(cast.ada).post("/api/v1/users/", {"email": "new@acme.test", "password": "another long one"})
    assert made.status_code == 201
    assert User.objects.get(email="new@acme.test").check_password("another long one")


def test_a_new_administrator_is_told_to_the_others(cast, calls_as, mailoutbox, django_capture_on_commit_callbacks):
    new = {"email": "grace@platform.test", "password": "another long one", "is_administrator": True}
    with django_capture_on_commit_callbacks(execute=True):
        assert calls_as(cast.ada).post("/api/v1/users/", new).status_code == 201
    with django_capture_on_commit_callbacks(execute=True):
        services.user_update(actor=User.objects.get(email="grace@platform.test"), user=cast.bob, is_administrator=True)
    first, *second = mailoutbox
    assert first.to == ["ada@platform.test"]
    assert "made a platform administrator by the REST token “script” of ada@platform.test" in first.body
    assert {letter.to[0] for letter in second} == {"ada@platform.test", "grace@platform.test"}
    assert "bob@acme.test was made a platform administrator by grace@platform.test" in second[0].body


def test_what_opens_an_account_takes_the_password_again_in_a_session(cast, state_redis):
    ada = session_of(cast.ada)
    for method, path, body in (
        ("post", "users/", {"email": "new@platform.test", "is_administrator": True}),
        ("patch", f"users/{cast.bob.pk}/", {"is_administrator": True}),
        ("patch", f"users/{cast.bob.pk}/", {"email": "bob@evil.test"}),
        ("patch", f"users/{cast.bob.pk}/", {"password": NEW}),
    ):
        refused = getattr(ada, method)(f"/api/v1/{path}", body, content_type="application/json")
        assert (refused.status_code, refused.json()["code"]) == (403, "reauthentication_required"), body
    kept = User.objects.get(pk=cast.bob.pk)
    assert (kept.email, kept.is_administrator, kept.check_password(PASSWORD)) == ("bob@acme.test", False, True)
    assert not User.objects.filter(email="new@platform.test").exists()
    assert (
        ada.patch(f"/api/v1/users/{cast.bob.pk}/", {"name": "B", "email": "bob@acme.test"}, "application/json")
    ).status_code == 200
    confirm(ada)
    moved = ada.patch(f"/api/v1/users/{cast.bob.pk}/", {"email": "bob@new.test"}, "application/json")
    assert moved.status_code == 200


def session_of(user: User) -> Client:
    client = Client()
    assert client.post("/accounts/login/", {"login": user.email, "password": PASSWORD}).status_code == 302
    return client


def is_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


NEW = "quite another long phrase"


def by_the_console(bob: User, ada: User, mine: Client) -> None:
    words = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert mine.post("/accounts/password/change/", words).status_code == 302


def by_a_link(bob: User, ada: User, mine: Client) -> None:
    from apps.tenants.emails import password_link

    link = password_link(User.objects.get(pk=bob.pk)).removeprefix("http://127.0.0.1:8000")
    client = Client()
    form = client.get(link, follow=True).request["PATH_INFO"]
    assert client.post(form, {"password1": NEW, "password2": NEW}).status_code == 302


def by_an_administrator(bob: User, ada: User, mine: Client) -> None:
    services.user_set_password(actor=ada, user=bob, password=NEW)


def by_the_rest_api(bob: User, ada: User, mine: Client) -> None:
    confirm(mine)
    answer = mine.patch(f"/api/v1/users/{bob.pk}/", {"password": NEW}, content_type="application/json")
    assert answer.status_code == 200


def by_the_command_line(bob: User, ada: User, mine: Client) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("getpass.getpass", lambda **_: NEW)
        call_command("changepassword", bob.email)


@pytest.mark.parametrize(
    ("way", "stays"),
    [
        (by_the_console, True),
        (by_the_rest_api, True),
        (by_a_link, False),
        (by_an_administrator, False),
        (by_the_command_line, False),
    ],
)
def test_a_new_password_ends_all_tokens_and_sessions_but_the_one_that_set_it(cast, state_redis, way, stays):
    tokens = [calls_with(cast.bob, scope) for scope in (TokenScope.READ, TokenScope.WRITE)]
    mine, another = session_of(cast.bob), session_of(cast.bob)
    assert is_in(mine)
    assert is_in(another)
    way(cast.bob, cast.ada, mine)
    assert User.objects.get(pk=cast.bob.pk).check_password(NEW)
    assert {client.get("/api/v1/users/me/").status_code for client in tokens} == {401}
    assert not is_in(another)
    assert is_in(mine) is stays
    assert Token.objects.filter(user=cast.bob, ended_at=None).count() == 0


def test_a_hash_that_is_brought_up_to_date_ends_nothing(cast, state_redis, settings):
    client = calls_with(cast.bob, TokenScope.READ)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher", *settings.PASSWORD_HASHERS]
    before = cast.bob.password
    session_of(cast.bob)
    assert User.objects.get(pk=cast.bob.pk).password != before
    assert client.get("/api/v1/users/me/").status_code == 200


def test_deactivation_ends_tokens_and_sessions_for_good(cast, state_redis):
    token, session = calls_with(cast.bob, TokenScope.WRITE), session_of(cast.bob)
    services.user_deactivate(actor=cast.ada, user=cast.bob)
    services.user_activate(actor=cast.ada, user=cast.bob)
    assert token.get("/api/v1/users/me/").status_code == 401
    assert not is_in(session)
    assert is_in(session_of(cast.bob))
    assert Session.objects.count() == 1


def test_a_session_sets_a_password_over_rest_only_after_the_old_one(cast, state_redis):
    bob = session_of(cast.bob)
    words: Any = {"data": {"password": NEW}, "content_type": "application/json"}
    refused = bob.patch(f"/api/v1/users/{cast.bob.pk}/", **words)
    assert (refused.status_code, refused.json()["code"]) == (403, "reauthentication_required")
    assert User.objects.get(pk=cast.bob.pk).check_password(PASSWORD)


def test_a_token_of_one_tenant_is_no_administrators(cast, state_redis):
    """Even a row that says both."""
    made = make_token(cast.ada, TokenScope.ADMIN)
    Token.objects.filter(pk=made.token.pk).update(tenant=make_tenant("initech"))
    client = APIClient(headers={"authorization": f"Bearer {made.secret}"})
    assert client.get("/api/v1/tenants/").json()["results"] == []
