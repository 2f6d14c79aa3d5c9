"""Reads a document in this process. Only a process of its own does that for users: ``reader_process``."""

from django.core.exceptions import ValidationError

from apps.catalog.openapi.checking import refuse_foreign_references, validate
from apps.catalog.openapi.describing import Description, describe
from apps.catalog.openapi.error_locations import DocumentRefused
from apps.catalog.openapi.loading import load


def read(content: bytes) -> Description:
    """The document in ``content``, JSON or YAML. Raises ``ValidationError`` on the field ``document``, naming the place."""
    try:
        return understood(content)
    except DocumentRefused as refusal:
        raise ValidationError({"document": list(refusal.args)}) from None


def understood(content: bytes) -> Description:
    """The same. Raises ``DocumentRefused``."""
    document = load(content)
    refuse_foreign_references(document)
    validate(document)
    return describe(document)
