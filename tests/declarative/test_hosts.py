"""Host names of tenants in the declarative file."""

import pytest
import yaml

from apps.catalog.choices import HostMethod, HostState
from apps.catalog.models import API, HostName
from apps.catalog.services import host_claim, host_prove
from apps.declarative.applying import apply
from apps.declarative.exporting import as_yaml, export
from apps.declarative.reader import FileError, read_text
from apps.tenants.actors import PLATFORM
from apps.tenants.models import Tenant

pytestmark = pytest.mark.django_db


def applied(text: str, **options: bool) -> list[str]:
    return apply(read_text(text.encode()), **options)


def owned() -> dict[str, str]:
    proved = HostName.objects.filter(state=HostState.PROVED)
    return dict(proved.values_list("host", "tenant__slug"))


SHOP = """
version: 1
tenants:
  - {slug: acme, hosts: [Shop.Acme.Test, 10.0.0.1]}
  - {slug: globex}
apis:
  - {slug: pay, tenant: globex, listen_path: /, hosts: [pay.globex.test, 127.0.0.1],
     upstreams: [{url: "http://127.0.0.1:9/"}]}
"""


def test_one_apply_grants_what_the_file_names_and_a_second_changes_nothing(state_redis):
    lines = applied(SHOP)
    assert "+ host shop.acme.test of acme" in lines
    assert owned() == {"shop.acme.test": "acme", "10.0.0.1": "acme", "pay.globex.test": "globex"}
    assert API.objects.get().state == "published"
    assert applied(SHOP) == []
    assert applied(as_yaml(export())) == []


def test_an_export_has_the_proved_names_alone(state_redis):
    applied(SHOP)
    acme = Tenant.objects.get(slug="acme")
    host_claim(actor=PLATFORM, tenant=acme, host="pending.test")
    written = {tenant["slug"]: tenant.get("hosts") for tenant in yaml.safe_load(as_yaml(export()))["tenants"]}
    assert written == {"acme": ["10.0.0.1", "shop.acme.test"], "globex": ["pay.globex.test"]}


def test_a_dry_run_grants_nothing():
    assert "+ host shop.acme.test of acme" in applied(SHOP, dry_run=True)
    assert owned() == {}


@pytest.mark.parametrize(
    ("hosts", "told"),
    [
        ("[shop.test, 'http://x.test']", "hosts.1"),
        ("[shop.test, SHOP.test]", "stands in the file twice"),
        ("shop.test", "Expected a list"),
    ],
)
def test_a_bad_host_changes_nothing_and_names_its_line(hosts: str, told: str):
    with pytest.raises(FileError, match=told):
        applied(f"version: 1\ntenants:\n  - slug: acme\n    hosts: {hosts}\n")
    assert not Tenant.objects.exists()


def test_a_host_that_another_tenant_uses_is_refused_with_the_apis_that_name_it(state_redis):
    applied(SHOP)
    with pytest.raises(FileError, match=r"pay.globex.test is named by pay of globex: take it from there first"):
        applied("version: 1\ntenants: [{slug: acme, hosts: [pay.globex.test]}]")


def test_what_a_tenant_proved_itself_stays_as_it_is(state_redis):
    applied("version: 1\ntenants: [{slug: acme}]")
    claim = host_claim(actor=PLATFORM, tenant=Tenant.objects.get(), host="own.test")
    host_prove(actor=PLATFORM, host=claim, method=HostMethod.DNS)
    assert applied("version: 1\ntenants: [{slug: acme, hosts: [own.test]}]") == []
    assert HostName.objects.get().method == HostMethod.DNS
    HostName.objects.update(method=HostMethod.IN_USE)
    (line,) = applied("version: 1\ntenants: [{slug: acme, hosts: [own.test]}]")
    assert line == "~ host own.test of acme: method in_use → administrator"


def test_pruning_takes_what_a_list_lacks_and_no_api_needs(state_redis):
    applied(SHOP)
    assert applied(SHOP.replace(", hosts: [Shop.Acme.Test, 10.0.0.1]", ""), prune=True) == []
    lines = applied(
        SHOP.replace("[Shop.Acme.Test, 10.0.0.1]", "[]").replace("{slug: globex}", "{slug: globex, hosts: []}"),
        prune=True,
    )
    assert lines == ["- host 10.0.0.1 of acme", "- host shop.acme.test of acme"]
    assert owned() == {"pay.globex.test": "globex"}


def test_wildcards_are_granted_and_exported_as_they_stand_in_the_file(state_redis):
    text = SHOP.replace("10.0.0.1", "'*.Acme.test'").replace(", 127.0.0.1]", ", '*.Globex.test']")
    assert "+ host *.acme.test of acme" in applied(text)
    assert owned() == {
        "*.acme.test": "acme",
        "shop.acme.test": "acme",
        "*.globex.test": "globex",
        "pay.globex.test": "globex",
    }
    assert API.objects.get().hosts == ["pay.globex.test", "*.globex.test"]
    exported = as_yaml(export())
    assert yaml.safe_load(exported)["apis"][0]["hosts"] == ["pay.globex.test", "*.globex.test"]
    assert applied(text, prune=True) == applied(exported, prune=True) == []


def test_what_is_no_wildcard_is_refused_where_it_stands():
    with pytest.raises(FileError, match="stands for one whole first label"):
        applied(SHOP.replace(", 127.0.0.1]", ", '*.test']"))
