"""Makes the platform what a declarative file says.

A plan line says what changed: it is the difference between an object's document before and after its service ran, so that
``--dry-run`` (everything is done and rolled back) can't promise anything else than what happens.
"""

from django.db import transaction

from apps.declarative.entries import EGRESS_WORD, FileEntry, check_outline, entries_of
from apps.declarative.making import STEPS, egress, prepare_documents, prepare_passwords
from apps.declarative.pruning import PRUNERS
from apps.declarative.reader import FileSource
from apps.declarative.run import FileRun


def apply(source: FileSource, *, prune: bool = False, dry_run: bool = False) -> list[str]:
    """Apply ``source`` in one transaction and return the plan lines; with ``dry_run`` it is rolled back at the end.

    Raises ``FileError``, and nothing is changed.
    """
    check_outline(source)
    run = FileRun(source)
    prepare_passwords(run, entries_of(source, "users") or [])
    prepare_documents(run, entries_of(source, "apis") or [])
    with transaction.atomic():
        if EGRESS_WORD in source.data:
            egress(run, FileEntry((EGRESS_WORD,), source.data[EGRESS_WORD]))
        for name, step in STEPS.items():
            listed = entries_of(source, name)
            if listed is not None:
                step(run, listed)
        if prune:
            for name, pruner in PRUNERS.items():
                if name in source.data:
                    pruner(run)
        if dry_run:
            transaction.set_rollback(True)
    return run.lines
