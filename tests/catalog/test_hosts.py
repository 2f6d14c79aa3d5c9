"""Host names: whose they are, who may name them, and what an upgrade makes of those in use."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps as registry
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, connection, transaction

from apps.audit.models import Entry
from apps.catalog import hosts, services
from apps.catalog.checks import host_names_have_one_tenant
from apps.catalog.choices import HostMethod, HostState
from apps.catalog.models import API, HostName
from apps.catalog.policies import hosts_visible_to
from apps.catalog.validation import OF_A_HOST
from apps.fleet.compile import affected_by, all_parts, parts_of
from apps.foundation.errors import Conflict
from apps.tenants.actors import PLATFORM
from apps.tenants.services import tenant_create, tenant_delete
from apps.wire.snapshot import PROOF_PATH, HostOwner
from tests.catalog.test_apis import errors_of
from tests.support.cast import Cast, make_api

pytestmark = pytest.mark.django_db


def draft(actor: Any, tenant: Any, slug: str = "mine", **fields: Any) -> API:
    """An API of somebody's own, not yet published, with an upstream that no other tenant has."""
    upstreams: Any = [{"url": f"http://127.0.0.1:{1000 + tenant.pk}/"}]
    fields = {"name": "Mine", "listen_path": f"/{slug}/"} | fields
    return services.api_create(actor=actor, tenant=tenant, slug=slug, upstreams=upstreams, **fields)


def prove(tenant: Any, host: str = "shop.acme.test") -> HostName:
    claim = services.host_claim(actor=PLATFORM, tenant=tenant, host=host)
    return services.host_prove(actor=PLATFORM, host=claim, method=HostMethod.DNS)


def owner_of(host: str) -> str | None:
    row = HostName.objects.filter(host=host, state=HostState.PROVED).select_related("tenant").first()
    return row.tenant.slug if row else None


def test_an_api_that_names_an_unproved_host_is_not_published_and_the_refusal_says_what_to_do(cast: Cast):
    api = draft(cast.alice, cast.acme, hosts=["shop.acme.test"])
    told = str(errors_of(lambda: services.api_publish(actor=cast.alice, api=api))["hosts"])
    for part in (
        "TXT _apimgr.shop.acme.test",
        hosts.proof(cast.acme, "shop.acme.test"),
        "/.well-known/apimgr-host.txt",
    ):
        assert part in told
    prove(cast.acme)
    assert services.api_publish(actor=cast.alice, api=api).state == "published"


def test_a_served_api_takes_no_unproved_host_on(cast: Cast):
    api = make_api(cast.acme)
    assert "hosts" in errors_of(lambda: services.api_update(actor=cast.alice, api=api, hosts=["shop.acme.test"]))
    prove(cast.acme)
    assert services.api_update(actor=cast.alice, api=api, hosts=["shop.acme.test"]).hosts == ["shop.acme.test"]


def test_nobody_names_another_tenants_host_not_even_in_a_draft(cast: Cast):
    prove(cast.acme)
    told = errors_of(lambda: draft(cast.charlie, cast.globex, hosts=["SHOP.acme.test."]))
    assert told == {
        "hosts": ["shop.acme.test belongs to another tenant: only a platform administrator may put an API there."]
    }
    placed = draft(cast.ada, cast.globex, hosts=["shop.acme.test"])
    services.api_publish(actor=cast.ada, api=placed)
    assert owner_of("shop.acme.test") == "acme"


def test_what_an_administrator_placed_can_be_edited_where_it_is(cast: Cast):
    prove(cast.acme)
    placed = services.api_publish(actor=cast.ada, api=draft(cast.ada, cast.globex, hosts=["shop.acme.test"]))
    assert services.api_update(actor=cast.charlie, api=placed, name="Better").name == "Better"
    told = errors_of(lambda: services.api_update(actor=cast.charlie, api=placed, listen_path="/login/"))
    assert "belongs to another tenant" in str(told)


def test_what_an_administrator_or_an_operator_publishes_is_granted_by_that(cast: Cast):
    make_api(cast.acme, hosts=["shop.acme.test", "127.0.0.1", "localhost"])
    assert owner_of("shop.acme.test") == "acme"
    assert HostName.objects.count() == 1
    entry = Entry.objects.latest("epoch")
    assert ["host", "shop.acme.test"] in entry.affects
    assert entry.changes["host shop.acme.test"] == [None, "acme (administrator)"]


def test_what_is_served_where_it_may_not_be_placed_any_more_goes_through_its_life(cast: Cast):
    prove(cast.acme)
    placed = services.api_publish(actor=cast.ada, api=draft(cast.ada, cast.globex, hosts=["shop.acme.test"]))
    owner = cast.charlie
    assert services.api_deprecate(actor=owner, api=placed).state == "deprecated"
    assert services.api_publish(actor=owner, api=placed).state == "published"
    services.api_unpublish(actor=owner, api=placed)
    assert "hosts" in errors_of(lambda: services.api_publish(actor=owner, api=placed))


def test_a_draft_grants_nothing(cast: Cast):
    make_api(cast.acme, publish=False, hosts=["shop.acme.test"])
    assert owner_of("shop.acme.test") is None


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "10.1", "localhost", "a.localhost", "gateway", "api.shared.test"]
)
def test_a_name_that_leads_to_everybody_is_an_administrators(cast: Cast, settings: Any, host: str):
    settings.GATEWAY_URL = "https://api.shared.test"
    api = draft(cast.alice, cast.acme, hosts=[host])
    assert "only a platform administrator" in str(errors_of(lambda: services.api_publish(actor=cast.alice, api=api)))
    refused = errors_of(lambda: services.host_claim(actor=cast.alice, tenant=cast.acme, host=host))
    assert "can't be proved" in str(refused["host"])
    assert services.host_grant(actor=cast.ada, tenant=cast.acme, host=host).state == HostState.PROVED


@pytest.mark.parametrize("first", sorted(OF_A_HOST))
def test_paths_that_speak_for_a_whole_host_need_a_host_or_an_administrator(cast: Cast, first: str):
    api = draft(cast.alice, cast.acme, listen_path=f"/{first.upper()}/x/")
    told = errors_of(lambda: services.api_publish(actor=cast.alice, api=api))
    assert f"/{first} says something of a whole host" in str(told["listen_path"])
    assert services.api_publish(actor=cast.ada, api=api).state == "published"


def test_the_root_of_all_hosts_is_an_administrators_and_of_an_own_host_ones_own(cast: Cast):
    shared = draft(cast.alice, cast.acme, "shared", listen_path="/")
    assert "/robots.txt" in str(errors_of(lambda: services.api_publish(actor=cast.alice, api=shared))["listen_path"])
    prove(cast.acme)
    own = draft(cast.alice, cast.acme, "own", listen_path="/", hosts=["shop.acme.test"])
    assert services.api_publish(actor=cast.alice, api=own).state == "published"
    assert services.api_publish(actor=cast.ada, api=shared).state == "published"
    assert services.api_update(actor=cast.alice, api=shared, name="Renamed").name == "Renamed"


def test_on_ones_own_host_other_tenants_apis_are_no_neighbours(cast: Cast):
    make_api(cast.platform, "shop")
    prove(cast.acme)
    for slug, path in (("root", "/"), ("inner", "/shop/admin/"), ("same", "/shop/")):
        services.api_publish(
            actor=cast.alice, api=draft(cast.alice, cast.acme, slug, listen_path=path, hosts=["shop.acme.test"])
        )
    elsewhere = errors_of(lambda: draft(cast.charlie, cast.globex, "x", listen_path="/shop/x/"))
    assert "Another tenant's API listens on" in str(elsewhere["listen_path"])
    make_api(cast.acme, "deep", listen_path="/deep/", hosts=["shop.acme.test"])
    assert draft(cast.charlie, cast.globex, "y", listen_path="/deep/y/").slug == "y"


def test_claims_are_made_once_by_owners_and_developers(cast: Cast):
    first = services.host_claim(actor=cast.alice, tenant=cast.acme, host=" Shop.Acme.Test. ")
    assert (first.host, first.state) == ("shop.acme.test", HostState.PENDING)
    assert services.host_claim(actor=cast.bob, tenant=cast.acme, host="shop.acme.test") == first
    for actor in (cast.vera, cast.charlie):
        with pytest.raises(PermissionDenied):
            services.host_claim(actor=actor, tenant=cast.acme, host="x.acme.test")
    with pytest.raises(PermissionDenied):
        services.host_prove(actor=cast.alice, host=first, method=HostMethod.DNS)
    with pytest.raises(PermissionDenied):
        services.host_grant(actor=cast.alice, tenant=cast.acme, host="x.acme.test")
    with pytest.raises(PermissionDenied):
        services.host_remove(actor=cast.charlie, host=first)
    with pytest.raises(PermissionDenied):
        services.host_recheck(actor=cast.vera, host=first)


@pytest.mark.parametrize(
    "host",
    [
        "http://a.test",
        "a.test:80",
        "a/b.test",
        "",
        "*.test",
        "*",
        "a*.acme.test",
        "*.*.acme.test",
        "a.*.test",
        "*acme.test",
        "*.0.0.1",
        "*.[::1.2]",
        "ü" * 64 + ".test",
    ],
)
def test_what_is_no_host_name_is_refused(cast: Cast, host: str):
    assert "host" in errors_of(lambda: services.host_claim(actor=cast.alice, tenant=cast.acme, host=host))


def test_the_number_of_unproved_claims_is_bounded(cast: Cast, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("apps.catalog.services.hosts.MOST_PENDING", 2)
    for number in range(2):
        services.host_claim(actor=cast.alice, tenant=cast.acme, host=f"{number}.acme.test")
    told = errors_of(lambda: services.host_claim(actor=cast.alice, tenant=cast.acme, host="3.acme.test"))
    assert "prove or remove some first" in str(told)


def test_two_tenants_may_claim_a_name_and_the_first_that_proves_it_has_it(cast: Cast):
    theirs = services.host_claim(actor=cast.charlie, tenant=cast.globex, host="shop.acme.test")
    ours = prove(cast.acme)
    with pytest.raises(Conflict):
        services.host_prove(actor=PLATFORM, host=theirs, method=HostMethod.FILE)
    with pytest.raises(Conflict):
        services.host_prove(actor=PLATFORM, host=ours, method=HostMethod.FILE)
    refused = errors_of(lambda: services.host_claim(actor=cast.ada, tenant=cast.platform, host="shop.acme.test"))
    assert "belongs to another tenant" in str(refused["host"])
    with pytest.raises(IntegrityError), transaction.atomic():
        HostName.objects.filter(pk=theirs.pk).update(state=HostState.PROVED)


def test_tenants_prove_by_texts_of_their_own(cast: Cast):
    assert hosts.proof(cast.acme, "a.test") == hosts.proof(cast.acme, "a.test")
    assert len({hosts.proof(tenant, host) for tenant in (cast.acme, cast.globex) for host in ("a.test", "b.test")}) == 4


def test_an_administrator_takes_an_unused_name_to_another_tenant(cast: Cast):
    prove(cast.acme)
    api = make_api(cast.acme, hosts=["shop.acme.test"])
    with pytest.raises(ValidationError, match="is named by products of Acme"):
        services.host_grant(actor=cast.ada, tenant=cast.globex, host="shop.acme.test")
    services.api_update(actor=cast.alice, api=api, hosts=[])
    services.host_grant(actor=cast.ada, tenant=cast.globex, host="shop.acme.test", comment="They bought it")
    assert owner_of("shop.acme.test") == "globex"
    entry = Entry.objects.latest("epoch")
    assert (entry.verb, entry.tenant_slug, entry.comment) == ("host.grant", "globex", "They bought it")
    assert list(entry.changes) == ["host shop.acme.test"], "who had it is nothing for the tenant's audit log"
    lost = Entry.objects.get(epoch=entry.epoch - 1)
    assert (lost.verb, lost.tenant_slug, lost.target) == ("host.remove", "acme", "shop.acme.test")
    assert (lost.changes, lost.comment) == ({"state": ["proved", None]}, "")
    services.host_grant(actor=cast.ada, tenant=cast.globex, host="shop.acme.test")
    assert Entry.objects.latest("epoch") == entry


def test_a_name_is_given_up_when_no_served_api_names_it(cast: Cast):
    name = prove(cast.acme)
    api = make_api(cast.acme, hosts=["shop.acme.test"])
    with pytest.raises(ValidationError, match="take it from there first"):
        services.host_remove(actor=cast.alice, host=name)
    services.api_retire(actor=cast.alice, api=api)
    services.host_remove(actor=cast.alice, host=name)
    assert owner_of("shop.acme.test") is None
    entry = Entry.objects.latest("epoch")
    assert (entry.verb, entry.affects) == ("host.remove", [["host", "shop.acme.test"]])
    services.host_remove(actor=cast.alice, host=name)
    assert Entry.objects.latest("epoch") == entry


def test_gateways_are_told_of_proved_names_alone(cast: Cast):
    services.host_claim(actor=cast.alice, tenant=cast.acme, host="pending.acme.test")
    prove(cast.acme)
    part = {"host:shop.acme.test": HostOwner("shop.acme.test", "acme")}
    everything = {name: each for parts in all_parts() for name, each in parts.items() if name.startswith("host:")}
    assert everything == part
    affected = affected_by([("host", "shop.acme.test"), ("host", "pending.acme.test")])
    assert not affected.nothing
    assert parts_of(affected) == {**part, "host:pending.acme.test": None}


def test_a_deleted_tenants_names_are_free_again(cast: Cast):
    tenant = tenant_create(actor=PLATFORM, slug="gone", name="Gone")
    prove(tenant, "gone.test")
    tenant_delete(actor=cast.ada, tenant=tenant)
    assert ["host", "gone.test"] in Entry.objects.latest("epoch").affects
    assert not HostName.objects.exists()


def test_each_sees_the_names_of_the_own_tenants(cast: Cast):
    prove(cast.acme)
    services.host_claim(actor=cast.charlie, tenant=cast.globex, host="globex.test")
    seen = {user.email: [name.host for name in hosts_visible_to(user)] for user in (cast.vera, cast.charlie, cast.ada)}
    assert list(seen.values()) == [["shop.acme.test"], ["globex.test"], ["globex.test", "shop.acme.test"]]


# Wildcards


def publish(actor: Any, tenant: Any, slug: str, *named: str, **fields: Any) -> API:
    return services.api_publish(actor=actor, api=draft(actor, tenant, slug, hosts=list(named), **fields))


def test_a_wildcard_is_kept_in_the_form_of_a_host(cast: Cast):
    claim = services.host_claim(actor=cast.alice, tenant=cast.acme, host=" *.Bücher.Test. ")
    assert claim.host == "*.xn--bcher-kva.test"
    assert draft(cast.alice, cast.acme, hosts=["*.BÜCHER.test", "*.bücher.test."]).hosts == [claim.host]


def test_an_api_that_names_an_unproved_wildcard_is_not_published(cast: Cast):
    api = draft(cast.alice, cast.acme, hosts=["*.acme.test"])
    prove(cast.acme, "acme.test")
    told = str(errors_of(lambda: services.api_publish(actor=cast.alice, api=api))["hosts"])
    assert "TXT _apimgr.acme.test" in told
    assert hosts.proof(cast.acme, "*.acme.test") in told
    assert PROOF_PATH not in told
    prove(cast.acme, "*.acme.test")
    assert services.api_publish(actor=cast.alice, api=api).state == "published"
    assert errors_of(lambda: draft(cast.alice, cast.acme, "two", listen_path="/mine", hosts=["*.acme.test"]))
    assert draft(cast.alice, cast.acme, "three", listen_path="/mine", hosts=["shop.acme.test"]).slug == "three"


def test_a_name_below_the_own_wildcard_needs_no_proof_and_is_the_tenants_as_soon_as_it_is_served(cast: Cast):
    wildcard = prove(cast.acme, "*.acme.test")
    api = draft(cast.alice, cast.acme, hosts=["shop.acme.test"])
    assert owner_of("shop.acme.test") is None
    services.api_publish(actor=cast.alice, api=api)
    assert owner_of("shop.acme.test") == "acme"
    assert ["host", "shop.acme.test"] in Entry.objects.latest("epoch").affects
    services.host_remove(actor=cast.alice, host=wildcard)
    assert owner_of("shop.acme.test") == "acme", "no served API stands on a host that others may take"


@pytest.mark.parametrize("name", ["acme.test", "a.shop.acme.test"])
def test_a_wildcard_proves_neither_its_domain_nor_two_labels(cast: Cast, name: str):
    prove(cast.acme, "*.acme.test")
    assert "isn't proved" in str(errors_of(lambda: publish(cast.alice, cast.acme, "mine", name)))


def test_nobody_names_a_host_below_another_tenants_wildcard_until_it_is_proved(cast: Cast):
    prove(cast.acme, "*.acme.test")
    for named in ("shop.acme.test", "*.acme.test"):
        told = errors_of(lambda named=named: draft(cast.charlie, cast.globex, hosts=[named]))
        assert "belongs to another tenant" in str(told["hosts"])
    prove(cast.globex, "shop.acme.test")
    assert publish(cast.charlie, cast.globex, "shop", "shop.acme.test").state == "published"


@pytest.mark.parametrize("wildcard_first", [True, False])
def test_a_proved_name_and_another_tenants_wildcard_stand_beside_each_other_in_either_order(
    cast: Cast, wildcard_first: bool
):
    claims = [(cast.acme, "*.acme.test"), (cast.globex, "shop.acme.test")]
    for tenant, host in claims if wildcard_first else reversed(claims):
        prove(tenant, host)
    orders = [(cast.alice, cast.acme, "all", "*.acme.test"), (cast.charlie, cast.globex, "one", "shop.acme.test")]
    for order in orders if wildcard_first else reversed(orders):
        assert publish(*order, listen_path="/same/").state == "published"
    assert (owner_of("*.acme.test"), owner_of("shop.acme.test")) == ("acme", "globex")
    told = errors_of(lambda: draft(cast.alice, cast.acme, hosts=["shop.acme.test"]))
    assert "belongs to another tenant" in str(told["hosts"])


@pytest.mark.parametrize("wildcard_first", [True, False])
def test_what_an_administrator_publishes_is_granted_below_a_wildcard_too_in_either_order(
    cast: Cast, wildcard_first: bool
):
    orders = [(cast.acme, "all", "*.acme.test"), (cast.globex, "one", "shop.acme.test")]
    for order in orders if wildcard_first else reversed(orders):
        publish(cast.ada, *order)
    assert (owner_of("*.acme.test"), owner_of("shop.acme.test")) == ("acme", "globex")


def test_not_even_an_administrator_has_an_api_name_another_tenants_wildcard(cast: Cast):
    prove(cast.acme, "*.acme.test")
    told = errors_of(lambda: draft(cast.ada, cast.globex, hosts=["*.acme.test"]))
    assert told == {"hosts": ["*.acme.test belongs to another tenant, at whose hosts no other's wildcard answers."]}


def test_a_wildcard_that_a_served_api_names_is_not_given_up(cast: Cast):
    wildcard = prove(cast.acme, "*.acme.test")
    publish(cast.alice, cast.acme, "mine", "*.acme.test")
    with pytest.raises(ValidationError, match="take it from there first"):
        services.host_remove(actor=cast.alice, host=wildcard)
    with pytest.raises(ValidationError, match="take it from there first"):
        services.host_grant(actor=cast.ada, tenant=cast.globex, host="*.acme.test")


@pytest.mark.parametrize("own", [["api.shared.test"], [".shared.test"]])
def test_a_wildcard_over_the_installations_own_names_becomes_nobodys(cast: Cast, settings: Any, own: list[str]):
    settings.ALLOWED_HOSTS = own
    for attempt in (
        lambda: services.host_claim(actor=cast.alice, tenant=cast.acme, host="*.shared.test"),
        lambda: services.host_grant(actor=cast.ada, tenant=cast.acme, host="*.shared.test"),
    ):
        assert f"reaches {own[0]}" in str(errors_of(attempt)["host"])
    api = draft(cast.alice, cast.acme, hosts=["*.shared.test"])
    assert "only a platform administrator" in str(errors_of(lambda: services.api_publish(actor=cast.alice, api=api)))
    assert services.api_publish(actor=cast.ada, api=api).state == "published"
    assert not HostName.objects.exists()
    assert services.host_claim(actor=cast.alice, tenant=cast.acme, host="*.acme.shared.test").state == "pending"


def test_the_check_names_a_wildcard_that_reaches_a_name_which_the_installation_took_later(cast: Cast, settings: Any):
    prove(cast.acme, "*.acme.test")
    assert host_names_have_one_tenant(None) == []
    settings.CONSOLE_URL = "https://console.acme.test"
    (told,) = host_names_have_one_tenant(None)
    assert told.id == "catalog.W007"
    assert "*.acme.test belongs to the tenant acme and reaches console.acme.test" in told.msg


def test_on_an_own_wildcard_other_tenants_apis_are_no_neighbours(cast: Cast):
    make_api(cast.platform, "shop")
    prove(cast.acme, "*.acme.test")
    for slug, path in (("root", "/"), ("inner", "/shop/admin/"), ("same", "/shop/")):
        assert publish(cast.alice, cast.acme, slug, "*.acme.test", listen_path=path).state == "published"
    assert draft(cast.alice, cast.acme, "one", listen_path="/shop/one/", hosts=["www.acme.test"]).slug == "one"


def upgrade() -> None:
    migration = import_module("apps.catalog.migrations.0004_host_names")
    migration.hosts_in_use(registry, SimpleNamespace(connection=connection))


def test_hosts_in_use_at_the_upgrade_belong_to_the_tenant_that_named_them_first(cast: Cast):
    make_api(cast.acme, "first", hosts=["shop.acme.test", "127.0.0.1"])
    make_api(cast.globex, "second", hosts=["shop.acme.test", "globex.test"])
    make_api(cast.globex, "third", publish=False, hosts=["draft.test"])
    HostName.objects.all().delete()
    upgrade()
    assert list(HostName.objects.values_list("host", "tenant__slug", "state", "method")) == [
        ("globex.test", "globex", "proved", "in_use"),
        ("shop.acme.test", "acme", "proved", "in_use"),
    ]
    entry = Entry.objects.latest("epoch")
    assert entry.affects == [], "publishers of the version before know no hosts, and would publish nothing after it"
    assert entry.changes["shop.acme.test"] == [None, "acme"]


def test_an_upgrade_without_hosts_changes_nothing(cast: Cast):
    make_api(cast.acme)
    before = Entry.objects.count()
    upgrade()
    assert (HostName.objects.count(), Entry.objects.count()) == (0, before)


def test_the_check_lists_what_an_upgrade_leaves_to_decide(cast: Cast):
    assert host_names_have_one_tenant(None) == []
    make_api(cast.acme, "first", hosts=["shop.acme.test"])
    make_api(cast.globex, "second", hosts=["shop.acme.test"])
    for number in range(22):
        make_api(cast.globex, f"anywhere-{number:02}")
    HostName.objects.all().delete()
    upgrade()
    shared, unanswered = host_names_have_one_tenant(None)
    assert (shared.id, unanswered.id) == ("catalog.W003", "catalog.W004")
    assert "belongs to the tenant acme, and APIs of others name it: second." in shared.msg
    assert "anywhere-00, anywhere-01" in unanswered.msg
    assert "and 2 more" in unanswered.msg
    services.host_grant(actor=cast.ada, tenant=cast.acme, host="shop.acme.test")
    assert [each.id for each in host_names_have_one_tenant(None)] == ["catalog.W003"]
