"""How much of a quota is used, read from what the gateways' script keeps."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from apps.fleet import state
from apps.fleet.quota_usage import QuotaUse, period_now, quotas_used
from apps.gateway.limits import allowances
from apps.wire import redis_names

SCRIPT = Path(allowances.__file__).with_name("allowances.lua").read_text()
NOW = datetime(2026, 11, 22, 23, 59, tzinfo=UTC)


def test_periods_are_named_as_the_gateways_script_names_them():
    assert period_now("month", NOW) == "m2026-11"
    assert period_now("day", NOW) == f"d{int(NOW.timestamp()) // 86400}"
    assert period_now("hour", NOW) == f"h{int(NOW.timestamp()) // 3600}"


@pytest.mark.parametrize("period", ["hour", "day", "month"])
def test_the_script_and_the_reader_agree_on_the_period(state_redis, period):
    script = state_redis.register_script(SCRIPT)
    script(keys=[f"{redis_names.ALLOWANCES}7"], args=["one", 1, 0, 0, 0, 0, 4, 60, "", "", 100, period])
    seconds, _ = state_redis.time()
    assert quotas_used({7: (100, period)}, datetime.fromtimestamp(seconds, UTC)) == {7: QuotaUse(4, 100)}


def test_what_was_used_in_an_earlier_period_is_over(state_redis):
    state_redis.hset(f"{redis_names.ALLOWANCES}7", mapping={"period": "m2026-10", "used": "90"})
    assert quotas_used({7: (100, "month")}, NOW)[7] == QuotaUse(0, 100)


def test_who_has_not_called_has_used_nothing(state_redis):
    assert quotas_used({7: (100, "month")}, NOW)[7].left == 100


def test_nothing_is_left_of_a_quota_that_was_lowered_below_its_use():
    assert QuotaUse(used=120, quota=100).left == 0


def test_nothing_is_said_while_redis_is_away(extra_valkey, monkeypatch, settings):
    away = extra_valkey("state")
    settings.REDIS_URL = away.url
    away.kill()
    assert quotas_used({7: (100, "month")}, NOW) == {}


def test_no_question_without_a_quota(monkeypatch):
    monkeypatch.setattr(state, "client", lambda: pytest.fail("asked"))
    assert quotas_used({}, NOW) == {}
