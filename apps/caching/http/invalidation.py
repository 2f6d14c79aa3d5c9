"""What ends stored answers: unsafe methods and purges, both by tags (RFC 9111 §4.4).

An entry has the tag of its API, of its exact path, of each prefix of that path by whole segments, of each of its
surrogate keys, and, where it isn't shared by all, of the tenant, the application and the subject that it belongs to.
Paths are relative to the API's listen path, in normalised form, with a leading slash. All variants and scopes of a
URL share them.
"""

from collections.abc import Collection
from urllib.parse import urljoin, urlsplit

from apps.caching.http.entry import Entry
from apps.caching.http.fields import first
from apps.caching.http.messages import Request, ResponseHead
from apps.caching.http.normalise import normalise_target
from apps.caching.http.policy import OFF, Policy

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "REPORT", "SEARCH"})
"""Every other method, known or not, is taken for one that writes."""


def tag_of_api(api: str) -> str:
    """Everything stored for an API."""
    return f"a:{api}"


def tag_of_path(api: str, path: bytes) -> str:
    """One path with every query and variant."""
    return f"p:{api}:{path.decode('latin-1')}"


def tag_of_prefix(api: str, prefix: bytes) -> str:
    """A path and everything below it, by whole segments: ``/items`` covers ``/items``, ``/items/`` and ``/items/7``,
    not ``/items7``.
    """
    return f"x:{api}:{prefix.rstrip(b'/').decode('latin-1')}"


def tag_of_key(api: str, surrogate_key: str) -> str:
    """Every answer that the origin marked with this surrogate key."""
    return f"k:{api}:{surrogate_key}"


def tag_of_tenant(tenant: str) -> str:
    """Every answer that is this tenant's own, or that of one of its applications or subjects, in all APIs."""
    return f"t:{tenant}"


def tag_of_application(application: str) -> str:
    """Every answer that is this application's own or that of one of its subjects; ``application`` is ``tenant/slug``."""
    return f"o:{application}"


def tag_of_subject(subject: str) -> str:
    """Every answer that is this subject's own."""
    return f"s:{subject}"


def tags_of(entry: Entry) -> tuple[str, ...]:
    """All tags under which a purge ends this entry."""
    api, path = entry.api, entry.path.decode("latin-1")
    stem = f"x:{api}:"
    prefixes = [stem]
    at = path.find("/", 1)
    while at != -1:
        prefixes.append(stem + path[:at])
        at = path.find("/", at + 1)
    prefixes.append(stem + path.rstrip("/"))
    return (
        f"a:{api}",
        f"p:{api}:{path}",
        *dict.fromkeys(prefixes),
        *(f"k:{api}:{key}" for key in entry.tags),
        *(f"{kind}:{name}" for kind, name in zip("tos", entry.holder, strict=False) if name),
    )


def paths_meant(path: str, listen_path: str) -> tuple[bytes, ...]:
    """The stored paths that a person, or an origin, may mean by ``path``: below the listen path, or with it in front.

    A purge of both is exact enough: it can only end an answer too early.
    """
    target = normalise_target(path.partition("?")[0].encode() or b"/")
    if target is None:
        return ()
    meant = [target.path]
    stem = listen_path.rstrip("/").encode()
    if stem and (target.path == stem or target.path.startswith(stem + b"/")):
        meant.append(target.path[len(stem) :] or b"/")
    return tuple(meant)


def on_unsafe(
    request: Request,
    policy: Policy,
    head: ResponseHead | None,
    listen_path: str = "/",
    authorities: Collection[str] = (),
) -> tuple[str, ...]:
    """The tags that a call with an unsafe method ends; empty if none.

    ``head`` is the upstream's answer; ``None`` says that it was lost, and the write may have happened. A 4xx or 5xx
    changes nothing. ``Location`` and ``Content-Location`` count where they name the same origin: no host, the host
    that the caller addressed, or one of ``authorities`` (the upstream's own, with the port where the URL has one).
    """
    if request.method in SAFE_METHODS or policy.mode == OFF:
        return ()
    if head is not None and not 200 <= head.status < 400:
        return ()
    paths = {request.path: None}
    if head is not None:
        own = {request.host.decode("latin-1"), *(authority.lower() for authority in authorities)}
        base = listen_path.rstrip("/") + request.path.decode("latin-1")
        for name in (b"location", b"content-location"):
            value = first(head.headers, name)
            if value is not None:
                paths.update(dict.fromkeys(_paths_named(value.decode("latin-1").strip(), base, own, listen_path)))
    return tuple(tag_of_path(policy.api, path) for path in paths)


def _paths_named(reference: str, base: str, own: Collection[str], listen_path: str) -> tuple[bytes, ...]:
    try:
        url = urlsplit(urljoin(base, reference))
    except ValueError:
        return ()
    if url.netloc and url.netloc.lower() not in own:
        return ()
    return paths_meant(url.path or "/", listen_path)
