"""HTTP dates (RFC 9110 §5.6.7), read without regard to case as RFC 9111 §4.2 asks of caches."""

import calendar
import re
import time
from functools import lru_cache

_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), 1
    )
}
_MONTH = rb"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_CLOCK = rb"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_FORMATS = (
    re.compile(
        rb"(?:mon|tue|wed|thu|fri|sat|sun), (?P<day>\d\d) " + _MONTH + rb" (?P<year>\d{4}) " + _CLOCK + rb" gmt"
    ),
    re.compile(
        rb"(?:mon|tues|wednes|thurs|fri|satur|sun)day, (?P<day>\d\d)-"
        + _MONTH
        + rb"-(?P<year>\d\d) "
        + _CLOCK
        + rb" gmt"
    ),
    re.compile(rb"(?:mon|tue|wed|thu|fri|sat|sun) " + _MONTH + rb" (?P<day>[ \d]\d) " + _CLOCK + rb" (?P<year>\d{4})"),
)
_DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def parse(value: bytes, now: float) -> int | None:
    """Unix seconds of an HTTP date in any of its three forms, or ``None`` if it is none of them.

    ``now`` settles the century of a two-digit year: never more than 50 years ahead (RFC 9110 §5.6.7).
    """
    text = value.strip(b" \t").lower()
    for form in _FORMATS:
        match = form.fullmatch(text)
        if match:
            break
    else:
        return None
    year, month, day = int(match["year"]), _MONTHS[match["month"]], int(match["day"])
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    if len(match["year"]) == 2:
        this_year = time.gmtime(now).tm_year
        year += this_year - this_year % 100
        if year > this_year + 50:
            year -= 100
    if not 1 <= day <= _DAYS_IN_MONTH[month - 1] or hour > 23 or minute > 59 or second > 60 or year < 1:
        return None
    return calendar.timegm((year, month, day, hour, minute, second))


@lru_cache(maxsize=4)
def _imf_fixdate(second: int) -> bytes:
    moment = time.gmtime(second)
    day = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")[moment.tm_wday]
    month = list(_MONTHS)[moment.tm_mon - 1].capitalize()
    return b"%s, %02d %s %04d %02d:%02d:%02d GMT" % (day, moment.tm_mday, month, moment.tm_year, *moment[3:6])


def format_date(now: float) -> bytes:
    """``now`` as an IMF-fixdate."""
    return _imf_fixdate(int(now))
