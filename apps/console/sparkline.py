"""A spark line: a small picture of a trend, for a table's cell."""

from collections.abc import Sequence

from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.console.number_format import DASH

WIDTH, HEIGHT = 96, 24


def spark(values: Sequence[float] | None) -> SafeString:
    """An SVG polyline of ``values``, evenly spaced, scaled to the largest. A dash without any."""
    if not values or not any(values):
        return SafeString(DASH)
    top = max(values)
    step = WIDTH / max(len(values) - 1, 1)
    points = " ".join(
        f"{index * step:.1f},{HEIGHT - 2 - (HEIGHT - 4) * value / top:.1f}" for index, value in enumerate(values)
    )
    return format_html(
        '<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{}"><polyline points="{}"/></svg>',
        WIDTH,
        HEIGHT,
        f"from {values[0]:,} to {values[-1]:,}, at most {top:,}",
        points,
    )
