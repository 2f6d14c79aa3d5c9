"""The commands of the declarative file, purges and revocations: what they print, and the exit status that scripts rely on."""

from io import StringIO

import msgspec
import pytest
from django.conf import settings
from django.core.management import call_command

from apps.access.choices import KeyState
from apps.access.models import Credential
from apps.caching.models import Purge
from apps.catalog.models import Operation
from apps.fleet.publisher import publish_pending
from apps.fleet.receipts import wait_for_receipt
from apps.wire import redis_names
from apps.wire.worker_reports import Report
from tests.support.cast import make_api, make_application, make_cast, make_key

pytestmark = pytest.mark.django_db(transaction=True)

EXAMPLE = settings.BASE_DIR / "docs" / "examples" / "apimgr.yaml"


@pytest.fixture(autouse=True)
def platform(state_redis, monkeypatch):
    monkeypatch.setenv("ANN_PASSWORD", "correct horse battery")
    monkeypatch.setenv("BOT_KEY", "a-key-of-another-form-0001")


@pytest.fixture
def silent_worker(state_redis, monkeypatch):
    """A worker that heard of nothing for a while, but whose trust lease goes on."""
    incarnation, _ = publish_pending()
    report = Report(
        node="n",
        number=0,
        pid=1,
        incarnation=incarnation,
        n=0,
        clock=0,
        lease=900.0,
        in_flight=0,
        version="1",
        since=0.0,
    )
    seconds = state_redis.time()[0]
    state_redis.hset(redis_names.WORKERS, report.worker, b"%d " % (seconds * 1000) + msgspec.msgpack.encode(report))
    monkeypatch.setitem(wait_for_receipt.__kwdefaults__, "timeout", 0.05)


def run(*arguments):
    """(exit status, standard output, standard error) of a command."""
    out, err = StringIO(), StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command(*arguments, stdout=out, stderr=err)
    return ended.value.code, out.getvalue(), err.getvalue()


def plan_lines(output):
    return [line for line in output.splitlines() if line.startswith(("+ ", "~ ", "- "))]


def test_apply_prints_plan_lines_and_a_receipt_and_a_second_run_no_plan_line():
    status, output, _ = run("apply", str(EXAMPLE))
    assert (status, len(plan_lines(output))) == (0, 9)
    assert "in force" in output
    status, output, _ = run("apply", str(EXAMPLE))
    assert (status, plan_lines(output)) == (0, [])


def test_a_dry_run_prints_the_plan_and_asks_no_gateway():
    out = StringIO()
    call_command("apply", str(EXAMPLE), "--dry-run", stdout=out)
    assert len(plan_lines(out.getvalue())) == 9
    assert "nothing was changed" in out.getvalue()


def test_a_refused_file_ends_with_1_and_says_why_on_standard_error(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("version: 1\nplans:\n  - {slug: x, rate_limit: fast}\n")
    status, output, errors = run("apply", str(bad))
    assert (status, output) == (1, "")
    assert f"{bad}:3: plans[0].rate_limit" in errors
    assert "Nothing was changed" in errors


def test_a_file_that_is_not_there_ends_with_1(tmp_path):
    status, _, errors = run("apply", str(tmp_path / "none.yaml"))
    assert status == 1
    assert "can't be read" in errors


def test_a_worker_that_does_not_answer_makes_it_3_and_the_time_is_told(silent_worker):
    status, output, _ = run("apply", str(EXAMPLE))
    assert status == 3
    assert "in force on 0 of 1 worker, everywhere by" in output


def test_the_first_call_with_a_token_is_a_file_that_can_be_applied(tmp_path):
    page = (settings.BASE_DIR / "docs" / "access.md").read_text()
    (block,) = [each for each in page.split("```")[1::2] if each.startswith("\nissuers:")]
    file = tmp_path / "first.yaml"
    file.write_text(
        "version: 1\ntenants: [{slug: platform, name: P}, {slug: acme, name: A}]\nplans: [{slug: standard}]\n" + block
    )
    status, output, errors = run("apply", str(file))
    assert (status, errors) == (0, "")
    assert "+ subscription acme/bot" in output


def test_an_export_applied_again_prints_no_plan_line(tmp_path):
    run("apply", str(EXAMPLE))
    exported = tmp_path / "exported.yaml"
    with exported.open("w") as file:
        call_command("export", stdout=file)
    status, output, _ = run("apply", str(exported), "--prune")
    assert (status, plan_lines(output)) == (0, [])


def test_an_export_as_json_is_a_file_too(tmp_path):
    run("apply", str(EXAMPLE))
    exported = tmp_path / "exported.json"
    with exported.open("w") as file:
        call_command("export", "--format", "json", stdout=file)
    assert plan_lines(run("apply", str(exported))[1]) == []


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ((), "api"),
        (("--path", "/items/1"), "path"),
        (("--prefix", "/items/"), "prefix"),
        (("--tag", "item-1"), "tag"),
        (("--operation", "GET /items"), "operation"),
        (("--tenant", "acme"), "tenant"),
        (("--application", "acme/bot"), "application"),
        (("--soft",), "api"),
    ],
)
def test_purge_prints_its_receipt_and_keeps_it(arguments, kind):
    Operation.objects.create(api=make_api(make_cast().platform), method="GET", path="/items")
    publish_pending()
    status, output, _ = run("purge", "--api", "products", *arguments)
    assert status == 0
    assert "in force" in output
    assert (Purge.objects.get().clock, Purge.objects.get().kind) == (1, kind)


def test_a_purge_that_a_worker_did_not_hear_of_ends_with_3(silent_worker):
    make_api(make_cast().platform)
    status, output, _ = run("purge", "--api", "products")
    assert (status, Purge.objects.get().workers) == (3, 1)
    assert "everywhere by" in output


def test_purging_an_unknown_api_ends_with_1():
    status, _, errors = run("purge", "--api", "nothing")
    assert status == 1
    assert "no API nothing" in errors


def test_purging_while_redis_is_away_ends_with_1_and_purges_nothing(settings):
    make_api(make_cast().platform)
    settings.REDIS_URL = "redis://127.0.0.1:1"
    status, _, errors = run("purge", "--api", "products")
    assert status == 1
    assert "Redis" in errors
    assert not Purge.objects.exists()


def test_revoke_ends_one_key_and_leaves_the_others():
    application = make_application(make_cast().acme)
    one, other = make_key(application, "one"), make_key(application, "other")
    status, output, _ = run("revoke", str(one.key.pk))
    assert status == 0
    assert "in force" in output
    assert list(Credential.objects.filter(state=KeyState.ACTIVE)) == [other.key]


def test_revoking_twice_or_an_unknown_key_ends_with_1():
    key = make_key(make_application(make_cast().acme)).key
    run("revoke", str(key.pk))
    assert run("revoke", str(key.pk))[0] == 1
    status, _, errors = run("revoke", "4711")
    assert status == 1
    assert "no key 4711" in errors
