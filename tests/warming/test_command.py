"""``manage.py warm``: what it tells on a terminal and elsewhere, and what it refuses."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import OutputWrapper
from django.utils import timezone

from apps.caching.models import Purge
from apps.catalog.services import api_update
from apps.fleet.publisher import publish_pending
from apps.tenants.actors import PLATFORM
from apps.warming import progress
from apps.warming.models import WarmUp
from apps.warming.progress import Progress, bar
from tests.support.cast import make_api


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def all_told(row_states, out):
    told = Progress(OutputWrapper(out))
    row = WarmUp(state="running", total=200)
    for done in row_states:
        row.done = row.stored = done
        told.tell(row)
    row.state, row.done, row.stored, row.failed = "done", 200, 199, 1
    row.problems = [["http://api.test/a", "Answered with 502."]]
    told.end(row)
    return out.getvalue()


def test_on_a_terminal_one_line_moves():
    text = all_told([0, 50, 50, 100], Terminal())
    assert text.count("\n") == 3
    assert text.count("\r") == 4  # nothing new, nothing written
    assert "[#######-----------------------]  25 %  50 of 200: 50 stored" in text
    assert text.endswith("Done: 200 of 200: 199 stored, 1 failed\n  http://api.test/a: Answered with 502.\n")


def test_elsewhere_a_line_is_written_every_ten_percent():
    lines = all_told(range(0, 200, 2), StringIO()).splitlines()
    assert len(lines) == 10 + 2
    assert lines[:2] == ["0 of 200", "20 of 200: 20 stored"]
    assert "\r" not in "".join(lines)


def test_a_bar_is_full_at_the_end_even_of_nothing():
    assert bar(WarmUp(state="done", total=0, note="It wasn't called in the last day.")).startswith(
        f"[{'#' * 30}] 100 %"
    )


def run(*arguments):
    out, err = StringIO(), StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("warm", *arguments, stdout=out, stderr=err)
    return ended.value.code, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--api", "nobody"], "There is no API nobody."),
        (["--api", "products", "--url", "items"], "Number 1: Write a path"),
        (["--api", "products", "--rate", "fast"], "rate: Expected a rate"),
        (["--api", "products", "--top", "20000"], "top: At most 10,000."),
    ],
)
def test_what_it_refuses_changes_nothing(cast, arguments, said):
    make_api(cast.platform)
    status, out, err = run(*arguments)
    assert (status, out) == (1, "")
    assert said in err
    assert err.strip().endswith("Nothing was changed.")
    assert not WarmUp.objects.exists()


def test_it_refuses_a_sixth_warm_up(cast):
    make_api(cast.platform)
    for _ in range(5):
        WarmUp.objects.create(api_slug="products", rate=1)
    status, _, err = run("--api", "products")
    assert (status, "under way already" in err) == (1, True)


def test_nothing_to_do_is_done(cast):
    make_api(cast.platform)
    status, out, _ = run("--api", "products", "--top", "5")
    assert (status, out.splitlines()[-1]) == (0, "Done: 0 of 0. It wasn't called in the last day.")


def test_ctrl_c_cancels_it(cast, monkeypatch):
    make_api(cast.platform)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(progress, "work", interrupted)
    status, out, _ = run("--api", "products", "--url", "/1")
    assert (status, WarmUp.objects.get().state) == (1, "cancelled")
    assert out.startswith("Cancelled")


def test_it_looks_on_while_another_process_works(cast, monkeypatch):
    make_api(cast.platform)
    monkeypatch.setattr(progress, "claim", lambda *_, **__: [])

    def another_works(seconds):
        WarmUp.objects.update(state="done", ended_at=timezone.now(), total=1, done=1, stored=1)

    monkeypatch.setattr(progress.time, "sleep", another_works)
    status, out, _ = run("--api", "products", "--url", "/1")
    assert (status, out.splitlines()[-1]) == (0, "Done: 1 of 1: 1 stored")


def test_a_purge_may_be_followed_by_a_warm_up(cast, state_redis, monkeypatch):
    api_update(actor=PLATFORM, api=make_api(cast.platform), policy={"warm_up": {"urls": ["/a"]}})
    publish_pending()
    monkeypatch.setattr(progress, "claim", lambda *_, **__: [])
    monkeypatch.setattr(
        progress.time,
        "sleep",
        lambda _: WarmUp.objects.update(state="done", ended_at=timezone.now(), total=1, done=1, stored=1),
    )
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("purge", "--api", "products", "--warm", stdout=out)
    assert ended.value.code == 0
    assert out.getvalue().splitlines()[0].startswith("Purged ")
    assert out.getvalue().splitlines()[-1] == "Done: 1 of 1: 1 stored"
    warm_up, purge = WarmUp.objects.get(), Purge.objects.get()
    assert (warm_up.cause, warm_up.mark, warm_up.urls) == ("purge", purge.pk, ["/a"])


def test_a_purge_that_could_not_be_followed_by_the_warm_up_is_refused(cast, state_redis):
    make_api(cast.platform, forward_credential=True)
    publish_pending()
    err = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("purge", "--api", "products", "--warm", stderr=err)
    assert (ended.value.code, Purge.objects.count()) == (1, 0)
    assert "Nothing was changed." in err.getvalue()
