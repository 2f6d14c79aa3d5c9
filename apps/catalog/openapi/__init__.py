"""Reads an OpenAPI 3.x or Swagger 2 document that a user uploaded: hostile until shown otherwise.

Bounded in bytes, parts and depth (YAML aliases count as what they stand for), no reference is followed out of the document, and
nothing is ever fetched or opened: a ``$ref`` to a URL or a file is how such documents read a server's secrets. Services read it
``reader_process``, where its time and memory are bounded too.
"""

from apps.catalog.openapi.describing import Description
from apps.catalog.openapi.reader_process import read_aside

__all__ = ["Description", "read_aside"]
