"""Reads an OpenAPI 3.x or Swagger 2 document that somebody uploaded: hostile until shown otherwise.

Bounded in bytes, parts and depth (YAML aliases count as what they stand for), no reference that leaves the document, and
nothing is ever fetched or opened: a ``$ref`` to a URL or a file is how such documents read a server's secrets. Services read it
``reader_process``, where its time and memory are bounded too.
"""

from django.core.exceptions import ValidationError

from apps.catalog.openapi.checking import refuse_foreign_references, validate
from apps.catalog.openapi.describing import Description, describe
from apps.catalog.openapi.error_locations import DocumentRefused
from apps.catalog.openapi.loading import load
from apps.catalog.openapi.reader_process import read_aside

__all__ = ["Description", "read", "read_aside"]


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
