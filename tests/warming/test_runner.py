"""Working on warm-ups: their pace, what counts as done, and who goes on after a crash. The clock and the calls are the test's."""

from concurrent.futures import Future
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.catalog.services import api_delete
from apps.tenants.actors import PLATFORM
from apps.warming.choices import WarmUpState
from apps.warming.gateway_calls import FAILED, FRESH, PASSED, STORED, CallOutcome, outcome_of
from apps.warming.models import WarmUp
from apps.warming.runner import AT_ONCE, CALLS, GIVE_UP_AFTER, LATE, LEASE, RUNS, CallPace, claim, work
from apps.warming.services import warm_up_cancel, warm_up_start
from tests.support.calls import HIT, make_calls
from tests.support.cast import make_api


class House:
    """A clock that moves when somebody rests, and calls that are answered as ``answers`` says, at once unless ``held``."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.made: list[tuple[float, str]] = []
        self.answers: dict[str, CallOutcome] = {}
        self.held: list[Future[CallOutcome]] | None = None
        self.meanwhile = lambda: None

    def clock(self) -> float:
        return self.now

    def rest(self, seconds, futures) -> None:
        self.now += max(seconds, 0.001)
        self.meanwhile()

    def submit(self, api, call, headers):
        self.made.append((self.now, call.target))
        future: Future[CallOutcome] = Future()
        if self.held is not None:
            self.held.append(future)
        else:
            future.set_result(self.answers.get(call.target, CallOutcome(STORED)))
        return future

    def work(self, runs, seconds=1e6, **options) -> None:
        work(runs, self.submit, until=self.now + seconds, clock=self.clock, rest=self.rest, **options)

    @property
    def targets(self) -> list[str]:
        return [target for _, target in self.made]


@pytest.fixture
def house() -> House:
    return House()


def start(api, count=10, **options) -> WarmUp:
    options = {"urls": [f"/items/{number}" for number in range(count)], "rate": "10/s"} | options
    return warm_up_start(actor=PLATFORM, api=api, **options)


@pytest.fixture
def products(cast):
    return make_api(cast.platform)


@pytest.mark.parametrize("rate", [0.5, 3.0, 100.0])
def test_a_pace_never_exceeds_its_rate_over_any_second(rate):
    pace, taken, now = CallPace(rate, 0.0), [], 0.0
    while now < 5.0:
        if pace.take(now):
            taken.append(now)
        now += 0.003  # a clock that is looked at now and then, never at the very moment
    for at in taken:
        assert sum(at <= other < at + 1.0 for other in taken) <= rate * (1.0 + LATE) + 1
    assert len(taken) >= rate * 5 * 0.9


def test_lost_time_is_not_made_up_for():
    pace = CallPace(10.0, 0.0)
    assert pace.take(0.0)
    assert sum(pace.take(60.0) for _ in range(100)) <= 2


def test_every_url_is_called_once_at_the_rate_that_was_set(products, house):
    warm_up = start(products, 30, rate="10/s")
    house.work(claim("w", clock=house.now))
    warm_up.refresh_from_db()
    assert house.targets == [f"/products/items/{number}" for number in range(30)]
    assert 2.8 <= house.made[-1][0] - house.made[0][0] <= 3.0
    assert (warm_up.state, warm_up.total, warm_up.done, warm_up.stored) == ("done", 30, 30, 30)
    assert warm_up.percent == 100
    assert warm_up.targets == []
    assert warm_up.ended_at >= warm_up.started_at
    assert warm_up.sentence == "30 of 30: 30 stored"


def test_only_so_many_calls_are_under_way_however_fast_it_may_go(products, house):
    warm_up = start(products, 50, rate="1000/s")
    house.held = []
    most = 0

    def one_comes_back():
        nonlocal most
        most = max(most, len(house.held))
        if house.now > 1000.1:
            house.held.pop(0).set_result(CallOutcome(STORED))

    house.meanwhile = one_comes_back
    house.work(claim("w", clock=house.now))
    warm_up.refresh_from_db()
    assert (most, warm_up.stored) == (AT_ONCE, 50)


def test_what_became_of_each_call_is_counted_and_the_first_problems_are_told(products, house):
    warm_up = start(products, 4)
    house.answers = {
        "/products/items/1": CallOutcome(FRESH),
        "/products/items/2": CallOutcome(PASSED, "The response sets a cookie."),
        "/products/items/3": CallOutcome(FAILED, "Answered with 502."),
    }
    house.work(claim("w", clock=house.now))
    warm_up.refresh_from_db()
    assert (warm_up.stored, warm_up.fresh, warm_up.passed, warm_up.failed) == (1, 1, 1, 1)
    assert [why for _, why in warm_up.problems] == ["The response sets a cookie.", "Answered with 502."]
    assert warm_up.problems[0][0].endswith("/products/items/2")
    assert warm_up.sentence == "4 of 4: 1 stored, 1 fresh already, 1 not to be stored, 1 failed"


def test_one_that_reached_nothing_has_failed_and_says_so(products, house):
    warm_up = start(products, 100)
    gone = CallOutcome(FAILED, "The gateway could not be called: refused.", reached=False)
    house.answers = {f"/products/items/{number}": gone for number in range(100)}
    house.work(claim("w", clock=house.now))
    warm_up.refresh_from_db()
    assert (warm_up.state, warm_up.note) == ("failed", "The gateway could not be called: refused.")
    assert len(house.made) <= GIVE_UP_AFTER + AT_ONCE


def test_one_that_gave_up_makes_no_further_calls_while_some_are_under_way(products, house):
    start(products, 100, rate="1000/s")
    house.held = []
    (run,) = claim("w", clock=house.now)
    for _ in range(100):
        run.go_on(house.submit, house.now)
        house.now += 0.01
        if len(house.held) > 3:  # the last few hang
            house.held.pop(0).set_result(CallOutcome(FAILED, "gone", reached=False))
        run.collect()
    assert len(house.made) < GIVE_UP_AFTER + AT_ONCE
    assert (len(run.under_way), run.is_done) == (3, True)


def test_one_whose_calls_all_failed_has_failed(products, house):
    warm_up = start(products, 2)
    house.answers = dict.fromkeys(["/products/items/0", "/products/items/1"], CallOutcome(FAILED, "Answered with 500."))
    house.work(claim("w", clock=house.now))
    warm_up.refresh_from_db()
    assert (warm_up.state, warm_up.failed) == (WarmUpState.FAILED, 2)


def test_after_its_turn_a_process_lets_go_and_another_goes_on_where_it_was(products, house):
    warm_up = start(products, 30)
    house.work(claim("one", clock=house.now), seconds=1.0)
    warm_up.refresh_from_db()
    assert (warm_up.state, warm_up.worker) == ("running", "")
    assert 9 <= warm_up.done <= 12
    house.work(claim("two", clock=house.now))
    warm_up.refresh_from_db()
    assert (warm_up.state, warm_up.stored) == ("done", 30)
    assert sorted(set(house.targets)) == sorted(house.targets)


def test_a_slow_pace_is_kept_from_slice_to_slice(products, house):
    warm_up = start(products, 5, rate="1/m")
    house.work(claim("one", clock=house.now), seconds=5.0)
    warm_up.refresh_from_db()
    assert (len(house.made), warm_up.done) == (1, 1)
    assert timedelta(seconds=50) < warm_up.due_at - timezone.now() <= timedelta(seconds=60)
    assert claim("two") == []
    WarmUp.objects.update(due_at=timezone.now())
    assert len(claim("two")) == 1


def test_who_is_at_work_is_left_alone_until_its_lease_is_over(products, house):
    warm_up = start(products, 10)
    (killed,) = claim("killed", clock=house.now)
    killed.go_on(house.submit, house.now)
    assert claim("other") == []
    WarmUp.objects.update(beat_at=timezone.now() - timedelta(seconds=LEASE + 1))
    house.made.clear()
    house.work(claim("other", clock=house.now))
    warm_up.refresh_from_db()
    assert (warm_up.state, warm_up.stored) == ("done", 10)
    assert set(house.targets) == {f"/products/items/{number}" for number in range(10)}


def test_a_process_that_was_taken_over_stops_and_spoils_nothing(products, house):
    warm_up = start(products, 100)
    slow = claim("slow", clock=house.now)

    def taken_over():
        if house.now > 1003:
            WarmUp.objects.filter(worker="slow").update(worker="fast", done=77, stored=77)

    house.meanwhile = taken_over
    house.work(slow)
    warm_up.refresh_from_db()
    assert (warm_up.worker, warm_up.done, warm_up.stored) == ("fast", 77, 77)
    assert len(house.made) < 100


def test_a_call_that_hangs_holds_back_what_counts_as_done(products, house):
    warm_up = start(products, 3, rate="100/s")
    house.held = []
    (run,) = claim("w", clock=house.now)
    for _ in range(3):
        assert run.go_on(house.submit, house.now)
        house.now += 0.01
    house.held[1].set_result(CallOutcome(STORED))
    house.held[2].set_result(CallOutcome(STORED))
    run.collect()
    run.save(house.now)
    warm_up.refresh_from_db()
    assert (warm_up.done, warm_up.stored) == (0, 0)
    house.held[0].set_result(CallOutcome(FRESH))
    run.collect()
    run.save(house.now)
    warm_up.refresh_from_db()
    assert (warm_up.state, warm_up.done, warm_up.stored, warm_up.fresh) == ("done", 3, 2, 1)


def test_a_cancelled_one_stops_within_a_second(products, house):
    warm_up = start(products, 200)

    def cancel():
        if house.now >= 1002 and not WarmUp.objects.get().is_over:
            warm_up_cancel(actor=PLATFORM, warm_up=warm_up)

    house.meanwhile = cancel
    house.work(claim("w", clock=house.now))
    warm_up.refresh_from_db()
    assert warm_up.state == "cancelled"
    assert house.made[-1][0] <= 1003.1
    assert claim("other") == []


def test_warm_ups_of_one_api_run_one_after_the_other_and_of_two_side_by_side(cast, house):
    first, other = make_api(cast.platform), make_api(cast.platform, "orders")
    one, two, three = start(first, 3), start(first, 3), start(other, 3)
    assert [run.row for run in claim("w", clock=house.now)] == [one, three]
    assert claim("x") == []
    WarmUp.objects.filter(pk=one.pk).update(state="done", ended_at=timezone.now(), worker="")
    assert [run.row for run in claim("x", clock=house.now)] == [two]


def test_one_tenants_slow_calls_leave_room_for_another_tenants(cast, house):
    """Its warm-ups filled all places, and all its calls had to end before those of others went on."""
    for number in range(4):
        start(make_api(cast.acme, f"slow{number}"), 50, rate="1000/s")
    house.held = []
    quick: list[WarmUp] = []

    def submit(api, call, headers):
        if api != "orders":
            return house.submit(api, call, headers)
        future: Future[CallOutcome] = Future()
        future.set_result(CallOutcome(STORED))
        return future

    def another_comes():
        if not quick:
            quick.append(start(make_api(cast.globex, "orders"), 30, rate="1000/s"))
        if house.now >= 1030:
            for future in house.held:
                future.done() or future.set_result(CallOutcome(FAILED, "slow"))

    house.meanwhile = another_comes
    ended = []
    work(
        claim("w", clock=house.now),
        submit,
        until=house.now + 20,
        clock=house.clock,
        rest=house.rest,
        more=lambda beside: claim("w", beside=beside, clock=house.now),
        saved=lambda row: ended.append((house.now, row.stored)) if row.api_slug == "orders" else None,
    )
    assert ended[0] == (pytest.approx(1005, abs=1.1), 30)
    assert len(house.held) == CALLS // 2


def test_a_look_finds_each_tenants_in_turn(cast, house):
    many = [make_api(cast.acme, f"many{number}") for number in range(RUNS // 2)]
    theirs = [start(api) for api in many]
    one, other = start(make_api(cast.globex, "one")), start(make_api(cast.globex, "other"))
    runs = claim("w", clock=house.now)
    assert [run.row for run in runs] == [*theirs[: RUNS // 2 - 1], one, other]
    assert claim("w", beside=runs, clock=house.now) == []


def test_the_top_of_the_last_day_is_what_callers_asked_for_most_and_the_cache_takes_part_in(products, house):
    def called(path, times, **change):
        make_calls(*[{"path": f"/products{path}", "host": "api.test"} | change] * times)

    called("/often", 3)
    called("/oftener", 2)
    called("/oftener", 3, **HIT)
    called("/seldom", 1)
    called("/bypassed", 9, cache="BYPASS")
    called("/refused", 9, status=404)
    called("/written", 9, method="POST")
    called("/long-ago", 9, at=timezone.now().timestamp() - 2 * 86400)
    called("/searched", 9, flags=("with_query",))
    called("/listed", 2, flags=("with_query",))
    called("/listed", 2)
    called("/elsewhere", 9, api="orders")
    warm_up = start(products, 0, urls=[], top=4)
    house.work(claim("w", clock=house.now))
    warm_up.refresh_from_db()
    assert house.targets == ["/products/oftener", "/products/listed", "/products/often", "/products/seldom"]
    assert warm_up.total == 4


def test_without_calls_in_the_last_day_there_is_nothing_to_do(products, house):
    warm_up = start(products, 0, urls=[], top=10)
    house.work(claim("w", clock=house.now))
    warm_up.refresh_from_db()
    assert (warm_up.state, warm_up.total, warm_up.percent) == ("done", 0, 100)
    assert "It wasn't called" in warm_up.sentence


def test_an_api_that_is_gone_by_then_is_said_to_be(products, house):
    warm_up = start(products)
    api_delete(actor=PLATFORM, api=products)
    assert claim("w", clock=house.now) == []
    warm_up.refresh_from_db()
    assert (warm_up.state, warm_up.note) == ("failed", "The API is gone.")


def test_progress_is_told_as_it_is_saved(products, house):
    start(products, 30)
    seen = []
    house.work(claim("w", clock=house.now), saved=lambda row: seen.append(row.done))
    assert seen == sorted(seen)
    assert seen[-1] == 30
    assert len(seen) >= 3


@pytest.mark.parametrize(
    ("status", "cache", "cache_status", "kind"),
    [
        (200, "MISS", "apimgr;fwd=uri-miss;fwd-status=200;ttl=60;stored", STORED),
        (200, "MISS", "other;hit;stored, apimgr;fwd=uri-miss;fwd-status=200;detail=private", PASSED),
        (404, "MISS", "apimgr;fwd=uri-miss;fwd-status=404;ttl=10;stored", STORED),
        (200, "HIT", "apimgr;hit;ttl=5", FRESH),
        (200, "STALE", "apimgr;hit;ttl=-5", FRESH),
        (200, "REVALIDATED", "apimgr;fwd=stale;fwd-status=304;stored", STORED),
        (502, "BYPASS", "apimgr;fwd=bypass", FAILED),
        (404, "MISS", "apimgr;fwd=uri-miss;fwd-status=404", FAILED),
        (200, "BYPASS", "apimgr;fwd=bypass;detail=mode_off", PASSED),
    ],
)
def test_an_answer_says_what_became_of_it(status, cache, cache_status, kind):
    assert outcome_of(status, cache, cache_status).kind == kind


def test_the_reason_for_not_storing_is_told_in_a_sentence():
    outcome = outcome_of(200, "MISS", "apimgr;fwd=uri-miss;detail=set_cookie")
    assert outcome == CallOutcome(PASSED, "The response sets a cookie.")
