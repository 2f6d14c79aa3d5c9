"""How paths of the gateway and paths of an API go into each other: the one place that knows it, for both planes.

A listen path with a slash at its end, ``/products/``, is where an API's paths begin: ``/products/items`` is its ``/items``.
One without, ``/graphql``, is an endpoint too: this very path is the API's ``/``, and ``/graphql/x`` its ``/x``. So ``/`` is
at one address alone, the listen path as it is written, and the other spelling is redirected there.
"""


def stem_of(listen_path: str) -> str:
    """The listen path without a slash at its end: two APIs with one stem would be in one place."""
    return listen_path.removesuffix("/")


def path_below(listen_path: str, path: bytes) -> bytes:
    """What a path of the gateway, which is on or below the listen path, is to the API; with a slash in front."""
    return path[len(listen_path) - listen_path.endswith("/") :] or b"/"


def is_at(listen_path: str, path: bytes) -> bool:
    """Whether calls to ``path`` are answered by an API that listens there: not redirected, and not elsewhere."""
    listens = listen_path.encode()
    if listens.endswith(b"/"):
        return path.startswith(listens)
    return path == listens or (path.startswith(listens + b"/") and len(path) > len(listens) + 1)


def path_at(listen_path: str, path: str) -> str:
    """Where the gateway serves the API's ``path`` (with or without a slash in front)."""
    below = path.removeprefix("/")
    return f"{stem_of(listen_path)}/{below}" if below and below[0] not in "?#" else f"{listen_path}{below}"
