"""Where the upstreams of a tenant's APIs may be, when they are saved."""

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection

from apps.audit.models import Entry
from apps.catalog import egress
from apps.catalog.checks import upstreams_are_where_calls_may_lead
from apps.catalog.services import api_create, api_create_from_openapi, api_rollback, api_update, upstream_add
from apps.fleet.compile import affected_by, all_parts, parts_of
from apps.supervisor.welcome_message import welcome
from apps.tenants.actors import PLATFORM
from apps.tenants.egress import egress_announce, egress_update, guard_of, tenant_egress_update
from apps.wire.snapshot import Egress
from tests.support.cast import Cast, make_api

PRIVATE = "http://10.0.0.5:8080/"


@pytest.fixture(autouse=True)
def closed(settings):
    """An installation that was told nothing."""
    settings.EGRESS_ALLOW = []
    settings.OWN_PLACES = (("localhost", 8000), ("state", 6379))


@pytest.fixture
def resolved(monkeypatch):
    """What names resolve to."""
    known: dict[str, list[str]] = {}
    monkeypatch.setattr(egress, "addresses_of", lambda host: known.get(host, []))
    return known


def create(actor, tenant, *urls, slug="billing"):
    upstreams = [{"url": url} for url in urls]
    return api_create(actor=actor, tenant=tenant, slug=slug, name=slug, listen_path=f"/{slug}/", upstreams=upstreams)


@pytest.mark.parametrize(
    "url",
    [
        PRIVATE,
        "http://localhost:9000/",
        "http://LOCALHOST.:9000/",
        "http://127.1/",
        "http://0x0a000005/",
        "http://[::1]/",
        "http://[fd12::1]/",
        "http://[::ffff:10.0.0.5]/",
        "http://[64:ff9b::a00:5]/",
        "http://100.64.0.1/",
        "http://192.0.2.1/",
    ],
)
def test_an_address_that_is_not_public_needs_a_rule_also_for_administrators(cast: Cast, url):
    for actor in (cast.alice, PLATFORM):
        with pytest.raises(ValidationError) as refused:
            create(actor, cast.acme, "https://api.example.com/", url)
        assert list(refused.value.message_dict) == ["upstreams.1.url"]
        assert "administrator" in refused.value.message_dict["upstreams.1.url"][0]
    egress_update(actor=PLATFORM, allow=["0.0.0.0/0", "::/0"])
    assert create(cast.alice, cast.acme, url).upstreams.count() == 1


def test_public_addresses_and_names_need_none(cast: Cast, resolved):
    create(cast.alice, cast.acme, "https://api.example.com/", "http://93.184.215.14/", "http://billing:8080/")


def test_the_platform_s_own_places_need_more_than_a_rule(cast: Cast):
    egress_update(actor=PLATFORM, allow=["0.0.0.0/0", "::/0", "state"])
    for url in ("http://127.0.0.1:8000/", "http://localhost:8000/", "http://[::1]:8000/", "http://state:6379/"):
        with pytest.raises(ValidationError, match="platform itself"):
            create(PLATFORM, cast.acme, url)
    create(PLATFORM, cast.acme, "http://127.0.0.1:8001/", "http://state:8000/")


def test_a_rule_of_one_tenant_is_not_another_s(cast: Cast):
    tenant_egress_update(actor=cast.ada, tenant=cast.acme, allow=["10.0.0.0/8:8080", "*.corp.test"])
    create(cast.alice, cast.acme, PRIVATE)
    with pytest.raises(ValidationError, match="no egress rule allows it"):
        create(PLATFORM, cast.globex, PRIVATE, slug="other")


def test_what_was_saved_before_may_stay_and_comes_back_by_rollback_only_where_it_is_allowed(cast: Cast):
    egress_update(actor=PLATFORM, allow=["10.0.0.0/8"])
    api = create(cast.alice, cast.acme, PRIVATE)
    egress_update(actor=PLATFORM, allow=[])
    api_update(actor=cast.alice, api=api, summary="Changed")
    api_update(actor=cast.alice, api=api, upstreams=[{"url": f"{PRIVATE}v2/"}, {"url": "https://api.example.com/"}])
    with pytest.raises(ValidationError):
        upstream_add(actor=cast.alice, api=api, url="http://10.0.0.6:8080/")
    api_update(actor=cast.alice, api=api, upstreams=[{"url": "https://api.example.com/"}])
    with pytest.raises(ValidationError):
        api_rollback(actor=cast.alice, api=api, number=1)


def test_one_tenant_s_private_upstream_is_not_another_s(cast: Cast, resolved):
    egress_update(actor=PLATFORM, allow=["10.0.0.0/8", "127.0.0.0/8", "::1", "*.example.com"])
    resolved |= {"db.example.org": ["10.0.0.7"], "api.example.org": ["93.184.215.14"]}
    theirs = [
        *(PRIVATE, "http://localhost:9000/", "http://billing:8080/", "http://x.internal/", "http://a.example.com/"),
        *("http://db.example.org/", "http://unknown.example.org/", "http://api.example.org/"),
    ]
    create(PLATFORM, cast.acme, *theirs)
    same = [
        "http://0x0a000005:8080/other/",
        "https://[::ffff:10.0.0.5]:8080/",
        "http://127.0.0.9:9000/",
        "http://[::1]:9000/",
        "http://api.localhost:9000/",
        "http://BILLING.:8080/",
        "http://X.internal:80/",
        "http://a.example.com/",
        "http://db.example.org/",
        "http://unknown.example.org/",
    ]
    for url in same:
        with pytest.raises(ValidationError) as refused:
            create(cast.charlie, cast.globex, url, slug="other")
        (sentence,) = refused.value.message_dict["upstreams.0.url"]
        assert "only a platform administrator" in sentence
        assert "acme" not in sentence.lower()
    for number, url in enumerate(["http://10.0.0.5:8081/", "http://api.example.org/", "http://localhost:9001/"]):
        create(cast.charlie, cast.globex, url, slug=f"fine-{number}")
    create(cast.alice, cast.acme, PRIVATE, slug="own")
    create(cast.ada, cast.globex, *same[:1], slug="administrator")
    create(PLATFORM, cast.globex, *same[:1], slug="operator")


def test_names_are_looked_up_before_the_transaction_and_only_those_that_others_have(cast: Cast, monkeypatch):
    egress_update(actor=PLATFORM, allow=["10.0.0.0/8"])
    create(PLATFORM, cast.acme, "http://db.example.org/", "http://far.example.org/")
    asked: list[tuple[list[str], int]] = []
    outer = len(connection.savepoint_ids)

    def resolve(hosts, patience=0.0):
        asked.append((sorted(hosts), len(connection.savepoint_ids)))
        return {}

    monkeypatch.setattr(egress, "resolve", resolve)
    api = create(cast.charlie, cast.globex, "http://db.example.org/", "http://mine.example.org/", slug="other")
    assert asked == [(["db.example.org"], outer)]
    more = [{"url": f"http://{host}.example.org/"} for host in ("db", "mine", "far")]
    api_update(actor=cast.charlie, api=api, upstreams=more)
    assert asked[1:] == [(["far.example.org"], outer)]
    api_create_from_openapi(
        actor=cast.charlie,
        tenant=cast.globex,
        content=b'{"openapi": "3.1.0", "info": {"title": "Far", "version": "1"}, "paths": {}}',
        upstream_url="http://far.example.org/",
    )
    assert asked[2:] == [(["far.example.org"], outer)]


def test_only_administrators_say_where_calls_may_lead(cast: Cast):
    for actor in (cast.alice, cast.olga):
        with pytest.raises(PermissionDenied):
            egress_update(actor=actor, allow=[])
        with pytest.raises(PermissionDenied):
            tenant_egress_update(actor=actor, tenant=cast.acme, allow=["10.0.0.0/8"])
    with pytest.raises(ValidationError):
        egress_update(actor=cast.ada, allow=["169.254.0.0/16"])
    with pytest.raises(ValidationError):
        tenant_egress_update(actor=cast.ada, tenant=cast.acme, allow=["nonsense/"])


def test_a_change_of_rules_is_audited_and_reaches_gateways(cast: Cast):
    egress_update(actor=cast.ada, allow=[" 10.0.0.0/8 ", "10.0.0.0/8"])
    entry = Entry.objects.latest("pk")
    assert (entry.verb, entry.changes) == ("egress.update", {"allow": [[], ["10.0.0.0/8"]]})
    assert parts_of(affected_by(entry.affects)) == {
        "egress:": Egress("", ("10.0.0.0/8",), (("localhost", 8000), ("state", 6379)))
    }
    tenant_egress_update(actor=cast.ada, tenant=cast.acme, allow=["10.1.0.0/16"])
    entry = Entry.objects.latest("pk")
    assert (entry.tenant_slug, entry.affects) == ("acme", [["egress", "acme"]])
    assert parts_of(affected_by(entry.affects)) == {"egress:acme": Egress("acme", ("10.1.0.0/16",))}
    assert {name for page in all_parts() for name in page} >= {"egress:", "egress:acme"}
    before = Entry.objects.count()
    tenant_egress_update(actor=cast.ada, tenant=cast.acme, allow=["10.1.0.0/16"])
    assert Entry.objects.count() == before
    tenant_egress_update(actor=cast.ada, tenant=cast.acme, allow=[])
    assert parts_of(affected_by([["egress", "acme"], ["egress", "gone"]])) == {"egress:acme": None, "egress:gone": None}


def test_a_changed_environment_is_announced_once(cast: Cast, settings):
    assert egress_announce()
    assert not egress_announce()
    settings.EGRESS_ALLOW = ["10.0.0.0/8"]
    assert egress_announce()
    assert Entry.objects.latest("pk").affects == [["egress", ""]]
    assert guard_of(cast.acme).refusal_of_text("10.0.0.5", 80) is None


def test_upstreams_that_rules_refuse_are_found_by_text_and_by_what_names_resolve_to(cast: Cast, resolved):
    egress_update(actor=PLATFORM, allow=["10.0.0.0/8", "127.0.0.1"])
    resolved |= {"db.corp.test": ["10.0.0.7"], "api.example.org": ["93.184.215.14"], "state": ["10.0.0.8"]}
    make_api(cast.acme, "one", upstream=PRIVATE)
    make_api(cast.globex, "two", upstream="http://db.corp.test:8080/")
    make_api(cast.globex, "three", upstream="http://api.example.org/")
    make_api(cast.globex, "four", upstream="http://10.0.0.8:6379/")
    make_api(cast.globex, "draft", upstream="http://10.0.0.9/", publish=False)
    assert [each.api for each in egress.all_refused_upstreams(1.0)] == ["four"]
    egress_update(actor=PLATFORM, allow=[])
    found = {each.api: each for each in egress.all_refused_upstreams(1.0)}
    assert set(found) == {"one", "two", "four"}
    assert (found["one"].hint, found["two"].hint) == ("10.0.0.5:8080", "db.corp.test:8080")
    api = cast.acme.apis.get()
    (refused,) = egress.refused_upstreams(api, api.upstreams.all())
    assert (refused.url, refused.tenant) == (PRIVATE, "acme")


def test_the_deployment_check_names_refused_upstreams_and_the_setting_that_allows_them(cast: Cast, settings, resolved):
    resolved |= {"db.corp.test": ["10.0.0.7"]}
    settings.EGRESS_ALLOW = ["10.0.0.0/8"]
    make_api(cast.acme, "one", upstream=PRIVATE)
    make_api(cast.globex, "two", upstream="http://db.corp.test:8080/")
    assert upstreams_are_where_calls_may_lead(None) == []
    settings.EGRESS_ALLOW = []
    (warning,) = upstreams_are_where_calls_may_lead(None)
    assert warning.id == "catalog.W005"
    assert f"{PRIVATE} (one of acme), http://db.corp.test:8080/ (two of globex)" in warning.msg
    assert "EGRESS_ALLOW=10.0.0.5:8080,db.corp.test:8080" in warning.hint
    settings.EGRESS_ALLOW = ["10.0.0.5:8080", "db.corp.test:8080"]
    assert upstreams_are_where_calls_may_lead(None) == []
    settings.OWN_PLACES = (("db.corp.test", 8080),)
    (warning,) = upstreams_are_where_calls_may_lead(None)
    assert "platform itself" not in warning.hint
    assert "EGRESS_ALLOW=" not in warning.hint


@pytest.mark.parametrize(
    ("allow", "is_open"), [([], False), (["10.0.0.0/8"], False), (["::1"], True), (["localhost:9000"], True)]
)
def test_the_deployment_check_says_that_loopback_is_open_to_every_tenant(cast: Cast, settings, allow, is_open):
    settings.EGRESS_ALLOW = allow
    assert ["catalog.W006"] * is_open == [each.id for each in upstreams_are_where_calls_may_lead(None)]
    assert ("EGRESS_ALLOW" in welcome(None, None)) == is_open
