"""What a dashboard is asked: a span of time and some filters, both in the address."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.urls import reverse
from django.utils.dateparse import parse_datetime

#: query word -> its name and length
PRESETS: dict[str, tuple[str, timedelta]] = {
    "15m": ("15 min", timedelta(minutes=15)),
    "1h": ("1 h", timedelta(hours=1)),
    "24h": ("24 h", timedelta(hours=24)),
    "7d": ("7 d", timedelta(days=7)),
    "30d": ("30 d", timedelta(days=30)),
}
DEFAULT = "24h"
LONGEST = timedelta(days=3660)

#: Filters of figures, and the further ones of the call log.
FIGURES = ("api", "tenant", "application", "operation")
CALLS = (*FIGURES, "cache", "reason", "cause", "status", "path", "request_id", "call_id")


@dataclass(frozen=True)
class Window:
    """From ``since`` to before ``until``. ``preset``: the word of a span that ends now; empty for the reader's own."""

    since: datetime
    until: datetime
    preset: str = ""

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.until - self.since

    @property
    def before(self) -> "Window":
        """The span of equal length that ends where this one starts."""
        return Window(self.since - self.length, self.since)

    @property
    def words(self) -> str:
        """For a sentence: ``the last 24 h``, or the span itself."""
        if self.preset:
            return f"the last {PRESETS[self.preset][0]}"
        return f"the time from {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class AnalyticsQuery:
    """One question of the reader."""

    window: Window
    filters: dict[str, str]
    refusal: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str], now: datetime, names: tuple[str, ...] = FIGURES) -> "AnalyticsQuery":
        """What an address asks. A span that can't be read is refused in words, and the last 24 hours stand in for it."""
        filters = {name: value.strip()[:400] for name in names if (value := query.get(name, "")).strip()}
        try:
            return cls(_window(query, now), filters)
        except ValueError as refusal:
            return cls(_preset(DEFAULT, now), filters, str(refusal))

    @property
    def figures(self) -> dict[str, str]:
        """The filters that figures know."""
        return {name: value for name, value in self.filters.items() if name in FIGURES}

    def query(self, **changes: str) -> str:
        """The address's query, with ``changes``: an empty value takes a word out."""
        if self.window.preset:
            words = {"span": self.window.preset}
        else:
            words = {"since": _text(self.window.since), "until": _text(self.window.until)}
        if "span" in changes:
            words = {"span": changes["span"]}
        return urlencode({name: value for name, value in {**words, **self.filters, **changes}.items() if value})

    def address(self, route: str, *args: str, **changes: str) -> str:
        """A page of the console for the same question, with ``changes``."""
        return f"{reverse(f'console:{route}', args=args)}?{self.query(**changes)}"

    def without_time(self, route: str, *args: str, **changes: str) -> str:
        """The same without its span: the script adds the one that the reader points at."""
        words = {name: value for name, value in {**self.filters, **changes}.items() if value}
        return f"{reverse(f'console:{route}', args=args)}?{urlencode(words)}"


def _window(query: Mapping[str, str], now: datetime) -> Window:
    since, until = query.get("since", ""), query.get("until", "")
    if not since and not until:
        span = query.get("span") or DEFAULT
        if span not in PRESETS:
            raise ValueError(f"There is no span {span[:20]!r}: take one of {', '.join(PRESETS)}.")
        return _preset(span, now)
    zone = _zone(query.get("zone", ""))
    end = _moment(until, zone) if until else now
    start = _moment(since, zone) if since else end - PRESETS[DEFAULT][1]
    if start >= end:
        raise ValueError("The span has to end after it starts.")
    return Window(max(start, end - LONGEST), end)


def _preset(span: str, now: datetime) -> Window:
    return Window(now - PRESETS[span][1], now, span)


def _moment(text: str, zone: tzinfo) -> datetime:
    """A time; one that names no zone is in the reader's."""
    try:
        found = parse_datetime(text.strip().replace(" ", "+") if "T" in text else text.strip())
    except ValueError:
        found = None
    if found is None or not 1970 < found.year < 9999:
        raise ValueError(f"{text[:40]!r} is no time: write one like 2026-01-31T12:00.")
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
