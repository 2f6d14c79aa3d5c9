"""Where calls may lead, on the wire: rules that come with the snapshot, and what a caller and an owner read of a refusal."""

import json

import pytest

from apps.gateway.config.egress import EgressTable
from apps.gateway.gateway import Gateway
from apps.wire.snapshot import Egress
from tests.gateway.house import Door, Origin, Published, api, ok
from tests.support.waiting import until

HERE = ("127.0.0.0/8",)


async def rules(gateway: Gateway, published: Published, *parts: Egress) -> None:
    before = gateway.config.epoch
    published.change(*parts)
    await until(lambda: gateway.config.epoch > before)


async def test_a_refused_upstream_is_a_problem_that_names_no_address(
    lane: Door, gateway: Gateway, published: Published, origin: Origin
) -> None:
    await rules(gateway, published, Egress("", ()))
    answer = await lane.call("/products/x")
    assert answer.status == 502
    problem = json.loads(answer.body)
    assert problem["code"] == "upstream_refused"
    assert str(origin.port) not in answer.body.decode()
    assert "127.0.0.1" not in answer.body.decode()
    assert not origin.heads
    (record,) = lane.calls()
    assert (record.code, record.upstream_status) == ("upstream_refused", 0)
    assert ("egress", "egress_not_allowed") in [(stage, decision) for stage, decision, _ in record.trace]


async def test_a_change_of_rules_holds_for_connections_that_are_open(
    lane: Door, gateway: Gateway, published: Published, origin: Origin
) -> None:
    origin.paths["/x"] = ok(b"x")
    assert (await lane.call("/products/x")).status == 200
    await rules(gateway, published, Egress("", ("10.0.0.0/8",)))
    assert (await lane.call("/products/x", method="DELETE")).status == 502
    assert len(origin.heads) == 1
    await rules(gateway, published, Egress("platform", HERE))
    assert (await lane.call("/products/x", method="DELETE")).status == 200
    await rules(gateway, published, Egress("", HERE, (("localhost", origin.port),)))
    assert (await lane.call("/products/x", method="DELETE")).status == 502


async def test_what_one_tenant_may_reach_another_may_not(
    lane: Door, gateway: Gateway, published: Published, origin: Origin
) -> None:
    origin.paths["/x"] = ok(b"x")
    open_to_all = {"authentication": ("none",), "upstreams": origin.url}
    published.change(api("mine", tenant="acme", **open_to_all), api("theirs", tenant="zenith", **open_to_all))
    await rules(gateway, published, Egress("", ()), Egress("acme", HERE))
    assert (await lane.call("/mine/x", method="PUT", key=None)).status == 200
    assert (await lane.call("/theirs/x", method="PUT", key=None)).status == 502
    assert (await lane.call("/mine/x", method="PUT", key=None)).status == 200
    assert len(origin.heads) == 2


@pytest.mark.parametrize("text", ["a rule of a later version", "169.254.0.0/16"])
def test_a_rule_that_is_not_understood_allows_nothing(text: str) -> None:
    table = EgressTable([("localhost", 8000)])
    table.put(Egress("", (text, *HERE)))
    assert [rule.text for rule in table.of("acme").rules] == list(HERE)
    assert table.of("acme") is table.of("zenith")


def test_without_the_installation_s_part_only_public_addresses_may_be_reached() -> None:
    table = EgressTable()
    assert table.of("acme").refusal_of_text("127.0.0.1", 80)
    assert table.of("acme").refusal_of_text("1.1.1.1", 80) is None
    table.put(Egress("acme", HERE))
    assert table.of("acme").refusal_of_text("127.0.0.1", 80) is None
    assert table.of("zenith").refusal_of_text("127.0.0.1", 80)
    table.drop("acme")
    assert table.of("acme").refusal_of_text("127.0.0.1", 80)
