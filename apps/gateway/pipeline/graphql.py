"""GraphQL operations in one form, so that calls that ask for the same share a cache key.

Only an operation that is surely a query is put in a form; everything else says why not. Texts are parsed by
graphql-core, within bounds, and remembered: parsing takes about a tenth of a millisecond for a text of usual size.
"""

from sys import getsizeof
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse, print_ast

from apps.httpcache import Reason
from apps.httpcache.bounded_table import remembered
from apps.httpcache.canonical import Doubtful, serialize
from apps.httpcache.canonical import parse as parse_json
from apps.httpcache.messages import Headers
from apps.httpcache.request_body import is_plain_json

MAX_TEXT = 16 * 1024
"""Characters of a document that is still parsed."""

MAX_TOKENS = 1000
"""Tokens of a document that is still parsed: the worst takes about 10 ms of a worker. The usual question for a whole schema
has 350.
"""

_REFUSED = {
    OperationType.MUTATION: Reason.GRAPHQL_MUTATION,
    OperationType.SUBSCRIPTION: Reason.GRAPHQL_SUBSCRIPTION,
}


DOCUMENTS_BYTES = 8 * 2**20
"""Bytes for documents that are remembered in their one text: some thousands of the usual ones."""

_Read = tuple[str, dict[str | None, OperationType]]


def _size_of(text: str, found: _Read | None) -> int:
    return 500 + getsizeof(text) + (getsizeof(found[0]) + 300 * len(found[1]) if found is not None else 0)


@remembered(DOCUMENTS_BYTES, _size_of)
def _read(text: str) -> _Read | None:
    """A document's one text, and the kinds of its operations by name; ``None`` for what can't be read."""
    try:
        document = parse(text, no_location=True, max_tokens=MAX_TOKENS)
        operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
        kinds = {each.name.value if each.name else None: each.operation for each in operations}
        if len(kinds) != len(operations):
            return None
        return print_ast(document), kinds
    except (GraphQLError, RecursionError):
        return None


def _operation(text: object, name: object) -> str | Reason:
    """The one text of the document whose operation ``name`` is a query, or why there is none."""
    found = _read(text) if isinstance(text, str) and len(text) <= MAX_TEXT else None
    if found is None or not (name is None or isinstance(name, str)):
        return Reason.GRAPHQL_UNREADABLE
    normal, kinds = found
    if name is None and len(kinds) == 1:
        kind = next(iter(kinds.values()))
    elif name is not None and name in kinds:
        kind = kinds[name]
    else:
        # The origin is to say what is wrong with it; if it guesses, it may write.
        return Reason.GRAPHQL_MUTATION if OperationType.MUTATION in kinds.values() else Reason.GRAPHQL_UNREADABLE
    return _REFUSED.get(kind) or normal


def form_of(headers: Headers, body: bytes) -> bytes | Reason:
    """The one form of the operation that a body carries (GraphQL over HTTP), or why it isn't cacheable.

    The form is the body's canonical JSON with the query's text normalised, and without members that are ``null``;
    other members than GraphQL's own stay in it.
    """
    if not is_plain_json(headers):
        return Reason.GRAPHQL_UNREADABLE
    try:
        asked: Any = parse_json(body)
    except Doubtful:
        return Reason.GRAPHQL_UNREADABLE
    if isinstance(asked, list):
        return Reason.GRAPHQL_BATCH
    if not isinstance(asked, dict):
        return Reason.GRAPHQL_UNREADABLE
    told = {name: value for name, value in asked.items() if value is not None}
    if "query" not in told:
        return Reason.GRAPHQL_PERSISTED if _has_no_text(told) else Reason.GRAPHQL_UNREADABLE
    text = _operation(told["query"], told.get("operationName"))
    if isinstance(text, Reason):
        return text
    try:
        return serialize({**told, "query": text})
    except Doubtful:
        return Reason.GRAPHQL_UNREADABLE


def _has_no_text(told: dict[str, Any]) -> bool:
    return "extensions" in told or "id" in told or "documentId" in told


def in_query(query: bytes) -> bytes | Reason:
    """A URL's query with the text of its GraphQL document in one form; as it is where it has none, or one that can't
    be read: a GET is safe, and the origin is to say what is wrong. The reason, for what isn't a query operation.
    """
    parts = query.split(b"&")
    found = [index for index, part in enumerate(parts) if part.startswith(b"query=")]
    if len(found) != 1:
        return query
    names = [part[len(b"operationName=") :] for part in parts if part.startswith(b"operationName=")]
    try:
        text = _plain(parts[found[0]][len(b"query=") :])
        name = _plain(names[0]) if names else None
    except UnicodeDecodeError:
        return query
    normal = _operation(text, name or None) if len(names) < 2 else Reason.GRAPHQL_UNREADABLE
    if normal is Reason.GRAPHQL_UNREADABLE:
        return query
    if isinstance(normal, Reason):
        return normal
    parts[found[0]] = b"query=" + quote(normal, safe="").encode()
    return b"&".join(parts)


def _plain(value: bytes) -> str:
    return unquote_to_bytes(value.replace(b"+", b" ")).decode("utf-8")
