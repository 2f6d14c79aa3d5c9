"""Walking the chain of audit entries: is everything there, as it was written?"""

import hmac

from django.db import connection

from apps.audit import append_only, chain
from apps.audit.chain import Head
from apps.audit.models import Entry, Epoch

CHUNK = 1_000
"""Entries that are read at a time."""


class Broken(Exception):
    """The chain doesn't hold. The message is for people, and names the first entry that is wrong."""


def head() -> Head:
    """The number and the hash of the last change. One query."""
    row = Epoch.objects.filter(pk=1).values_list("n", "head").first()
    return Head(*row) if row else Head(0, "")


def verify(*kept: Head) -> Head:
    """Walk the chain from its first entry to its last; returns the last one's head.

    ``kept`` are heads of before, which were kept where who writes to the database can't reach them: each must still be there.
    Raises ``Broken``. Reads ``CHUNK`` entries at a time; changes that are made meanwhile may or may not be walked.
    """
    if lacking := append_only.missing(connection):
        raise Broken(f"The database lacks {', '.join(lacking)}: entries could be changed. Run manage.py migrate.")
    expected = {each.epoch: each for each in (*kept, head()) if each.epoch}
    if any(expected[each.epoch] != each for each in kept):
        raise Broken(f"The last entry is not the one that was kept: {head()}.")
    last = Head(0, "")
    while rows := list(Entry.objects.filter(epoch__gt=last.epoch).order_by("epoch").values()[:CHUNK]):
        for row in rows:
            if row["previous_hash"] != last.hash:
                raise Broken(_gap(last.epoch, row["epoch"]))
            links = chain.links_of(row)
            if not hmac.compare_digest(links.hash, row["hash"]):
                raise Broken(f"Entry {row['epoch']} is not as it was written: its hash is another one.")
            if not hmac.compare_digest(links.mac, row["mac"]):
                raise Broken(
                    f"Entry {row['epoch']} was not written by this installation, or under another KEY_PEPPER: its MAC is "
                    "another one."
                )
            last = Head(row["epoch"], row["hash"])
            if (known := expected.pop(last.epoch, last)) != last:
                raise Broken(f"Entry {last.epoch} is not the one that was kept: {known}.")
    if expected:
        raise Broken(f"The chain ends with entry {last.epoch}: entry {min(expected)} was there, and is missing.")
    return last


def _gap(before: int, after: int) -> str:
    if after > before + 1:
        return f"Entry {before + 1} is missing: after entry {before} comes entry {after}."
    return f"Entry {after} does not follow entry {before}: one of them was replaced."
