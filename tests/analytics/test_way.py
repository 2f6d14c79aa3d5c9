"""The way of a call record: spool, agent, stream, database; whatever dies on it, each call is counted once."""

from pathlib import Path

import pytest
import redis

from apps.analytics import selectors
from apps.analytics.models import CallRecord
from apps.gateway.records.spool import SpoolWriter
from tests.analytics.records import deliver, write

pytestmark = pytest.mark.django_db


def test_a_call_becomes_a_row_and_a_figure(folder: Path, spool: SpoolWriter, state: redis.Redis):
    ids = write(spool, 3)
    assert deliver(folder, state) == 3
    assert set(CallRecord.objects.values_list("call_id", flat=True)) == set(ids)
    told = selectors.summary(selectors.Question.asked(selectors.ALL))
    assert told["calls"] == 3
    assert told["hit_ratio"] == 0
    assert told["completeness"] == {"received": 3, "expected": 3}
