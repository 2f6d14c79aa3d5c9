"""Reading purges, and what the two tiers hold, scoped to who asks."""

from apps.purging.policies import applications_explainable_by, purges_visible_to
from apps.purging.tiers import CacheTiers, LocalTier, SharedTier, StoredSize, cache_tiers

__all__ = [
    "CacheTiers",
    "LocalTier",
    "SharedTier",
    "StoredSize",
    "applications_explainable_by",
    "cache_tiers",
    "purges_visible_to",
]
