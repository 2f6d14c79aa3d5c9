"""The demo: its origin's headers and work, its world, and the calls that it makes."""

import asyncio
import json
import random
import socket
import stat
import threading
from collections import Counter
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import httpx
import pytest
import uvicorn
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.access.choices import RequestState, SubscriptionState
from apps.access.models import AccessRequest, Credential, Subscription
from apps.audit.models import Entry
from apps.catalog.choices import APIState
from apps.catalog.egress import refused_upstreams
from apps.catalog.models import API, Upstream
from apps.demo import seed, traffic
from apps.demo.catalogue import PRODUCTS, Catalogue
from apps.demo.credentials import FILE, Credentials, kept
from apps.demo.origin import LARGEST_BODY, OriginRequest, Shop
from apps.supervisor import demo
from apps.tenants.actors import PLATFORM
from apps.tenants.models import Membership, Tenant, User
from apps.tenants.services import tenant_create
from tests.support.ports import free_port
from tests.support.waiting import wait_until


@pytest.fixture
def shop() -> Shop:
    return Shop(Catalogue(200))


@pytest.fixture
def data(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    return tmp_path


def ask(
    path: str, method: str = "GET", query: dict[str, list[str]] | None = None, body: bytes = b"", **headers: str
) -> OriginRequest:
    return OriginRequest(
        method, path, query or {}, {name.replace("_", "-"): value for name, value in headers.items()}, body
    )


def fields(answer) -> dict[str, str]:
    return dict(answer.headers)


def test_a_product_may_be_kept_for_a_minute_and_asked_after_by_its_tag(shop):
    answer = shop.answer(ask("/items/7"))
    assert answer.status == 200
    assert len(answer.content["similar"]) == 5
    assert fields(answer)["cache-control"] == "public, max-age=60"
    assert fields(answer)["vary"] == "Accept-Language"
    assert parsedate_to_datetime(fields(answer)["last-modified"])
    again = shop.answer(ask("/items/7", if_none_match=f'"other", W/{fields(answer)["etag"]}'))
    assert (again.status, again.content) == (304, None)


def test_a_language_has_its_own_tag(shop):
    english, german = shop.answer(ask("/items/7")), shop.answer(ask("/items/7", accept_language="fr, de;q=0.8"))
    assert fields(english)["etag"] != fields(german)["etag"]
    assert "zum" in german.content["name"]


def test_an_order_changes_the_product_and_names_it(shop):
    before = shop.answer(ask("/items/7"))
    placed = shop.answer(ask("/items/7/orders", "POST", body=b'{"quantity": 2}'))
    after = shop.answer(ask("/items/7", if_none_match=fields(before)["etag"]))
    assert placed.status == 201
    assert fields(placed)["content-location"] == "../7"
    assert after.status == 200
    assert after.content["stock"] == before.content["stock"] - 2


@pytest.mark.parametrize(
    "body", [b'{"quantity": 0}', b'{"quantity": 100000}', b"no json", b"[]", b'{"quantity": null}']
)
def test_an_order_that_makes_no_sense_is_refused(shop, body):
    assert shop.answer(ask("/items/7/orders", "POST", body=body)).status == 422
    assert shop.catalogue.orders == 0


def test_what_is_sold_out_is_delivered_again(shop):
    product = shop.catalogue.find(7)
    shop.catalogue.order(product, product.stock)
    assert product.stock > 0


def test_similar_products_share_their_words(shop):
    product = shop.catalogue.find(7)
    best = shop.catalogue.similar(product)[0]
    assert set(product.words) & set(best.words)
    assert best is not product


def test_a_search_finds_what_it_names(shop):
    found = shop.answer(ask("/search/", query={"q": ["tent"]})).content["found"]
    assert "tent" in found[0]["name"].lower()
    assert found == sorted(found, key=lambda item: -item["score"])
    assert shop.answer(ask("/search")).status == 400


def test_each_answer_says_what_the_table_of_the_module_says(shop):
    assert fields(shop.answer(ask("/items")))["cache-control"] == "public, max-age=30"
    assert fields(shop.answer(ask("/items/7/stock")))["cache-control"] == "no-store"
    assert "cache-control" not in fields(shop.answer(ask("/search", query={"q": ["tent"]})))
    assert fields(shop.answer(ask("/bestsellers")))["cache-control"] == "max-age=0"
    assert fields(shop.answer(ask("/account", x_api_key="k")))["cache-control"] == "private, max-age=30"


def test_an_account_is_told_by_its_own_credential_without_that_being_said(shop):
    one, two = (shop.answer(ask("/account", authorization=who)).content for who in ("Bearer first", "Bearer second"))
    assert one["customer"] != two["customer"]
    assert "first" not in json.dumps(one)


def test_every_fourth_call_fails(shop):
    assert [shop.answer(ask("/flaky")).status for _ in range(8)] == [200, 200, 200, 503] * 2


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/items/999999", 404), ("DELETE", "/items/7", 405), ("GET", "/items/7/orders", 405),
     ("GET", "/items/0/stock", 404), ("POST", "/items/0/orders", 404)],
)  # fmt: skip
def test_what_is_not_there_is_refused(shop, method, path, status):
    assert shop.answer(ask(path, method)).status == status


def test_a_category_that_is_none_is_refused(shop):
    assert shop.answer(ask("/items", query={"category": ["weapons"]})).status == 400


@pytest.fixture
def origin(shop) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(shop, lifespan="off", log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    wait_until(lambda: server.started)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listener.close()


def test_the_origin_speaks_http(origin):
    with httpx.Client(base_url=origin, trust_env=False) as client:
        assert client.get("/items/7").json()["id"] == 7
        head = client.head("/items/7")
        assert (head.status_code, head.content) == (200, b"")
        assert client.get("/items/7", headers={"if-none-match": head.headers["etag"]}).status_code == 304
        assert client.post("/items/7/orders", json={"quantity": 1}).status_code == 201
        assert client.post("/items/7/orders", content=b"x" * (LARGEST_BODY + 1)).status_code == 413


@pytest.mark.django_db
def test_the_seed_makes_tenants_people_and_apis_in_each_cache_mode(data):
    credentials = seed.plant(data, origin_port=4711)
    assert {tenant.slug for tenant in Tenant.objects.all()} == {"acme", "globex"}
    assert Counter(Membership.objects.values_list("role", flat=True)) == {"owner": 2, "developer": 2, "viewer": 2}
    assert all(user.check_password(credentials.password) for user in User.objects.all())
    assert {api.cache_policy.mode for api in API.objects.all()} == {"origin", "ttl", "override", "off"}
    assert set(API.objects.values_list("state", flat=True)) == {APIState.PUBLISHED}
    assert all(url.startswith("http://127.0.0.1:4711/") for url in Upstream.objects.values_list("url", flat=True))


@pytest.mark.django_db
def test_the_seed_leaves_one_request_to_decide_and_the_rest_approved(data):
    seed.plant(data, origin_port=4711)
    waiting = AccessRequest.objects.get(state=RequestState.SUBMITTED)
    assert (waiting.application.slug, waiting.api.slug) == ("mobile", "bestsellers")
    assert not Subscription.objects.filter(application__slug="mobile", api__slug="bestsellers").exists()
    assert set(Subscription.objects.values_list("state", flat=True)) == {SubscriptionState.ACTIVE}


@pytest.mark.django_db
def test_the_seed_is_in_the_audit_log_and_no_secret_is(data):
    credentials = seed.plant(data, origin_port=4711)
    told = json.dumps([[entry.target, entry.comment, entry.changes] for entry in Entry.objects.all()])
    assert Entry.objects.filter(verb="api.publish").count() == API.objects.count()
    assert not any(secret in told for secret in [credentials.password, *credentials.keys.values()])
    assert Credential.objects.count() == len(credentials.keys)


@pytest.mark.django_db
def test_the_demos_secrets_are_kept_for_their_owner_alone(data):
    credentials = seed.plant(data, origin_port=4711)
    assert kept(data) == credentials
    assert stat.S_IMODE((data / FILE).stat().st_mode) == 0o600


@pytest.mark.django_db
def test_a_seed_that_fails_leaves_nothing(data, monkeypatch):
    monkeypatch.setattr(seed, "request_approve", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        seed.plant(data, origin_port=4711)
    assert not Tenant.objects.exists()
    assert kept(data) is None


@pytest.mark.django_db
def test_the_demo_is_made_once_and_keeps_its_port(data, monkeypatch):
    chosen = demo._listen
    monkeypatch.setattr(
        demo, "_listen", lambda port: chosen(port or free_port())
    )  # no other connection takes it meanwhile
    first = demo.demo_prepare()
    first.listener.close()
    second = demo.demo_prepare()
    second.listener.close()
    assert (first.is_new, second.is_new) == (True, False)
    assert second.credentials == first.credentials
    assert second.listener is not first.listener


@pytest.mark.django_db
def test_the_upstreams_follow_when_somebody_took_the_origins_port(data):
    first = demo.demo_prepare()  # its listener stays open: the port is taken
    second = demo.demo_prepare()
    port = second.listener.getsockname()[1]
    first.listener.close()
    second.listener.close()
    assert port != first.credentials.origin_port
    assert kept(data).origin_port == port
    assert all(url.startswith(f"http://127.0.0.1:{port}/") for url in Upstream.objects.values_list("url", flat=True))


@pytest.mark.django_db
def test_the_demos_origin_is_reachable_where_loopback_is_not_and_nothing_else_is(data, settings):
    settings.EGRESS_ALLOW = []
    first = demo.demo_prepare()  # its listener stays open: the port is taken
    assert Tenant.objects.get(slug="acme").egress == [f"127.0.0.1:{first.credentials.origin_port}"]
    second = demo.demo_prepare()
    first.listener.close()
    second.listener.close()
    assert Tenant.objects.get(slug="acme").egress == [f"127.0.0.1:{second.credentials.origin_port}"]
    assert not any(refused_upstreams(api, api.upstreams.all()) for api in API.objects.all())
    Tenant.objects.update(egress=[])  # as an installation of before egress rules has it
    third = demo.demo_prepare()
    third.listener.close()
    assert not any(refused_upstreams(api, api.upstreams.all()) for api in API.objects.all())


@pytest.mark.django_db
def test_the_demo_stays_out_of_an_installation_that_is_in_use(data):
    tenant_create(actor=PLATFORM, slug="mine", name="Mine")
    assert demo.demo_prepare() is None
    with pytest.raises(CommandError, match="tenants of its own"):
        call_command("demo")


@pytest.mark.django_db
def test_the_command_makes_the_demo_once(data, capsys):
    call_command("demo")
    assert "The demo is made" in capsys.readouterr().out
    with pytest.raises(CommandError, match="here already"):
        call_command("demo")


def test_traffic_without_a_demo_is_refused(data):
    for option in ("--traffic", "--steady"):
        with pytest.raises(CommandError, match="no demo"):
            call_command("demo", option)


def test_a_rate_out_of_bounds_is_refused(data, monkeypatch):
    monkeypatch.setattr("apps.supervisor.management.commands.demo.kept", lambda _: object())
    with pytest.raises(CommandError, match="1000"):
        call_command("demo", "--traffic", "--rate", "0")


def test_calls_repeat_often_enough_for_a_cache_and_some_fail():
    chance = random.Random(1)
    calls = [traffic.next_call(chance) for _ in range(2_000)]
    assert {call.application for call in calls} == {"acme/storefront", "globex/mobile", "globex/reports", ""}
    items = Counter(call.path for call in calls if call.path.startswith("/catalogue/items/") and call.method == "GET")
    assert items.most_common(1)[0][1] > 50 > items.most_common(50)[-1][1]
    assert sum(call.application == "" for call in calls) > 20
    assert any(call.method == "POST" for call in calls)


def test_the_call_that_the_reader_is_shown_is_no_call_of_the_demos_own():
    assert traffic.ITEMS < int(seed.CALL.rpartition("/")[2]) <= PRODUCTS


@pytest.mark.django_db
def test_calls_go_on_for_as_long_as_the_demo_runs_and_begin_with_many(data):
    first = demo.demo_prepare()
    first.listener.close()
    second = demo.demo_prepare()
    second.listener.close()
    options = [[(plan.command.argv[-1], plan.once) for plan in each.traffic()] for each in (first, second)]
    assert options == [[("--steady", False), ("--traffic", True)], [("--steady", False)]]


@pytest.mark.django_db
def test_a_demo_whose_provider_was_deleted_is_none(data):
    demo.demo_prepare().listener.close()
    Tenant.objects.filter(slug="acme").update(slug="gone")
    assert demo.demo_prepare() is None


CREDENTIALS = Credentials(
    password="p",
    people=[],
    keys={name: f"key of {name}" for name in ("acme/storefront", "globex/mobile", "globex/reports")},
    caller="globex/mobile",
    call="/",
    origin_port=1,
)


async def test_traffic_keeps_to_its_rate_and_uses_the_keys(origin):
    began = asyncio.get_running_loop().time()
    answered = await traffic.send(origin, CREDENTIALS, rate=100, minutes=20 / 6000, seed=1)
    assert answered == 20
    assert asyncio.get_running_loop().time() - began >= 0.19


async def test_traffic_without_an_end_goes_on_until_it_is_stopped(origin, monkeypatch):
    made: asyncio.Queue[str] = asyncio.Queue()

    async def make(_client, _credentials, call):
        made.put_nowait(call.path)
        return False

    monkeypatch.setattr(traffic, "_make", make)
    task = asyncio.create_task(traffic.send(origin, CREDENTIALS, rate=1000, seed=1))
    for _ in range(100):
        await made.get()
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_traffic_outlives_a_gateway_that_is_away(origin):
    assert await traffic.send(f"http://127.0.0.1:{free_port()}", CREDENTIALS, rate=200, minutes=10 / 12000, seed=1) == 0
