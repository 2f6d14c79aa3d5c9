"""Who may read what a gateway tells of itself."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.core import checks

from apps.gateway.call.call import Call
from apps.gateway.pipeline.metrics_access import MetricsReaders
from apps.httpcache.policy import Policy
from apps.supervisor.checks import metrics_have_readers
from apps.wire.snapshot import HeaderRules
from tests.gateway.house import Door, Published, api, serving
from tests.support.waiting import until

NETWORKS = ("10.20.0.0/16", "fd00::/8")
PROXIES = {"10.1.1.1", "127.0.0.2"}


def admitted(client: str, networks: tuple[str, ...] = NETWORKS, **fields: str) -> bool:
    headers = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in fields.items())
    x = Call("GET", b"/_gateway/metrics", headers, call_id="1", began=0.0, at=0.0, client=client)
    return MetricsReaders(networks, PROXIES.__contains__).admit(x)


@pytest.mark.parametrize("client", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.20.3.4", "fd12::1"])
def test_this_machine_and_named_networks_may_read(client: str) -> None:
    assert admitted(client)


@pytest.mark.parametrize(
    "client", ["10.21.0.1", "192.0.2.1", "2001:db8::1", "", "unix", "10.1.1.1", "::ffff:192.0.2.1"]
)
def test_nobody_else_may(client: str) -> None:
    assert not admitted(client)


@pytest.mark.parametrize("client", ["127.0.0.1", "10.20.3.4"])
@pytest.mark.parametrize(
    "field",
    "x-forwarded-for forwarded via x-forwarded-proto x-real-ip client-ip true-client-ip cf-connecting-ip cdn-loop".split(),
)
def test_a_call_that_a_proxy_forwarded_is_not_its_machines_own(client: str, field: str) -> None:
    assert not admitted(client, **{field: "127.0.0.1"})


@pytest.mark.parametrize(
    ("way", "may"),
    [
        ("10.20.3.4", True),
        ("192.0.2.1, 10.20.3.4", True),
        ("10.20.3.4, 127.0.0.2", True),
        ("10.20.3.4, 192.0.2.1", False),
        ("192.0.2.1", False),
        ("127.0.0.1", False),
        ("10.20.3.4, rubbish", False),
        ("10.20.3.4, ", False),
        ("fd00::1%" + "z" * 100, False),
        ("127.0.0.2, 10.1.1.1", False),
    ],
)
def test_a_trusted_proxy_is_believed(way: str, may: bool) -> None:
    assert admitted("10.1.1.1", x_forwarded_for=way) is may
    assert not admitted("10.1.1.1", x_forwarded_for=way, cdn_loop="x")


def test_a_trusted_proxy_that_names_no_client_is_nobody_unless_it_is_named() -> None:
    assert not admitted("127.0.0.2")
    assert admitted("127.0.0.2", networks=("127.0.0.2/32",))
    assert not admitted("127.0.0.2", networks=("127.0.0.2/32",), via="1.1 x")


async def test_strangers_get_a_problem_and_no_word_of_the_worker(gateways: Any, published: Published) -> None:
    gateway = await gateways(trusted_proxies=("127.0.0.1",))
    async with serving(gateway) as door:
        for field in ({"x_forwarded_for": "192.0.2.1"}, {"forwarded": "for=127.0.0.1"}, {}):
            for method in ("GET", "HEAD"):
                refused = await door.call("/_gateway/metrics", key=None, method=method, **field)
                assert (refused.status, refused["content-type"]) == (403, "application/problem+json")
                assert "apimgr_" not in refused.body.decode()
        assert json.loads((await door.call("/_gateway/metrics")).body)["code"] == "forbidden"
        gateway.config.trust_lease.ends = 0.0
        assert (await door.call("/_gateway/readyz", x_forwarded_for="192.0.2.1")).body == b"not ready\n"
        assert door.calls() == []


async def test_the_setting_lets_those_behind_the_proxy_read(gateways: Any) -> None:
    gateway = await gateways(trusted_proxies=("127.0.0.1",), metrics_networks=("192.0.2.0/24",))
    async with serving(gateway) as door:
        assert (await door.call("/_gateway/metrics", x_forwarded_for="192.0.2.1")).status == 200


async def test_the_machines_own_word_on_why_it_is_not_ready(door: Door) -> None:
    door.gateway.config.trust_lease.ends = 0.0
    assert (await door.call("/_gateway/readyz")).body == b"not ready: the lease is over\n"


async def test_no_api_leads_strangers_to_the_metrics(door: Door, published: Published) -> None:
    """Its upstream is the gateway itself, and its rules take off and set what they can."""
    rules = HeaderRules(
        set=(("X-Forwarded-For", "127.0.0.1"),), remove=("Forwarded", "Via", "X-Forwarded-Proto", "CDN-Loop")
    )
    off = Policy(api="own", mode="off")
    own = api(
        "own",
        upstreams=f"http://127.0.0.1:{door.port}/_gateway",
        authentication=("none",),
        request_headers=rules,
        policy=off,
    )
    published.change(own)
    await until(lambda: door.gateway.config.part("api:own") is not None)
    answer = await door.call("/own/metrics")
    assert answer.status in (403, 502)
    assert "apimgr_calls_total" not in answer.body.decode()


@pytest.mark.parametrize(
    ("networks", "host", "found"),
    [([], "0.0.0.0", ["platform.W002"]), (["10.0.0.0/8"], "0.0.0.0", []), ([], "127.0.0.1", [])],
)
def test_the_deploy_check_asks_who_reads(settings: Any, networks: list[str], host: str, found: list[str]) -> None:
    settings.METRICS_NETWORKS, settings.LISTEN_HOST = networks, host
    assert [each.id for each in metrics_have_readers(None)] == found
    assert metrics_have_readers in checks.registry.registry.deployment_checks


def test_a_network_that_is_none_is_refused_at_the_start() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "import apimgr.settings"],
        env=os.environ | {"METRICS_NETWORKS": "10.0.0.0/8,everybody"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode
    assert "METRICS_NETWORKS: 'everybody'" in ran.stderr


async def test_a_proxy_is_trusted_by_its_address_on_a_socket_for_both_families_too(gateways: Any) -> None:
    gateway = await gateways(trusted_proxies=("127.0.0.1", "10.0.0.0/8", "fd00::/8"))
    assert all(map(gateway.trusts, ("127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "fd00::1")))
    assert not any(map(gateway.trusts, ("::ffff:192.0.2.1", "192.0.2.1", "fe80::1%eth0", "unix:", "")))
    x = Call("GET", b"/", (), call_id="1", began=0.0, at=0.0, client="::ffff:127.0.0.1")
    assert not gateway.metrics_readers.admit(x)
