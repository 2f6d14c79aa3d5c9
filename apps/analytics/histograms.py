"""Latency histograms that merge: how many values are in each of fixed, exponentially growing buckets.

After DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees",
VLDB 2019). Bucket ``i`` holds the values in ``(g**(i-1), g**i]`` with ``g = (1 + e) / (1 - e)``, and its representative
``2 * g**i / (g + 1)`` is within ``e`` of each of them. So every quantile of every merged histogram is within 1 % of the value at
that rank: a merge adds counts, and nothing is lost.
"""

from collections.abc import Iterable
from math import ceil, floor, log

ERROR = 0.01
SMALLEST = 0.001  # milliseconds; what is shorter counts as this
LARGEST = 1e8  # milliseconds: more than a day

_GROWTH = (1 + ERROR) / (1 - ERROR)
_LOG_GROWTH = log(_GROWTH)

#: bucket -> count. As it is in the database (msgpack) and everywhere else.
Histogram = dict[int, int]


def bucket_of(value: float) -> int:
    """The bucket of a value in milliseconds."""
    return ceil(log(min(max(value, SMALLEST), LARGEST)) / _LOG_GROWTH)


def value_of(bucket: int) -> float:
    """The representative of a bucket, in milliseconds."""
    return float(2 * _GROWTH**bucket / (_GROWTH + 1))


def merge(into: Histogram, other: Histogram) -> None:
    """Add the counts of ``other`` to ``into``."""
    for bucket, count in other.items():
        into[bucket] = into.get(bucket, 0) + count


def quantiles(histogram: Histogram, shares: Iterable[float]) -> list[float | None]:
    """The value at each share (0..1) of the ordered values: at rank floor(share * (n - 1)). ``None`` when there are no values."""
    total = sum(histogram.values())
    ordered = sorted(histogram.items())
    found: list[float | None] = []
    for share in shares:
        rank = floor(share * (total - 1))
        seen = 0
        for bucket, count in ordered:
            seen += count
            if seen > rank:
                found.append(value_of(bucket))
                break
        else:
            found.append(None)
    return found
