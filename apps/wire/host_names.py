"""Host names and the wildcards over them: the one place that knows what ``*`` stands for, for both planes.

``*.example.com`` means what it means in a certificate (RFC 9525 §6.3): any one whole label in front of ``.example.com``, so
``shop.example.com``, and neither ``example.com`` nor ``a.shop.example.com``. So over each name there is one wildcard at most.
"""

from collections.abc import Sequence


def wildcard_over(name: bytes) -> bytes:
    """The wildcard that reaches ``name`` (lower case, without port); ``b""`` where none can. Over a wildcard it is itself."""
    label, dot, parent = name.partition(b".")
    return b"*." + parent if label and dot and parent else b""


def wildcard_of(host: str) -> str:
    """The same of a text, in the form in which hosts are stored."""
    return wildcard_over(host.encode()).decode()


def is_wildcard(host: str) -> bool:
    """Whether this stands for hosts, and is none itself."""
    return host.startswith("*")


def is_among(host: str, hosts: Sequence[str]) -> bool:
    """Whether one of an API's ``hosts`` is ``host``, or a wildcard over it."""
    return host in hosts or wildcard_of(host) in hosts
