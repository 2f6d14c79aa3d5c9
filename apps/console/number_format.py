"""How numbers are written: thousands separated, 3 significant digits, the unit beside; a dash where there is no data."""

from datetime import timedelta
from math import ceil, floor, isfinite, log10

#: Between a number and its unit: they stay on one line.
THIN = "\u00a0"
DASH = "–"

_SIZES = ("B", "kB", "MB", "GB", "TB")


def significant(value: float, digits: int = 3) -> str:
    """``value`` with ``digits`` significant digits, never in exponent form: ``12.4``, ``0.0123``, ``1,240``."""
    if value == 0:
        return "0"
    exponent = floor(log10(abs(value)))
    decimals = digits - 1 - exponent
    rounded = round(value, decimals)
    text = f"{rounded:,.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def number(value: float | None) -> str:
    """A count in full (``1,204``), another number with 3 significant digits; a dash for none."""
    if value is None or not isfinite(value):
        return DASH
    return f"{value:,}" if isinstance(value, int) else significant(float(value))


def percent(ratio: float | None) -> str:
    """A ratio between 0 and 1: ``98.2 %``."""
    if ratio is None or not isfinite(ratio):
        return DASH
    return f"{significant(ratio * 100)}{THIN}%"


def milliseconds(value: float | None) -> str:
    """A duration given in milliseconds: ``0.42 ms``, ``12.4 ms``, ``1.2 s``."""
    if value is None or not isfinite(value):
        return DASH
    return f"{significant(value / 1000)}{THIN}s" if value >= 1000 else f"{significant(value)}{THIN}ms"


def whole_milliseconds(value: float | None) -> str:
    """A receipt's duration, rounded up as its sentence has it everywhere: ``17 ms``."""
    return DASH if value is None else f"{ceil(value):,}{THIN}ms"


def size(value: float | None) -> str:
    """A number of bytes: ``12.4 kB`` (powers of 1,000)."""
    if value is None:
        return DASH
    amount = float(value)
    unit = _SIZES[0]
    for unit in _SIZES:
        if abs(amount) < 1000 or unit == _SIZES[-1]:
            break
        amount /= 1000
    return f"{significant(amount)}{THIN}{unit}"


def duration(value: float | timedelta | None) -> str:
    """A span given in seconds, in its largest whole units: ``500 ms``, ``90 s``, ``15 min``, ``2 h 30 min``, ``30 d``."""
    if value is None:
        return DASH
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if 0 < abs(seconds) < 1:
        return milliseconds(seconds * 1000)
    if seconds < 120 and seconds % 60:
        return f"{significant(seconds)}{THIN}s"
    words = []
    rest = round(seconds)
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, length)
        if count:
            words.append(f"{count}{THIN}{unit}")
    return " ".join(words[:2]) or f"0{THIN}s"


def per(seconds: float) -> str:
    """The period of a rate: ``s``, ``min``, ``h``, or a longer one in full."""
    words = duration(seconds)
    return words.removeprefix(f"1{THIN}")


def counted(value: int | None, noun: str, plural: str = "") -> str:
    """``1 call``, ``1,204 calls``."""
    if value is None:
        return DASH
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"
