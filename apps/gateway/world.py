"""All that a worker knows, held so that the pipeline's first half reads it without waiting: routes, plans,
credentials, purges, the lease.

The cost of a question doesn't depend on how many APIs or keys there are. Everything is changed by the follower,
between two turns of the event loop, so that a call sees all of a change or nothing of it.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import Generic, Literal, Protocol, TypeVar

from apps.fleet.events import Position
from apps.gateway.lease import Lease
from apps.gateway.snapshot import API, Credential, Plan

CREDENTIALS_KEPT = 50_000
"""Credential records a worker holds at most, about 1 KB each; one more costs the longest unused ones a new look-up."""

UNKNOWN_KEPT = 10_000
"""Keys that nobody has, remembered so that they aren't asked for again."""


class Unknown(enum.Enum):
    """The type of ``UNKNOWN``."""

    UNKNOWN = "unknown"


UNKNOWN: Literal[Unknown.UNKNOWN] = Unknown.UNKNOWN
"""What ``credential`` says of a key that nobody has."""

V = TypeVar("V")


class Purges(Protocol):
    """What the follower needs of the caching core's table of purged tags."""

    clock: int

    def load(self, incarnation: int, clock: int, rows: Mapping[bytes, bytes]) -> None:
        """Replace the table; entries born in another incarnation are dead."""

    def apply(self, tags: Iterable[str], clock: int, soft: bool) -> None:
        """Note a purge; noting it twice changes nothing."""


class Recent(Generic[V]):
    """A table bounded by count that forgets what wasn't used for longest, about: two generations, and use moves a
    value to the younger.

    A hit in the younger generation is one dictionary look-up, unlike a strict LRU, which writes on every read.
    """

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, size: int) -> None:
        self._half = max(1, size // 2)
        self._young: dict[str, V] = {}
        self._old: dict[str, V] = {}

    def get(self, key: str) -> V | None:
        """The value, which counts as used."""
        value = self._young.get(key)
        if value is None and self._old:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: str, value: V) -> None:
        """Keep a value, and forget the unused half when there is no room."""
        if len(self._young) >= self._half and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def drop(self, key: str) -> None:
        """Forget one."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._young, self._old = {}, {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


class Routes:
    """Served APIs by listen path and host.

    A table of listen paths, each with a table of hosts (``b""``: any). A look-up tries the call's path cut after
    each of its first segments, longest first, and never more cuts than the deepest listen path has.
    """

    __slots__ = ("_apis", "_depth", "_paths")

    def __init__(self) -> None:
        self._apis: dict[str, API] = {}
        self._paths: dict[bytes, dict[bytes, tuple[API, ...]]] = {}
        self._depth = 0

    def find(self, host: bytes, path: bytes) -> API | None:
        """See ``World.route``."""
        cut = path
        extra = path.count(b"/") - self._depth
        if extra > 0:  # deeper than any listen path: skip what can't match
            cut = b"/".join(path.split(b"/", self._depth + 1)[: self._depth + 1])
        paths = self._paths
        while True:
            hosts = paths.get(cut)
            if hosts is not None:
                found = (len(hosts) > (b"" in hosts) and hosts.get(bare_host(host))) or hosts.get(b"")
                if found:
                    return found[0]
            if not cut:
                return None
            cut = cut[: cut.rfind(b"/")]

    def put(self, api: API) -> None:
        """Serve an API, in place of what stood under its slug. Touches its own listen paths only."""
        self.drop(api.slug)
        self._apis[api.slug] = api
        key = _path_key(api)
        self._depth = max(self._depth, key.count(b"/"))
        hosts = self._paths.setdefault(key, {})
        for host in _host_keys(api):
            # Two APIs in one place are refused by the catalogue, but may meet here while one takes over from the other.
            hosts[host] = tuple(sorted((*hosts.get(host, ()), api), key=lambda each: each.slug))

    def drop(self, slug: str) -> None:
        """Serve it no more."""
        api = self._apis.pop(slug, None)
        if api is None:
            return
        key = _path_key(api)
        hosts = self._paths[key]
        for host in _host_keys(api):
            rest = tuple(each for each in hosts[host] if each is not api)
            if rest:
                hosts[host] = rest
            else:
                del hosts[host]
        if not hosts:
            del self._paths[key]

    def get(self, slug: str) -> API | None:
        """The API with this slug."""
        return self._apis.get(slug)

    def __len__(self) -> int:
        return len(self._apis)


def _path_key(api: API) -> bytes:
    return api.listen_path.rstrip("/").encode()


def _host_keys(api: API) -> set[bytes]:
    return {host.lower().encode("idna" if not host.isascii() else "ascii") for host in api.hosts} or {b""}


def bare_host(host: bytes) -> bytes:
    """A ``Host`` field's name alone: lower-case, without port and closing dot."""
    name = host.lower()
    if name.startswith(b"["):
        return name[: name.find(b"]") + 1]
    return name.partition(b":")[0].rstrip(b".")


class World:
    """What one worker knows. Reading is for everybody, changing for the follower.

    ``position`` is the last event applied; ``None``: nothing is known yet. ``version`` grows with everything that is
    applied but purges. ``refused`` are the names of values whose seal is broken: what stood there before still
    holds, and the worker doesn't claim to be up to date. ``workers`` is how many serve in the whole installation.
    """

    def __init__(self, purges: Purges, trust_lease: float) -> None:
        self.purges = purges
        self.lease = Lease(trust_lease)
        self.position: Position | None = None
        self.version = 0
        self.workers = 1
        self.refused: set[str] = set()
        self.routes = Routes()
        self.plans: dict[str, Plan] = {}
        self.credentials: Recent[Credential] = Recent(CREDENTIALS_KEPT)
        self.unknown: Recent[bool] = Recent(UNKNOWN_KEPT)

    @property
    def loaded(self) -> bool:
        """Whether anything is known."""
        return self.position is not None

    @property
    def incarnation(self) -> int:
        """Of the state that it knows; 0: none."""
        return self.position.incarnation if self.position else 0

    @property
    def epoch(self) -> int:
        """The number of the last change of configuration that is in force here."""
        return self.position.n if self.position else 0

    def route(self, host: bytes, path: bytes) -> API | None:
        """The API that serves ``path`` (normalised, without query) at ``host`` (the ``Host`` field): the longest
        listen path on a segment boundary that accepts the host; a named host beats any.

        ``/products`` finds the API of ``/products/``, so that the caller can be sent there.
        """
        return self.routes.find(host, path)

    def plan(self, slug: str) -> Plan | None:
        """The plan's limits."""
        return self.plans.get(slug)

    def credential(self, digest: str) -> Credential | Literal[Unknown.UNKNOWN] | None:
        """The key with this digest; ``UNKNOWN`` when nobody has it; ``None`` when it must be looked up first."""
        found = self.credentials.get(digest)
        if found is not None:
            return found
        return UNKNOWN if self.unknown.get(digest) else None

    def ready(self, now: float) -> bool:
        """Whether it can answer every kind of call at ``now`` (monotonic)."""
        return self.position is not None and now < self.lease.ends

    def forget(self, digest: str) -> None:
        """Have a key looked up anew, known or unknown."""
        self.credentials.drop(digest)
        self.unknown.drop(digest)

    def forget_all_keys(self) -> None:
        """Have every key looked up anew."""
        self.credentials.clear()
        self.unknown.clear()

    def put(self, part: API | Plan) -> None:
        """Have a part of the snapshot in place of what stood under its slug."""
        if isinstance(part, API):
            self.routes.put(part)
        else:
            self.plans[part.slug] = part

    def part(self, name: str) -> API | Plan | None:
        """The part ``name``, like ``api:products``."""
        kind, _, slug = name.partition(":")
        return self.routes.get(slug) if kind == "api" else self.plans.get(slug)

    def drop(self, name: str) -> None:
        """Have the part ``name`` (like ``api:products``) no more."""
        kind, _, slug = name.partition(":")
        if kind == "api":
            self.routes.drop(slug)
        else:
            self.plans.pop(slug, None)

    def moved(self, position: Position) -> None:
        """Everything up to ``position`` is applied."""
        self.position = position
        self.version += 1
