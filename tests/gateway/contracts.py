"""Contracts of documents that tests write."""

from typing import Any

import msgspec

from apps.catalog.openapi.contract import contract_of
from apps.catalog.openapi.describing import describe
from apps.wire.snapshot import Contract

ITEM = {
    "type": "object",
    "required": ["id", "name", "price"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "integer", "readOnly": True},
        "name": {"type": "string", "minLength": 1, "maxLength": 20, "pattern": "^[A-Z]"},
        "price": {"type": "number", "minimum": 0},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}},
    },
}


def document(paths: dict[str, Any], version: str = "3.1.0", **schemas: Any) -> dict[str, Any]:
    """An OpenAPI document."""
    return {
        "openapi": version,
        "info": {"title": "Shop", "version": "1"},
        "paths": paths,
        "components": {"schemas": {"Item": ITEM} | schemas},
    }


def accepting(schema: Any, **more: Any) -> dict[str, Any]:
    """An operation that takes JSON of this schema."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}, **more}


def contract(paths: dict[str, Any], version: str = "3.1.0", slug: str = "products", **schemas: Any) -> Contract:
    """What gateways validate calls of ``slug`` by."""
    written = document(paths, version, **schemas)
    description, _ = describe(written)
    made, _ = contract_of(written, version[:3], description.operations)
    assert made is not None
    return msgspec.structs.replace(msgspec.convert(made, Contract), slug=slug)
