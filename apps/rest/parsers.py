"""Request bodies, bounded: Django bounds only those that it reads itself."""

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser, JSONParser

JSON_LIMIT = 2 * 2**20
FILE_LIMIT = 10 * 2**20
ANSWER_LIMIT = 12 * 2**20


class TooLarge(APIException):
    """413: the body is larger than this route takes."""

    status_code = 413
    default_code = "too_large"


def read_bounded(stream: IO[bytes], limit: int) -> bytes:
    """The whole body; raises ``TooLarge`` without reading on once it has more than ``limit`` bytes."""
    body = stream.read(limit + 1)
    if len(body) > limit:
        raise TooLarge(f"The body is too large: {limit // 2**20} MiB is the limit.")
    return body


def read_json(body: bytes) -> Any:
    """The value of a JSON text (RFC 8259), whose numbers are finite. Raises ``ParseError``."""
    try:
        return json.loads(body.decode("utf-8-sig"), parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        raise ParseError("The body's values are nested too deeply.") from None
    except ValueError as error:  # also an integer of thousands of digits
        raise ParseError(f"JSON parse error - {error}") from None


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number[:20]} is not a finite number")
    return value


class JSONBody(JSONParser):
    """JSON of 2 MiB at most."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The value; raises ``TooLarge`` or ``ParseError``."""
        return read_json(read_bounded(stream, JSON_LIMIT))


class AnswerBody(BaseParser):
    """JSON that holds a whole response for the cache, in base64 perhaps: of 12 MiB at most.

    Not a ``JSONParser`` itself: those are given bodies that Django has read, with its own, lower bound.
    """

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The value; raises ``TooLarge`` or ``ParseError``."""
        return read_json(read_bounded(stream, ANSWER_LIMIT))


class FileBody(BaseParser):
    """Any document of 10 MiB at most, as bytes."""

    media_type = "*/*"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The bytes of the body; raises ``TooLarge``."""
        return read_bounded(stream, FILE_LIMIT)
