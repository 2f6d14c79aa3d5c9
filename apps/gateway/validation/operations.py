"""Which operation of the document a call is for, and which content types its body may have."""

from apps.httpcache.messages import Headers
from apps.httpcache.patterns import template
from apps.wire.snapshot import Contract, OperationContract


def operation_for(contract: Contract, method: str, path: bytes) -> OperationContract | list[str]:
    """The operation for a call to ``path`` (normalised, below the listen path); else the methods that the path has, none where the
    document doesn't know it. HEAD falls under GET where it isn't described itself (RFC 9110 §9.3.2).
    """
    methods: list[str] = []
    of_get = None
    for operation in contract.operations:
        if template(operation.path).fullmatch(path):
            if operation.method == method:
                return operation
            if operation.method == "GET" and of_get is None:
                of_get = operation
            methods.append(operation.method)
    if method == "HEAD" and of_get is not None:
        return of_get
    return sorted({*methods, *(["HEAD"] if "GET" in methods else [])})


def media_type(value: bytes) -> tuple[str, str]:
    """A ``Content-Type``'s media type without parameters, and its charset, both in lower case; empty where it has none."""
    kind, _, parameters = value.decode("latin-1").lower().partition(";")
    for parameter in parameters.split(";"):
        name, _, charset = parameter.partition("=")
        if name.strip() == "charset":
            return kind.strip(), charset.strip().strip('"')
    return kind.strip(), ""


def is_coded(headers: Headers) -> bool:
    """Whether a body has a content coding (RFC 9110 §8.4). ``identity`` is none, and a field that says so hides nothing."""
    return any(name == b"content-encoding" and value.lower() not in (b"", b"identity") for name, value in headers)


def is_json(kind: str) -> bool:
    """Whether a media type (lower case, without parameters) is JSON's (RFC 6839 §3.1)."""
    return kind == "application/json" or kind.endswith("+json")


def schema_for(content: tuple[tuple[str, str], ...], kind: str) -> str | None:
    """The definition for a body of this media type, the most specific range first (empty: any value); ``None``: not allowed."""
    by_kind = dict(content)
    for each in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        if each in by_kind:
            return by_kind[each]
    return None
