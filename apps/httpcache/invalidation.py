"""What ends stored responses: unsafe methods and purges, both by tags (RFC 9111 §4.4).

An entry has the tag of its API, of its exact path, of each prefix of that path by whole segments, of each of its
surrogate keys (the origin's, its operation and its entities), where it isn't shared by all, of the tenant, the
application and the subject that it belongs to, and one that no other entry has. Paths are relative to the API's listen
path, in normalised form, with a leading slash. All variants and scopes of a URL share them.
"""

import hashlib
from collections.abc import Collection, Iterable
from urllib.parse import urljoin, urlsplit

from apps.httpcache.entity_tags import ANY
from apps.httpcache.entry import CacheEntry, Selecting
from apps.httpcache.fields import first
from apps.httpcache.identity import subjects_over
from apps.httpcache.keys import variant_key
from apps.httpcache.messages import Request, ResponseHead
from apps.httpcache.normalise import normalise_target
from apps.httpcache.patterns import template
from apps.httpcache.policy import Policy

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "REPORT", "SEARCH"})
"""Every other method, known or not, is taken for one that writes."""


def tag_of_api(api: str) -> str:
    """Everything stored for an API."""
    return f"a:{api}"


LONGEST_PATH = 512
"""Bytes of a path that its tags hold, so that callers with paths of 8 KiB can't fill the table of purged tags."""


def tag_of_path(api: str, path: bytes) -> str:
    """One path with every query and variant."""
    if len(path) > LONGEST_PATH:
        return f"p:{api}:#{hashlib.sha256(path).hexdigest()}"
    return f"p:{api}:{path.decode('latin-1')}"


def tag_of_prefix(api: str, prefix: bytes) -> str:
    """A path and everything below it, by whole segments: ``/items`` covers ``/items``, ``/items/`` and ``/items/7``,
    not ``/items7``. Of a very long one, its first segments: that ends more.
    """
    return f"x:{api}:{_first_segments(prefix).rstrip(b'/').decode('latin-1')}"


def _first_segments(path: bytes) -> bytes:
    return path if len(path) <= LONGEST_PATH else path[: path.rfind(b"/", 0, LONGEST_PATH + 1)]


def tag_of_key(api: str, surrogate_key: str) -> str:
    """Every response that carries this key: a surrogate key of the origin's, an entity, or an operation like
    ``GET /items/{id}``.
    """
    return f"k:{api}:{surrogate_key}"


def tags_of_key(api: str, surrogate_key: str) -> tuple[str, ...]:
    """What a purge of a key ends: with the responses that carry it, those whose entities aren't known."""
    return (tag_of_key(api, surrogate_key), tag_of_key(api, ANY))


def tag_of_tenant(tenant: str) -> str:
    """Every response that is this tenant's own, or that of one of its applications or subjects, in all APIs."""
    return f"t:{tenant}"


def tag_of_application(application: str) -> str:
    """Every response that is this application's own or that of one of its subjects; ``application`` is ``tenant/slug``."""
    return f"o:{application}"


def tag_of_grant(api: str, holder: str) -> str:
    """What of one API is this holder's own: an application (``tenant/slug``) with its subjects, which is what a subscription
    let it have; or a tenant with all of its applications.
    """
    return f"g:{api}:{holder}"


def tag_of_subject(subject: str) -> str:
    """Every response that is this subject's own; of a key, that of all who call with it."""
    return f"s:{subject}"


def tag_of_representation(api: str, key: bytes, selecting: Selecting) -> str:
    """One stored response: that of one primary key and, where responses vary, of one variant."""
    return f"e:{api}:{(variant_key(key, selecting) if selecting else key).hex()}"


def tags_of(entry: CacheEntry) -> tuple[str, ...]:
    """All tags under which a purge ends this entry."""
    api, path = entry.api, _first_segments(entry.path).decode("latin-1")
    stem = f"x:{api}:"
    prefixes = [stem]
    at = path.find("/", 1)
    while at != -1:
        prefixes.append(stem + path[:at])
        at = path.find("/", at + 1)
    prefixes.append(stem + path.rstrip("/"))
    holder = entry.holder
    return (
        f"a:{api}",
        tag_of_path(api, entry.path),
        *dict.fromkeys(prefixes),
        *(f"k:{api}:{key}" for key in entry.tags),
        *(f"{kind}:{name}" for kind, name in zip("to", holder, strict=False) if name),
        *(tag_of_subject(each) for subject in holder[2:] for each in subjects_over(subject) if each),
        *(f"g:{api}:{name}" for name in holder[:2] if name),
        tag_of_representation(api, entry.key, entry.selecting),
    )


def paths_meant(path: str, *stems: str) -> tuple[bytes, ...]:
    """The stored paths that a person, or an origin, may mean by ``path``: below the API's listen path, or with that, or
    another of ``stems``, in front. The last is what is left without any.

    A purge of all is exact enough: it can only end a response too early.
    """
    target = normalise_target(path.partition("?")[0].encode() or b"/")
    if target is None:
        return ()
    meant = {target.path: None}
    # Twice: an upstream that gets the listen path has it behind its own base.
    for stem in (*reversed(stems), *stems[:1]):
        front = stem.rstrip("/").encode()
        for each in tuple(meant):
            if front and (each == front or each.startswith(front + b"/")):
                meant[each[len(front) :] or b"/"] = None
    return tuple(meant)


def on_unsafe(
    request: Request,
    policy: Policy,
    head: ResponseHead | None,
    listen_path: str = "/",
    authorities: Collection[str] = (),
    operations: Iterable[tuple[str, str]] = (),
    bases: Collection[str] = (),
) -> tuple[str, ...]:
    """The tags that a call with an unsafe method ends; empty if none.

    ``head`` is the upstream's response; ``None`` says that it was lost, and the write may have happened. A 4xx or 5xx
    changes nothing. ``Location`` and ``Content-Location`` count where they name the same origin: no host, the host
    that the caller addressed, or one of ``authorities`` (the upstream's own, with the port where the URL has one). They
    may be paths of the gateway's or of the upstream's, which begin with one of ``bases`` (without a last slash).

    ``operations`` are the methods and path templates that the API describes: where they say so, the collection above
    an item that was written ends with it, unless the policy has ``collections`` off. A policy with caching off says
    nothing of what others of the API's store.
    """
    if request.method in SAFE_METHODS:
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
                paths.update(
                    dict.fromkeys(_paths_named(value.decode("latin-1").strip(), base, own, (listen_path, *bases)))
                )
    if policy.collections:
        for path in tuple(paths):
            paths.update(dict.fromkeys(collections_above(path, operations)))
    return tuple(tag_of_path(policy.api, path) for path in paths)


def collections_above(path: bytes, operations: Iterable[tuple[str, str]]) -> tuple[bytes, ...]:
    """The paths of the collections that list the item at ``path``: where ``/items/{id}`` matches it and the operations
    have a GET of ``/items``, that.

    RFC 9111 §4.4 leaves it to the cache which related URIs it ends; the API's own description says which are.
    """
    operations = tuple(operations)
    readable = {described for method, described in operations if method in ("GET", "*")}
    found: dict[bytes, None] = {}
    item = path.rstrip(b"/")
    slashes, stem = item.count(b"/"), item.rpartition(b"/")[0]
    for described in dict.fromkeys(each.rstrip("/") for _, each in operations):
        above, _, last = described.rpartition("/")
        if "{" not in last or described.count("/") != slashes or not template(described).fullmatch(item):
            continue
        if above and above in readable:
            found[stem] = None
        if f"{above}/" in readable:
            found[stem + b"/"] = None
    return tuple(found)


def _paths_named(reference: str, base: str, own: Collection[str], stems: Collection[str]) -> tuple[bytes, ...]:
    try:
        url = urlsplit(urljoin(base, reference))
    except ValueError:
        return ()
    if url.netloc and url.netloc.lower() not in own:
        return ()
    return paths_meant(url.path or "/", *stems)
