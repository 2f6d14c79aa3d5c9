"""Reading warm-ups, scoped to who asks."""

from apps.warming.policies import warm_ups_visible_to

__all__ = ["warm_ups_visible_to"]
