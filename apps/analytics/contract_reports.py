"""What of calls was not as the OpenAPI document of their API has it, counted by operation, place and rule."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from django.db.models import QuerySet

from apps.analytics.models import ContractReport
from apps.catalog.models import API
from apps.catalog.policies import can_view_configuration
from apps.tenants.actors import Actor
from apps.wire.call_records import INVALID, ResponseFaultRecord, SpooledCallRecord

MOST_PER_API = 200
"""Kinds of faults that are told apart: callers choose the names of an object's members, and so the places."""

OTHERS = ("…", "others")
"""Place and rule of what comes beyond."""

_STAGES = ("validate_head", "validate")
_SIGNS = "injection_"
_NO_NUL = "\N{REPLACEMENT CHARACTER}"

_Key = tuple[str, str, str, str]


def fault_of(call: SpooledCallRecord) -> tuple[str, str] | None:
    """The place and the rule of a call that was reported."""
    if not any(flag == INVALID or flag.startswith(_SIGNS) for flag in call.flags):
        return None
    for stage, decision, _ in call.trace:
        place, space, rule = decision.rpartition(" ")
        if stage in _STAGES and space and place.startswith("/"):
            return _cut(place, rule)
    return None


def count_faults(calls: Iterable[SpooledCallRecord], responses: Iterable[ResponseFaultRecord] = ()) -> None:
    """Add what was reported of these calls and responses; in the transaction that stores them. No query where nothing was."""
    counted: dict[_Key, ContractReport] = {}
    for call in calls:
        if fault := fault_of(call):
            _count(counted, (call.api, call.operation, *fault), call.at, call.call_id)
    for response in responses:
        key = (response.api, response.operation, *_cut(response.place, response.rule))
        _count(counted, key, response.at, response.call_id)
    if counted:
        _store(counted)


def _count(counted: dict[_Key, ContractReport], key: _Key, unix: float, call_id: str) -> None:
    at = datetime.fromtimestamp(unix, UTC)
    report = counted.setdefault(key, _new(key, at))
    report.calls += 1
    report.first_at = min(report.first_at, at)
    if at >= report.last_at:
        report.last_at, report.call_id = at, call_id


def _cut(place: str, rule: str) -> tuple[str, str]:
    return place.replace("\0", _NO_NUL)[:300], rule.replace("\0", _NO_NUL)[:64]


def reports_of(user: Actor | None, api: API) -> QuerySet[ContractReport]:
    """Those of an API, for who may read its configuration."""
    found = ContractReport.objects.filter(api=api.slug)
    return found if can_view_configuration(user, api) else found.none()


def _new(key: _Key, at: datetime) -> ContractReport:
    api, operation, place, rule = key
    return ContractReport(api=api, operation=operation, place=place, rule=rule, first_at=at, last_at=at)


def _store(counted: Mapping[_Key, ContractReport]) -> None:
    kept: dict[_Key, ContractReport] = {}
    told_apart: Counter[str] = Counter()
    for row in ContractReport.objects.filter(api__in={api for api, *_ in counted}):
        kept[row.api, row.operation, row.place, row.rule] = row
        told_apart[row.api] += 1
    changed: dict[_Key, ContractReport] = {}
    for wanted, report in counted.items():
        api = wanted[0]
        full = wanted not in kept and told_apart[api] >= MOST_PER_API
        key = (api, "", *OTHERS) if full else wanted
        if key not in kept:
            kept[key] = _new(key, report.first_at)
            told_apart[api] += 1
        row = changed[key] = kept[key]
        row.calls += report.calls
        row.first_at = min(row.first_at, report.first_at)
        if report.last_at >= row.last_at:
            row.last_at, row.call_id = report.last_at, report.call_id
    ContractReport.objects.bulk_update(
        [row for row in changed.values() if row.pk], ["calls", "first_at", "last_at", "call_id"]
    )
    ContractReport.objects.bulk_create([row for row in changed.values() if not row.pk])
