"""What validating a typical JSON body costs: ``python -m benchmarks.validation``."""

import json
import timeit

from apps.gateway.validation import json_body
from apps.gateway.validation.validators import Validators
from apps.wire.snapshot import Contract, Definition, Validation

LINE = {
    "type": "object",
    "required": ["sku", "quantity"],
    "properties": {
        "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
        "quantity": {"type": "integer", "minimum": 1, "maximum": 1000},
        "price": {"type": "number", "minimum": 0},
        "note": {"type": "string", "maxLength": 200},
    },
}
ORDER = {
    "type": "object",
    "required": ["id", "lines"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "email": {"type": "string", "format": "email"},
        "lines": {"type": "array", "maxItems": 100, "items": {"$ref": "#/$defs/q1"}},
    },
}
LINES = [
    {"sku": f"ABC-{n:04d}", "quantity": n + 1, "price": 1.5 * n, "note": "of a usual length " * 3} for n in range(16)
]
BODY = json.dumps({"id": "123e4567-e89b-12d3-a456-426614174000", "email": "ann@example.test", "lines": LINES}).encode()


def main() -> None:
    """Print bytes and microseconds."""
    definitions = (Definition("q0", json.dumps(ORDER), ("q1",)), Definition("q1", json.dumps(LINE), (), 1))
    contract, bounds, validators = Contract("bench", (), definitions), Validation("block"), Validators()

    def validate() -> None:
        value, _ = json_body.read(BODY, bounds)
        assert validators.allows(contract, "q0", value)

    validate()
    seconds = min(timeit.repeat(validate, number=100, repeat=200)) / 100
    print(f"{len(BODY)} bytes of JSON: {seconds * 1e6:.1f} µs to read and validate")


if __name__ == "__main__":
    main()
