"""Egress rules in a whole installation that allows nothing: what is refused, and that a change is in force when it is answered."""

import pytest

from tests.support.installation import Installation, installation


@pytest.fixture(scope="module")
def closed():
    with installation(EGRESS_ALLOW="") as running:
        yield running


def made(answer):
    assert answer.is_success, f"{answer.request.url}: {answer.status_code} {answer.text}"
    return answer.json()


def in_force(receipt):
    return receipt["in_force"] == receipt["workers"] == 2


def test_private_upstreams_need_a_rule_and_what_changes_it_holds_when_it_is_answered(
    closed: Installation, upstream: str
):
    assert "Upstreams of every tenant may be on this machine" not in closed.output
    made(closed.api("POST", "tenants/", json={"slug": "makers", "name": "Makers"}))
    api = {
        "slug": "bin",
        "name": "Bin",
        "tenant": "makers",
        "listen_path": "/bin/",
        "authentication": ["none"],
        "upstreams": [{"url": f"{upstream}/"}],
    }
    refused = closed.api("POST", "apis/", json=api)
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["upstreams.0.url"])
    allowed = made(closed.api("PATCH", "tenants/makers/egress/", json={"allow": ["127.0.0.0/8"]}))
    assert in_force(allowed["receipt"])
    made(closed.api("POST", "apis/", json=api))
    assert in_force(made(closed.api("POST", "apis/bin/publish/"))["receipt"])
    assert [closed.call("/bin/post", method="POST").status_code for _ in range(6)] == [200] * 6
    assert in_force(made(closed.api("PATCH", "tenants/makers/egress/", json={"allow": []}))["receipt"])
    for _ in range(6):
        answer = closed.call("/bin/post", method="POST")
        assert (answer.status_code, answer.json()["code"]) == (502, "upstream_refused")
        assert "127.0.0.1" not in answer.text
    checked = closed.manage("check", "--deploy")
    assert "catalog.W005" in checked.stderr
    assert upstream in checked.stderr
    assert "catalog.W006" not in checked.stderr


@pytest.mark.parametrize("variable", ["CONSOLE_PORT", "GATEWAY_PORT"])
def test_no_rule_lets_an_api_lead_to_the_platform_itself(closed: Installation, variable: str):
    made(closed.api("POST", "tenants/", json={"slug": variable[:4].lower(), "name": "Takers"}))
    made(
        closed.api(
            "PATCH", f"tenants/{variable[:4].lower()}/egress/", json={"allow": ["0.0.0.0/0", "::/0", "localhost"]}
        )
    )
    for host in ("127.0.0.1", "localhost", "0x7f.1", "[::1]"):
        api = {
            "slug": "inside",
            "name": "Inside",
            "tenant": variable[:4].lower(),
            "listen_path": "/inside/",
            "upstreams": [{"url": f"http://{host}:{closed.environment[variable]}/"}],
        }
        refused = closed.api("POST", "apis/", json=api)
        assert refused.status_code == 400
        assert "platform itself" in refused.text


def test_without_a_word_one_machine_allows_loopback_and_says_so(running: Installation):
    assert "Upstreams of every tenant may be on this machine" in running.output
    assert "127.0.0.0/8" in made(running.api("GET", "egress/"))["inherited"]
