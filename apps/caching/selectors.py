"""Reading purges, scoped to who asks."""

from apps.caching.policies import purges_visible_to

__all__ = ["purges_visible_to"]
