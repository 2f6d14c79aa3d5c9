"""What is stored is complete by itself: RFC 9111 §3 (what a stored answer is), §4 (what a hit must know)."""

from dataclasses import fields

from apps.httpcache.entry import MAX_LIFE, CacheEntry, Variants
from tests.httpcache.build import BIRTH, NOW, plan, stored


def test_an_entry_knows_every_moment_at_which_something_changes():
    entry = stored(
        [("Cache-Control", "max-age=60, stale-while-revalidate=10, stale-if-error=20"), ("ETag", '"a"')]
    ).entry
    moments = (entry.fresh_until, entry.swr_until, entry.sie_5xx_until, entry.sie_unreachable_until)
    assert moments == (NOW + 60, NOW + 70, NOW + 80, NOW + 80)
    assert max(moments) < entry.keep_until <= NOW + MAX_LIFE


def test_an_entry_knows_whose_it_is_and_since_when():
    entry = stored([("Cache-Control", "max-age=60")]).entry
    assert (entry.key, entry.scope, entry.owner, entry.birth) == (plan().keys[0], 0, b"", BIRTH)
    assert entry.rule


def test_what_is_added_to_entries_has_a_default_so_that_older_ones_can_be_read():
    """An entry in the shared tier outlives the software that wrote it."""
    from dataclasses import MISSING

    later = [
        each
        for each in fields(CacheEntry)
        if each.name in ("downstream", "surrogates", "immutable", "personal", "holder")
    ]
    assert all(each.default is not MISSING for each in later)


def test_variants_remember_lists_of_names_and_stored_keys():
    assert Variants(((b"accept",),), (b"k",), NOW) == Variants(((b"accept",),), (b"k",), NOW)
