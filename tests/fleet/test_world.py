"""What a worker knows, and what asking costs: counted, not timed."""

import pytest

from apps.cachestore.purges import PurgedTags
from apps.gateway.config.worker_config import UNKNOWN, Routes, WorkerConfig, bare_host
from apps.httpcache.policy import Policy
from apps.wire.events import Position
from apps.wire.snapshot import API, PROOF_PATH, Credential, HeaderRules, HostOwner, Plan, Upstream


def api(slug: str, path: str = "", hosts: tuple[str, ...] = (), tenant: str = "platform") -> API:
    return API(
        slug=slug,
        tenant=tenant,
        revision=1,
        listen_path=path or f"/{slug}/",
        hosts=hosts,
        strip_listen_path=True,
        authentication=("api_key",),
        api_key_header="x-api-key",
        forward_credential=False,
        upstreams=(Upstream("http://127.0.0.1:9/"),),
        connect_timeout=2.0,
        read_timeout=30.0,
        retries=1,
        body_limit=1000,
        debug_headers="none",
        request_headers=HeaderRules(),
        response_headers=HeaderRules(),
        policy=Policy(api=slug),
    )


def routes(*apis: API) -> Routes:
    table = Routes()
    for each in apis:
        table.put(each)
    return table


def found(table: Routes, path: bytes, host: bytes = b"localhost") -> str | None:
    hit = table.find(host, path)
    return hit.slug if hit else None


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        (b"/products/", "products"),
        (b"/products/items/1", "products"),
        (b"/products", "products"),
        (b"/productsx", None),
        (b"/productsx/1", None),
        (b"/", None),
        (b"/a/b/c", "deep"),
        (b"/a/b/c/d/e/f/g", "deep"),
        (b"/a/b/x", "shallow"),
        (b"/a", "shallow"),
        (b"/ab", None),
        (b"//products/", None),
        (b"/products//", "products"),
    ],
)
def test_the_longest_listen_path_on_a_segment_boundary_wins(path, slug):
    table = routes(api("products"), api("shallow", "/a"), api("deep", "/a/b/c/"))
    assert found(table, path) == slug


def test_the_root_takes_what_nobody_else_does():
    table = routes(api("root", "/"), api("products"))
    assert found(table, b"/") == "root"
    assert found(table, b"/other/x") == "root"
    assert found(table, b"/products/x") == "products"


@pytest.mark.parametrize(
    ("host", "slug"),
    [
        (b"shop.test", "shop"),
        (b"SHOP.test:8080", "shop"),
        (b"shop.test.", "shop"),
        (b"other.test", "any"),
        (b"[::1]:8080", "six"),
        (b"", "any"),
    ],
)
def test_a_named_host_beats_any(host, slug):
    table = routes(api("any", "/p/"), api("shop", "/p/", ("Shop.test", "www.shop.test")), api("six", "/p/", ("[::1]",)))
    assert found(table, b"/p/1", host) == slug


def test_a_longer_path_of_another_host_is_passed_over():
    table = routes(api("any", "/p/"), api("shop", "/p/q/", ("shop.test",)))
    assert found(table, b"/p/q/1", b"other.test") == "any"
    assert found(table, b"/p/q/1", b"shop.test") == "shop"


def test_an_api_that_moves_leaves_its_old_place():
    table = routes(api("products"))
    table.put(api("products", "/goods/"))
    assert found(table, b"/products/1") is None
    assert found(table, b"/goods/1") == "products"
    assert len(table) == 1


def test_two_apis_that_trade_places_are_both_served_whatever_comes_first():
    table = routes(api("a", "/x/"), api("b", "/y/"))
    table.put(api("b", "/x/"))
    table.put(api("a", "/y/"))
    assert (found(table, b"/x/"), found(table, b"/y/")) == ("b", "a")
    table.drop("b")
    assert found(table, b"/x/") is None
    table.drop("never")


class CountingDict(dict):
    """Counts what is asked of it."""

    asked = 0

    def get(self, *arguments):
        self.asked += 1
        return super().get(*arguments)


@pytest.mark.parametrize("count", [10, 10_000])
def test_a_route_costs_the_same_with_10_and_with_10000_apis(count):
    table = routes(*(api(f"api{number}", f"/team{number % 10}/api{number}/") for number in range(count)))
    table._paths = CountingDict(table._paths)
    assert found(table, b"/team7/api7/a/b/c/d") == "api7"
    assert table._paths.asked == 1
    table._paths.asked = 0
    assert found(table, b"/" + b"x/" * 4000) is None
    assert table._paths.asked == 3


def test_a_change_of_one_api_touches_its_own_places_only():
    table = routes(*(api(f"api{number}") for number in range(1000)))
    before = dict(table._paths)
    table.put(api("api7", "/moved/"))
    changed = {path for path in before.keys() | table._paths.keys() if before.get(path) is not table._paths.get(path)}
    assert changed == {b"/api7", b"/moved"}


@pytest.mark.parametrize(
    ("host", "name"), [(b"A.b:1", b"a.b"), (b"a.b.", b"a.b"), (b"[::1]:80", b"[::1]"), (b"[::1]", b"[::1]")]
)
def test_a_host_is_its_name_alone(host, name):
    assert bare_host(host) == name


# Wildcards


@pytest.mark.parametrize(
    ("host", "path", "slug"),
    [
        (b"shop.a.test", b"/p/1", "exact"),
        (b"SHOP.A.test.:8080", b"/p/1", "exact"),
        (b"www.a.test", b"/p/1", "wild"),
        (b"WWW.A.Test.:8080", b"/p/1", "wild"),
        (b"xn--bcher-kva.a.test", b"/p/1", "wild"),
        (b"*.a.test", b"/p/1", "wild"),
        (b"a.test", b"/p/1", "any"),
        (b".a.test", b"/p/1", "any"),
        (b"x.www.a.test", b"/p/1", "any"),
        (b"wwwa.test", b"/p/1", "any"),
        (b"www.a.test.evil.test", b"/p/1", "any"),
        (b"1.2.3.4", b"/p/1", "any"),
        (b"[::ffff:1.2.3.4]:80", b"/p/1", "any"),
        (b"localhost", b"/p/1", "any"),
        (b"", b"/p/1", "any"),
        (b"www.b\xc3\xbccher.test", b"/p/1", "any"),
        (b"www.xn--bcher-kva.test", b"/p/1", "idna"),
        (b"shop.a.test", b"/p/q/1", "any-longer"),
        (b"www.a.test", b"/p/q/r/1", "wild-longest"),
        (b"shop.a.test", b"/p/q/r/1", "wild-longest"),
        (b"b.test", b"/p/q/r/1", "any-longer"),
    ],
)
def test_the_longest_path_wins_and_there_a_name_beats_a_wildcard_and_a_wildcard_any(host, path, slug):
    table = routes(
        api("any", "/p/"),
        api("wild", "/p/", ("*.a.test",)),
        api("exact", "/p/", ("shop.a.test",)),
        api("idna", "/p/", ("*.xn--bcher-kva.test",)),
        api("any-longer", "/p/q/"),
        api("wild-longest", "/p/q/r/", ("*.a.test",)),
    )
    assert found(table, path, host) == slug


def test_a_wildcard_that_goes_leaves_nothing():
    table = routes(api("wild", "/p/", ("*.a.test",)), api("any", "/p/"))
    assert found(table, b"/p/", b"www.a.test") == "wild"
    table.own("*.b.test", "acme")
    table.drop("wild")
    assert found(table, b"/p/", b"www.a.test") == "any"
    assert found(table, b"/p/", b"www.b.test") is None
    table.disown("*.b.test")
    assert found(table, b"/p/", b"www.b.test") == "any"
    assert table._wildcards == set()


@pytest.mark.parametrize("last", ["host", "wildcard", "api"])
def test_a_wildcard_takes_no_name_of_another_tenant_whatever_comes_last(last):
    steps = {
        "host": lambda table: table.own("shop.a.test", "globex"),
        "wildcard": lambda table: table.own("*.a.test", "acme"),
        "api": lambda table: table.put(api("wild", "/p/", ("*.a.test",), tenant="acme")),
    }
    table = routes(api("mine", "/mine/", tenant="acme"), api("any", "/any/", tenant="globex"))
    for step in sorted(steps, key=lambda name: name == last):
        steps[step](table)
    assert found(table, b"/p/", b"www.a.test") == "wild"
    assert found(table, b"/p/", b"shop.a.test") is None, "although its tenant has nothing there"
    assert found(table, b"/mine/", b"shop.a.test") is None
    assert found(table, b"/any/", b"shop.a.test") == "any"
    assert found(table, b"/any/", b"www.a.test") is None
    assert found(table, b"/mine/", b"www.a.test") == "mine"
    assert found(table, PROOF_PATH.encode(), b"www.a.test") is None
    table.put(api("other", "/p/", ("shop.a.test",), tenant="globex"))
    assert found(table, b"/p/", b"shop.a.test") == "other"


def test_a_wildcard_of_another_tenant_answers_at_nobodys_hosts_alone():
    table = routes(api("wild", "/p/", ("*.a.test",), tenant="globex"), api("any", "/p/", tenant="acme"))
    assert found(table, b"/p/", b"www.a.test") == "wild"
    table.own("*.a.test", "acme")
    assert found(table, b"/p/", b"www.a.test") == "any"
    assert found(table, b"/p/", b"*.a.test") == "any"


@pytest.mark.parametrize(("wildcards", "asked"), [(False, 1), (True, 2)])
def test_a_look_up_asks_for_the_name_and_for_one_wildcard_at_most_and_without_wildcards_for_none(wildcards, asked):
    table = routes(api("a", "/p/", ("shop.a.test",)), *([api("b", "/q/", ("*.a.test",))] if wildcards else ()))
    table._owners = CountingDict(table._owners | {b"x.test": "acme"})
    hosts = table._paths[b"/p"] = CountingDict(table._paths[b"/p"])
    assert found(table, b"/p/", b"a.b.c.d.e.www.a.test") is None
    assert table._owners.asked == asked
    assert hosts.asked == asked + 1  # and for APIs without a host


def credential(digest: str) -> Credential:
    return Credential(1, digest, "active", "acme", "acme/bot", {})


def test_a_key_is_known_unknown_or_to_be_looked_up():
    config = WorkerConfig(PurgedTags(), 900)
    assert config.credential("a") is None
    config.credentials.put("a", credential("a"))
    config.unknown.put("b", True)
    assert config.credential("a").application == "acme/bot"
    assert config.credential("b") is UNKNOWN
    config.forget("a")
    config.forget("b")
    assert config.credential("a") is config.credential("b") is None
    config.credentials.put("a", credential("a"))
    config.forget_all_keys()
    assert config.credential("a") is None


def test_a_world_tells_how_far_it_is():
    config = WorkerConfig(PurgedTags(), 900)
    assert (config.loaded, config.incarnation, config.epoch, config.version) == (False, 0, 0, 0)
    config.put(api("products"))
    config.put(Plan("gold", 1.0, 1, None, "month", True, None))
    config.moved(Position(2, 5, 0, 4))
    assert (config.loaded, config.incarnation, config.epoch, config.version) == (True, 2, 4, 1)
    assert config.part("api:products").slug == "products"
    assert config.part("plan:gold") is config.plan("gold")
    config.drop("api:products")
    config.drop("plan:gold")
    assert config.part("api:products") is config.part("plan:gold") is None
    assert not config.ready(0)
    config.trust_lease.renew(0)
    assert config.ready(899)
    assert not config.ready(900)


def owned(*apis: API) -> Routes:
    table = routes(*apis)
    table.own("shop.acme.test", "acme")
    return table


@pytest.mark.parametrize("host", [b"shop.acme.test", b"SHOP.acme.test", b"shop.acme.test:8080", b"shop.acme.test."])
def test_on_a_tenants_host_apis_without_hosts_answer_if_they_are_its_own(host: bytes):
    table = owned(api("login", tenant="globex"), api("cart", tenant="acme"), api("root", "/", tenant="acme"))
    assert found(table, b"/cart/1", host) == "cart"
    assert found(table, b"/login/", host) == "root"
    assert found(owned(api("login", tenant="globex")), b"/login/", host) is None
    assert found(table, b"/login/", b"elsewhere.test") == "login"
    assert found(table, b"/login/", b"acme.test") == "login"


def test_what_an_administrator_put_on_a_tenants_host_by_name_answers_there():
    table = owned(api("pay", hosts=("shop.acme.test",), tenant="globex"))
    assert found(table, b"/pay/", b"shop.acme.test") == "pay"


def test_a_host_that_was_given_up_is_everybodys_again():
    table = owned(api("login", tenant="globex"))
    table.disown("shop.acme.test")
    table.disown("never.test")
    assert found(table, b"/login/", b"shop.acme.test") == "login"
    assert (table.owner("shop.acme.test"), owned().owner("shop.acme.test")) == (
        None,
        HostOwner("shop.acme.test", "acme"),
    )


def test_no_api_answers_where_a_free_host_would_be_proved():
    table = owned(api("root", "/", tenant="acme"), api("known", "/.well-known/", tenant="acme"))
    proof = PROOF_PATH.encode()
    assert found(table, proof, b"free.test") is None
    assert found(table, proof + b"/x", b"free.test") == "known"
    assert found(table, proof, b"shop.acme.test") == "known"


def test_a_hosts_owner_is_a_part_like_others():
    config = WorkerConfig(purges=PurgedTags(), trust_lease=60)
    config.put(HostOwner("a.test", "acme"))
    assert config.part("host:a.test") == HostOwner("a.test", "acme")
    config.drop("host:a.test")
    assert config.part("host:a.test") is None
