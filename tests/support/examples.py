"""How many examples property tests try: few enough for every run, and many times that for ``make soak``."""

import os

SOAK = int(os.environ.get("SOAK", "1"))
"""By how much ``make soak`` multiplies them."""


def examples(count: int) -> int:
    """Examples to try where every run tries ``count``."""
    return count * SOAK
