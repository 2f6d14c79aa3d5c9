"""Answers that are in the cache before anybody asks: pushed and fetched ahead, in a whole installation with two workers."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from django.conf import settings

from apps.gateway.records.spool import worker_of
from tests.support.installation import Installation
from tests.support.waiting import wait_until

KEY = "a-key-of-the-warm-tests-0001"

PLATFORM = """
version: 1
tenants: [{slug: warmers, name: Warmers}]
plans: [{slug: warm, name: Warm}]
apis:
  - {slug: warm, name: Warm, tenant: warmers, listen_path: /warm/, upstreams: [{url: "UPSTREAM/"}],
     authentication: [api_key], published: true}
applications: [{tenant: warmers, slug: bot, name: Bot, keys: [{name: ci, secret: KEY}]}]
subscriptions: [{application: warmers/bot, api: warm, plan: warm, state: active}]
"""


@pytest.fixture(scope="module")
def warm(shared_installation, upstream, tmp_path_factory) -> Installation:
    """The installation, with an API that needs a key and an application that has one."""
    running = shared_installation
    path = tmp_path_factory.mktemp("warm") / "platform.yaml"
    path.write_text(PLATFORM.replace("UPSTREAM", upstream).replace("KEY", KEY))
    applied = running.manage("apply", str(path))
    assert applied.returncode == 0, applied.stderr
    return running


def by_worker(running, path, **options):
    """An answer of each of the two workers."""
    answers: dict[int, object] = {}

    def both() -> bool:
        answer = running.call(path, KEY, **options)
        assert answer.status_code == 200, answer.text
        answers[worker_of(answer.headers["X-Call-ID"][:18])] = answer
        return len(answers) == 2

    wait_until(both, 20, what="an answer of each worker")
    return [answers[worker] for worker in sorted(answers)]


def warm_up(running, identifier=""):
    """A warm-up, the newest without a number."""
    answer = running.api("GET", f"apis/warm/warm-ups/{identifier}{'/' if identifier else ''}")
    return answer.json() if identifier else (answer.json()["results"] or [None])[0]


def test_what_was_warmed_up_is_a_hit_on_every_worker(warm):
    urls = [f"/cache/{seconds}" for seconds in range(101, 113)]
    started = warm.api("POST", "apis/warm/warm-ups/", json={"urls": urls, "rate": "100/s"})
    assert started.status_code == 201
    ended = wait_until(
        lambda: (found := warm_up(warm, started.json()["id"]))["is_over"] and found, 20, what="the warm-up to end"
    )
    assert (ended["state"], ended["stored"], ended["sentence"]) == ("done", 12, "12 of 12: 12 stored")
    for url in urls[:3]:
        assert [answer.headers["X-Cache"] for answer in by_worker(warm, f"/warm{url}")] == ["HIT", "HIT"]


def test_the_command_does_the_same_and_shows_how_far_it_is(warm):
    ran = warm.manage("warm", "--api", "warm", "--url", "/cache/121", "--url", "/status/500", "--rate", "50/s")
    assert ran.returncode == 0, ran.stderr
    assert "Done: 2 of 2: 1 stored, 1 failed" in ran.stdout
    assert "/warm/status/500: Answered with 500." in ran.stdout
    assert {answer.headers["X-Cache"] for answer in by_worker(warm, "/warm/cache/121")} == {"HIT"}


def test_warm_ups_are_in_no_figure(warm):
    log = wait_until(
        lambda: [
            call
            for call in warm.api("GET", "calls/?api=warm&page_size=1000").json()["results"]
            if "warm_up" in call["flags"]
        ],
        20,
        what="the records of the warm-ups",
    )
    assert {(call["application"], call["tenant"]) for call in log} <= {(None, None), ("", "")}
    everything = warm.api("GET", "calls/?api=warm&page_size=1000").json()["results"]
    mine = [call for call in everything if "warm_up" not in call["flags"]]
    counted = warm.api("GET", "analytics/summary/?api=warm").json()["calls"]
    assert len(mine) <= counted < len(everything)


def started_command(running, *arguments) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "warm", "--api", "warm", *arguments],
        cwd=settings.BASE_DIR,
        env=running.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def under_way(running, command):
    """The running warm-up, once it has made a few calls."""

    def found():
        assert command.poll() is None, command.communicate()
        newest = warm_up(running)
        return newest if newest and newest["state"] == "running" and newest["done"] >= 2 else None

    return wait_until(found, 90, what="the warm-up to be under way")


def test_when_the_process_is_killed_another_goes_on(warm):
    urls = [part for seconds in range(201, 217) for part in ("--url", f"/cache/{seconds}")]
    with started_command(warm, *urls, "--rate", "5/s") as command:
        begun = under_way(warm, command)
        command.kill()
        command.wait(10)
    done = warm_up(warm, begun["id"])["done"]
    assert done < 16
    # Its lease is over; nobody has to wait for it here.
    with closing(sqlite3.connect(warm.data / "apimgr.sqlite3", timeout=20)) as database, database:
        database.execute("UPDATE warming_warmup SET beat_at = '2020-01-01' WHERE id = ?", [begun["id"]])
    ended = wait_until(
        lambda: (found := warm_up(warm, begun["id"]))["is_over"] and found, 30, what="the warm-up to be done by another"
    )
    assert (ended["state"], ended["done"], ended["failed"]) == ("done", 16, 0)
    assert ended["stored"] + ended["fresh"] == 16


def test_ctrl_c_cancels(warm):
    with started_command(
        warm, *[p for n in range(301, 400) for p in ("--url", f"/cache/{n}")], "--rate", "5/s"
    ) as command:
        begun = under_way(warm, command)
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=20)
    assert command.returncode == 1, err
    assert "Cancelled" in out
    assert warm_up(warm, begun["id"])["state"] == "cancelled"


def push(running, path, **change):
    body = {
        "api": "warm",
        "url": f"{running.gateway}{path}",
        "headers": {"cache-control": "max-age=600", "content-type": "text/plain", "surrogate-key": "pushed"},
        "body": "pushed",
    }
    answer = running.api("PUT", "cache-entries/", json=body | change)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_what_was_pushed_is_a_hit_on_every_worker(warm):
    pushed = push(warm, "/warm/status/418?never=asked")
    assert (pushed["receipt"]["workers"], pushed["receipt"]["in_force"]) == (2, 2)
    for answer in by_worker(warm, "/warm/status/418?never=asked"):
        assert (answer.headers["X-Cache"], answer.text, answer.headers["content-type"]) == (
            "HIT",
            "pushed",
            "text/plain",
        )
        assert int(answer.headers["Age"]) < 60


def test_a_push_wins_over_older_copies_in_the_memory_of_every_worker(warm):
    path = "/warm/cache/500"
    wait_until(lambda: {answer.headers["X-Cache"] for answer in by_worker(warm, path)} == {"HIT"}, 20, what="two hits")
    push(warm, path)
    for body in ("pushed", "pushed again"):
        push(warm, path, body=body)
        assert [(answer.headers["X-Cache"], answer.text) for answer in by_worker(warm, path)] == [("HIT", body)] * 2


def test_a_purge_ends_what_was_pushed(warm):
    path = "/warm/cache/501"
    push(warm, path)
    assert [answer.text for answer in by_worker(warm, path)] == ["pushed"] * 2
    purged = warm.api("POST", "purges/", json={"api": "warm", "tag": "pushed"})
    assert purged.json()["receipt"]["in_force"] == 2
    assert all(answer.text != "pushed" for answer in by_worker(warm, path))


def test_after_a_purge_the_policy_may_have_it_warmed_up(warm):
    settings_of = {"warm_up": {"urls": ["/cache/601", "/cache/602"], "after_purge": True, "rate": "50/s"}}
    changed = warm.api("PATCH", "cache-policies/warm/", json=settings_of)
    assert changed.status_code == 200, changed.text
    purge = warm.api("POST", "purges/", json={"api": "warm"}).json()["id"]

    def followed():
        newest = warm_up(warm)
        return newest if newest and newest["cause"] == "purge" and newest["is_over"] else None

    ended = wait_until(followed, 30, what=f"the warm-up after purge {purge}")
    assert (ended["state"], ended["stored"]) == ("done", 2)
    assert {answer.headers["X-Cache"] for answer in by_worker(warm, "/warm/cache/601")} == {"HIT"}
