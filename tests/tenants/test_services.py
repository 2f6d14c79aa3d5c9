"""Users, tenants, memberships and tokens: the result, the row, the audit entry."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils import timezone

from apps.audit.models import Entry
from apps.audit.selectors import entries_visible_to
from apps.foundation.errors import Conflict
from apps.tenants import services
from apps.tenants.actors import PLATFORM
from apps.tenants.choices import Role, TenantState, TokenScope
from apps.tenants.egress import tenant_egress_update
from apps.tenants.models import Membership, Tenant, Token, User
from apps.tenants.selectors import token_find
from tests.support.cast import PASSWORD, Cast, make_api, make_tenant, make_token


def last() -> Entry:
    return Entry.objects.order_by("-epoch")[0]


def test_a_new_user_signs_in_with_the_password_that_was_set(cast: Cast):
    user = services.user_create(actor=cast.ada, email=" Nina@ACME.test ", name="Nina", password="long enough it is")
    assert user.email == "nina@acme.test"
    assert User.objects.get(pk=user.pk).check_password("long enough it is")
    assert (last().verb, last().target, last().actor_email) == ("user.create", "nina@acme.test", "ada@platform.test")
    assert "long enough" not in str(last().changes)


def test_a_second_user_with_the_same_address_in_another_case_is_refused(cast: Cast):
    with pytest.raises(ValidationError) as refused:
        services.user_create(actor=cast.ada, email="ALICE@acme.test")
    assert "email" in refused.value.message_dict


def test_a_weak_password_is_refused_next_to_its_field(cast: Cast):
    with pytest.raises(ValidationError) as refused:
        services.user_create(actor=cast.ada, email="nina@acme.test", password="short")
    assert "password" in refused.value.message_dict
    assert not User.objects.filter(email="nina@acme.test").exists()


def test_an_operator_s_own_password_is_what_they_say_but_never_empty(db):
    user = services.user_create(actor=PLATFORM, email="op@acme.test", password="short")
    assert user.check_password("short")
    with pytest.raises(ValidationError):
        services.user_set_password(actor=PLATFORM, user=user, password="")


def test_only_an_administrator_adds_users(cast: Cast):
    for actor in (cast.alice, cast.vera):
        with pytest.raises(PermissionDenied):
            services.user_create(actor=actor, email="x@acme.test")


def test_everybody_may_change_their_own_name_and_nothing_else(cast: Cast):
    services.user_update(actor=cast.bob, user=cast.bob, name="Robert")
    assert User.objects.get(pk=cast.bob.pk).name == "Robert"
    assert last().changes == {"name": ["Bob", "Robert"]}
    with pytest.raises(PermissionDenied):
        services.user_update(actor=cast.bob, user=cast.bob, is_administrator=True)
    with pytest.raises(PermissionDenied):
        services.user_update(actor=cast.ada, user=cast.ada, is_administrator=False)
    with pytest.raises(PermissionDenied):
        services.user_update(actor=cast.alice, user=cast.bob, name="B")


def test_a_change_of_ones_name_brings_back_nothing_that_was_taken_in_the_meantime(cast: Cast):
    services.user_update(actor=cast.ada, user=cast.bob, is_administrator=True)
    read_before = User.objects.get(pk=cast.bob.pk)
    bob = User.objects.get(pk=cast.bob.pk)
    services.user_update(actor=cast.ada, user=bob, is_administrator=False, email="robert@acme.test")
    services.user_set_password(actor=cast.ada, user=bob, password="another long password")
    services.user_deactivate(actor=cast.ada, user=bob)
    before = User.objects.filter(pk=bob.pk).values().get()
    services.user_update(actor=read_before, user=read_before, name="Robert")
    assert User.objects.filter(pk=bob.pk).values().get() == before | {"name": "Robert"}


def test_a_tenant_that_is_renamed_stays_suspended_and_keeps_its_egress_rules(cast: Cast):
    read_before = Tenant.objects.get(slug="acme")
    services.tenant_suspend(actor=cast.ada, tenant=cast.acme)
    tenant_egress_update(actor=cast.ada, tenant=cast.acme, allow=["10.0.0.0/8"])
    services.tenant_update(actor=cast.alice, tenant=read_before, name="Acme Corp")
    kept = Tenant.objects.get(slug="acme")
    assert (kept.name, kept.state, kept.egress) == ("Acme Corp", TenantState.SUSPENDED, ["10.0.0.0/8"])


def test_an_update_that_changes_nothing_leaves_no_entry(cast: Cast):
    before = Entry.objects.count()
    services.user_update(actor=cast.ada, user=cast.bob, name="Bob", email="BOB@acme.test")
    services.membership_set(actor=cast.alice, tenant=cast.acme, user=cast.bob, role=Role.DEVELOPER)
    services.tenant_update(actor=cast.alice, tenant=cast.acme, name="Acme")
    services.user_activate(actor=cast.ada, user=cast.bob)
    assert Entry.objects.count() == before


def test_a_deactivated_user_loses_their_tokens_and_can_come_back_without_them(cast: Cast):
    secret = make_token(cast.bob).secret
    services.user_deactivate(actor=cast.ada, user=cast.bob)
    assert token_find(secret) is None
    assert (last().verb, last().changes["tokens"]) == ("user.deactivate", [1, 0])
    services.user_activate(actor=cast.ada, user=cast.bob)
    assert token_find(secret) is None
    assert token_find(make_token(cast.bob).secret) is not None
    with pytest.raises(PermissionDenied):
        services.user_deactivate(actor=cast.ada, user=cast.ada)


def test_a_password_is_set_by_its_owner_or_an_administrator(cast: Cast):
    services.user_set_password(actor=cast.bob, user=cast.bob, password="another long one")
    assert User.objects.get(pk=cast.bob.pk).check_password("another long one")
    assert (last().verb, last().changes) == ("user.set_password", {})
    with pytest.raises(PermissionDenied):
        services.user_set_password(actor=cast.alice, user=cast.bob, password="another long one")


def test_a_role_that_there_is_not_is_refused(cast: Cast):
    with pytest.raises(ValidationError) as refused:
        services.membership_set(actor=cast.alice, tenant=cast.acme, user=cast.bob, role="king")
    assert "role" in refused.value.message_dict


def test_the_last_owner_stays_one(cast: Cast):
    membership = Membership.objects.get(tenant=cast.acme, user=cast.alice)
    for attempt in (
        lambda: services.membership_remove(actor=cast.ada, membership=membership),
        lambda: services.membership_set(actor=cast.alice, tenant=cast.acme, user=cast.alice, role=Role.VIEWER),
    ):
        with pytest.raises(ValidationError) as refused:
            attempt()
        assert "last owner" in refused.value.message_dict["role"][0]
    services.membership_set(actor=cast.alice, tenant=cast.acme, user=cast.bob, role=Role.OWNER)
    services.membership_remove(actor=cast.bob, membership=membership)
    assert not Membership.objects.filter(tenant=cast.acme, user=cast.alice).exists()
    assert last().changes == {"role": ["owner", None]}


def test_only_owners_change_members(cast: Cast):
    membership = Membership.objects.get(tenant=cast.acme, user=cast.vera)
    for actor in (cast.bob, cast.charlie):
        with pytest.raises(PermissionDenied):
            services.membership_remove(actor=actor, membership=membership)
        with pytest.raises(PermissionDenied):
            services.membership_set(actor=actor, tenant=cast.acme, user=actor, role=Role.OWNER)


def test_a_suspended_tenant_is_told_to_the_gateways_and_can_be_resumed(cast: Cast):
    services.tenant_suspend(actor=cast.ada, tenant=cast.acme, comment="Unpaid")
    assert Tenant.objects.get(slug="acme").state == TenantState.SUSPENDED
    assert (last().verb, last().comment) == ("tenant.suspend", "Unpaid")
    assert last().affects == [["tenant", "acme"], ["stored", "t:acme"]]
    with pytest.raises(Conflict):
        services.tenant_suspend(actor=cast.ada, tenant=cast.acme)
    services.tenant_resume(actor=cast.ada, tenant=cast.acme)
    assert last().affects == [["tenant", "acme"]]
    assert Tenant.objects.get(slug="acme").state == TenantState.ACTIVE
    with pytest.raises(PermissionDenied):
        services.tenant_suspend(actor=cast.alice, tenant=cast.acme)


def test_a_tenant_has_a_slug_of_its_own_and_its_first_owner(cast: Cast):
    tenant = services.tenant_create(actor=cast.ada, slug="initech", name="Initech", owner=cast.charlie)
    assert Membership.objects.get(tenant=tenant, user=cast.charlie).role == Role.OWNER
    assert (last().verb, last().target) == ("tenant.create", "initech")
    for slug in ("acme", "no good", ""):
        with pytest.raises(ValidationError) as refused:
            services.tenant_create(actor=cast.ada, slug=slug, name="Again")
        assert "slug" in refused.value.message_dict
    with pytest.raises(PermissionDenied):
        services.tenant_create(actor=cast.alice, slug="mine", name="Mine")


def test_a_tenant_is_renamed_by_its_owner(cast: Cast):
    services.tenant_update(actor=cast.alice, tenant=cast.acme, name="Acme Corp")
    assert last().changes == {"name": ["Acme", "Acme Corp"]}
    with pytest.raises(PermissionDenied):
        services.tenant_update(actor=cast.bob, tenant=cast.acme, name="Bob's")


def test_a_tenant_that_owns_something_is_not_deleted(cast: Cast):
    make_api(cast.acme)
    with pytest.raises(ValidationError):
        services.tenant_delete(actor=cast.ada, tenant=cast.acme)
    assert Tenant.objects.filter(slug="acme").exists()
    empty = make_tenant("empty")
    services.tenant_delete(actor=cast.ada, tenant=empty)
    assert not Tenant.objects.filter(slug="empty").exists()
    assert last().verb == "tenant.delete"
    assert ["stored", "t:empty"] in last().affects, "whoever has the slug next gets nothing of what was stored for it"
    with pytest.raises(PermissionDenied):
        services.tenant_delete(actor=cast.charlie, tenant=cast.globex)


def test_the_slug_of_a_deleted_tenant_is_nobody_elses(cast: Cast):
    """Calls and audit entries are kept under it, and shown to the members of the tenant that has it."""
    services.tenant_delete(actor=cast.ada, tenant=make_tenant("gone"))
    with pytest.raises(ValidationError) as refused:
        services.tenant_create(actor=cast.ada, slug="gone", name="Somebody else", owner=cast.charlie)
    assert "slug" in refused.value.message_dict
    assert not any(entry.target == "gone" for entry in entries_visible_to(cast.charlie))
    assert services.tenant_create(actor=PLATFORM, slug="gone", name="Back again").slug == "gone", (
        "an operator's file may"
    )


def test_a_token_s_secret_is_shown_once_and_kept_as_a_digest(cast: Cast):
    token, secret = make_token(cast.bob)
    assert secret.startswith("amt_")
    assert token_find(secret) == token
    row = Token.objects.values().get(pk=token.pk)
    assert secret not in str(row)
    assert secret[8:] not in str(Entry.objects.order_by("-epoch").values()[0])
    assert Token.objects.get(pk=token.pk).last_used_at is not None
    assert token_find(secret + "x") is None


def test_a_token_is_made_by_its_owner_alone_and_ends(cast: Cast):
    in_an_hour = timezone.now() + timedelta(hours=1)
    with pytest.raises(PermissionDenied):
        services.token_create(actor=cast.ada, user=cast.bob, name="as bob", scope="read", expires_at=in_an_hour)
    token, secret = services.token_create(
        actor=cast.bob, user=cast.bob, name="short", scope="write", expires_at=in_an_hour
    )
    Token.objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert token_find(secret) is None
    with pytest.raises(PermissionDenied):
        services.token_revoke(actor=cast.charlie, token=token)
    services.token_revoke(actor=cast.ada, token=token)
    assert Token.objects.get(pk=token.pk).ended_at is not None
    assert last().verb == "token.revoke"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"expires_at": timedelta(seconds=-1)}, "expires_at"),
        ({"expires_at": timedelta(days=365, seconds=10)}, "expires_at"),
        ({"scope": "everything"}, "scope"),
        ({"scope": "admin"}, "scope"),
        ({"secret": "hunter2"}, "secret"),
        ({"tenant": "globex"}, "tenant"),
    ],
)
def test_a_token_that_would_go_too_far_is_refused_beside_the_field(cast: Cast, fields: dict, field: str):
    fields = dict(fields)
    life = fields.pop("expires_at", timedelta(days=1))
    tenant = Tenant.objects.get(slug=fields.pop("tenant")) if "tenant" in fields else None
    words: dict = {"scope": "write", **fields}
    with pytest.raises(ValidationError) as refused:
        services.token_create(
            actor=cast.bob, user=cast.bob, name="x", expires_at=timezone.now() + life, tenant=tenant, **words
        )
    assert list(refused.value.message_dict) == [field]
    assert not Token.objects.exists()


def test_an_administrator_s_scope_reaches_no_single_tenant(cast: Cast):
    with pytest.raises(ValidationError) as refused:
        make_token(cast.ada, TokenScope.ADMIN, cast.acme)
    assert list(refused.value.message_dict) == ["tenant"]


def test_a_value_that_was_a_token_once_is_never_one_again(cast: Cast):
    end = timezone.now() + timedelta(days=1)
    words: dict = {"user": cast.bob, "name": "x", "scope": "read", "expires_at": end, "secret": "s" * 40}
    services.token_revoke(actor=cast.bob, token=services.token_create(actor=cast.bob, **words).token)
    with pytest.raises(ValidationError) as refused:
        services.token_create(actor=cast.bob, **words)
    assert list(refused.value.message_dict) == ["digest"]
    assert token_find("s" * 40) is None


def test_the_operator_s_token_is_the_one_from_the_environment(cast: Cast):
    token, secret = services.token_create(
        actor=PLATFORM,
        user=cast.ada,
        name="first",
        scope="admin",
        expires_at=timezone.now() + timedelta(days=1),
        secret="from-the-environment",
    )
    assert secret == "from-the-environment"
    assert len(token.prefix) == 5, "a short one isn't given away by its beginning"
    found = token_find(secret)
    assert found is not None
    assert found.user == cast.ada


def test_the_cast_signs_in_with_its_password(cast: Cast, client):
    assert client.login(email="alice@acme.test", password=PASSWORD)
