"""All that a worker knows, held so that the pipeline's first half reads it without waiting: routes, plans,
credentials, purges, the lease.

The cost of a question doesn't depend on how many APIs or keys there are. Everything is changed by the subscriber,
between two turns of the event loop, so that a call sees all of a change or nothing of it.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

from apps.egress.rules import Guard, Place
from apps.gateway.config.egress import EgressTable
from apps.gateway.config.revoked import RevokedTable
from apps.gateway.config.trust_lease import TrustLease
from apps.httpcache.bounded_table import Recent
from apps.wire.events import Position
from apps.wire.host_names import is_wildcard, wildcard_over
from apps.wire.snapshot import (
    API,
    PROOF_PATH,
    Contract,
    Credential,
    Egress,
    HostOwner,
    Introspection,
    Issuer,
    Part,
    Plan,
    Revoked,
)

CREDENTIALS_BYTES = 64 * 2**20
"""Bytes of credential records that a worker holds, 50,000 and more of the usual ones; one more costs the longest unused
ones a new look-up.
"""

UNKNOWN_BYTES = 4 * 2**20
"""Bytes for unknown keys, remembered so that they aren't asked for again: about 16,000."""

UNKNOWN_SIZE = 256
"""Bytes that one of these needs: its digest and its place in the table."""


class Unknown(enum.Enum):
    """The type of ``UNKNOWN``."""

    UNKNOWN = "unknown"


UNKNOWN: Literal[Unknown.UNKNOWN] = Unknown.UNKNOWN
"""What ``credential`` says of an unknown key."""


class Purges(Protocol):
    """What the subscriber needs of the caching core's table of purged tags."""

    clock: int

    def load(self, incarnation: int, clock: int, rows: Mapping[bytes, bytes]) -> None:
        """Replace the table; entries born in another incarnation are dead."""

    def apply(self, tags: Iterable[str], clock: int, soft: bool) -> None:
        """Record a purge; recording it twice changes nothing."""


PROOF = PROOF_PATH.encode()


class Routes:
    """Served APIs by listen path and host, and which host names belong to a tenant.

    A table of listen paths, each with a table of hosts (``b""``: any). A look-up tries the call's path cut after
    each of its first segments, longest first, and never more cuts than the deepest listen path has. On a tenant's host
    "any" means that tenant's APIs; what names the host was put there by an administrator where it is another's. A wildcard is
    a key like a name: a look-up asks for the name, and where there are wildcards for the one over it.
    """

    __slots__ = ("_apis", "_depth", "_owners", "_paths", "_wildcards")

    def __init__(self) -> None:
        self._apis: dict[str, API] = {}
        self._owners: dict[bytes, str] = {}
        self._paths: dict[bytes, dict[bytes, tuple[API, ...]]] = {}
        self._depth = 0
        self._wildcards: set[str] = set()
        """Slugs of the APIs that name one, and those that are a tenant's: while there are none, no call pays for them."""

    def find(self, host: bytes, path: bytes) -> API | None:
        """See ``WorkerConfig.route``."""
        cut = path
        extra = path.count(b"/") - self._depth
        if extra > 0:  # deeper than any listen path: skip what can't match
            cut = b"/".join(path.split(b"/", self._depth + 1)[: self._depth + 1])
        paths = self._paths
        owner = self._owner_at(bare_host(host)) if self._owners else None
        if path == PROOF and owner is None:
            return None
        while True:
            hosts = paths.get(cut)
            if hosts is not None:
                named = self._named(hosts, bare_host(host), owner) if len(hosts) > (b"" in hosts) else None
                found = named or _of_owner(hosts.get(b"", ()), owner)
                if found is not None:
                    return found
            if not cut:
                return None
            cut = cut[: cut.rfind(b"/")]

    def _owner_at(self, name: bytes) -> str | None:
        """Whose a name is: its own owner goes before the one of the wildcard over it."""
        owner = self._owners.get(name)
        if owner is None and self._wildcards:
            owner = self._owners.get(wildcard_over(name))
        return owner

    def _named(self, hosts: dict[bytes, tuple[API, ...]], name: bytes, owner: str | None) -> API | None:
        """The API among ``hosts`` that names ``name``, or else a wildcard over it. A wildcard reaches no other tenant's names."""
        wildcard = wildcard_over(name) if self._wildcards else b""
        if name != wildcard and (found := hosts.get(name)):  # a Host that is spelled with * is a name like any other
            return found[0]
        return _of_owner(hosts.get(wildcard, ()), owner) if wildcard else None

    def put(self, api: API) -> None:
        """Serve an API, in place of what stood under its slug. Touches its own listen paths only."""
        self.drop(api.slug)
        self._apis[api.slug] = api
        key = _path_key(api)
        self._depth = max(self._depth, key.count(b"/"))
        hosts = self._paths.setdefault(key, {})
        if any(map(is_wildcard, api.hosts)):
            self._wildcards.add(api.slug)
        for host in _host_keys(api):
            # Two APIs in one place are refused by the catalogue, but may meet here while one takes over from the other.
            hosts[host] = tuple(sorted((*hosts.get(host, ()), api), key=lambda each: each.slug))

    def drop(self, slug: str) -> None:
        """Serve it no more."""
        api = self._apis.pop(slug, None)
        if api is None:
            return
        self._wildcards.discard(slug)
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

    def own(self, host: str, tenant: str) -> None:
        """Have a host name, or all that a wildcard reaches and nobody else has, belong to a tenant."""
        self._owners[host.encode()] = tenant
        if is_wildcard(host):
            self._wildcards.add(host)

    def disown(self, host: str) -> None:
        """Let it have no owner."""
        self._owners.pop(host.encode(), None)
        self._wildcards.discard(host)

    def owner(self, host: str) -> HostOwner | None:
        """Whose a host name is."""
        tenant = self._owners.get(host.encode())
        return None if tenant is None else HostOwner(host, tenant)

    def __len__(self) -> int:
        return len(self._apis)


def _of_owner(apis: Iterable[API], owner: str | None) -> API | None:
    """The first that answers where ``owner`` alone does; ``None``: any may."""
    return next((api for api in apis if owner is None or api.tenant == owner), None)


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


class Snapshot:
    """The parts of a snapshot, each in the table of its kind."""

    __slots__ = ("contracts", "egress", "introspections", "issuers", "plans", "revoked", "routes")

    def __init__(self, egress: EgressTable) -> None:
        self.egress = egress
        self.routes = Routes()
        self.plans: dict[str, Plan] = {}
        self.issuers: dict[str, Issuer] = {}
        self.introspections: dict[str, Introspection] = {}
        self.revoked = RevokedTable()
        self.contracts: dict[str, Contract] = {}

    def empty(self) -> "Snapshot":
        """Without parts yet, for the same worker."""
        return Snapshot(self.egress.empty())

    def put(self, part: Part) -> None:
        """Have a part in place of what stood under its slug."""
        if isinstance(part, API):
            self.routes.put(part)
        elif isinstance(part, Egress):
            self.egress.put(part)
        elif isinstance(part, HostOwner):
            self.routes.own(part.host, part.tenant)
        elif isinstance(part, Issuer):
            self.issuers[part.slug] = part
        elif isinstance(part, Introspection):
            self.introspections[part.slug] = part
        elif isinstance(part, Revoked):
            self.revoked.put(part)
        elif isinstance(part, Contract):
            self.contracts[part.slug] = part
        else:
            self.plans[part.slug] = part

    def part(self, name: str) -> Part | None:
        """The part ``name``, like ``api:products``."""
        kind, _, slug = name.partition(":")
        if kind == "api":
            return self.routes.get(slug)
        if kind == "egress":
            return self.egress.get(slug)
        if kind == "host":
            return self.routes.owner(slug)
        if kind == "issuer":
            return self.issuers.get(slug)
        if kind == "revoked":
            return self.revoked.get(slug)
        if kind == "schema":
            return self.contracts.get(slug)
        return self.introspections.get(slug) if kind == "introspection" else self.plans.get(slug)

    def drop(self, name: str) -> None:
        """Have the part ``name`` no more."""
        kind, _, slug = name.partition(":")
        if kind == "api":
            self.routes.drop(slug)
        elif kind == "egress":
            self.egress.drop(slug)
        elif kind == "host":
            self.routes.disown(slug)
        elif kind == "issuer":
            self.issuers.pop(slug, None)
        elif kind == "introspection":
            self.introspections.pop(slug, None)
        elif kind == "revoked":
            self.revoked.drop(slug)
        elif kind == "schema":
            self.contracts.pop(slug, None)
        else:
            self.plans.pop(slug, None)


class WorkerConfig:
    """What one worker knows. All parts of the gateway read it; only the subscriber changes it.

    ``position`` is the last event applied; ``None``: nothing is known yet. ``version`` grows with everything that is applied but
    purges, and with whatever else decisions depend on. ``refused`` are the names of values whose seal is broken: what stood there
    before still holds, and the worker doesn't claim to be up to date. ``workers`` is how many serve in the whole installation.
    """

    def __init__(self, purges: Purges, trust_lease: float, own_places: Iterable[Place] = ()) -> None:
        self.purges = purges
        self.snapshot = Snapshot(EgressTable(own_places))
        self.trust_lease = TrustLease(trust_lease)
        self.position: Position | None = None
        self.version = 0
        self.workers = 1
        self.refused: set[str] = set()
        self.credentials: Recent[str, Credential] = Recent(CREDENTIALS_BYTES, _size_of_credential)
        self.unknown: Recent[str, bool] = Recent(UNKNOWN_BYTES, lambda digest, _: UNKNOWN_SIZE)

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
        listen path on a segment boundary that accepts the host; a named host beats a wildcard, and both beat any.

        ``/products`` finds the API of ``/products/``, so that the caller can be sent there.
        """
        return self.snapshot.routes.find(host, path)

    def plan(self, slug: str) -> Plan | None:
        """The plan's limits."""
        return self.snapshot.plans.get(slug)

    def egress(self, tenant: str) -> Guard:
        """Where calls of a tenant's APIs may lead."""
        return self.snapshot.egress.of(tenant)

    def issuer(self, slug: str) -> Issuer | None:
        """Who issues tokens, under this slug."""
        return self.snapshot.issuers.get(slug)

    def introspection(self, slug: str) -> Introspection | None:
        """The server that says what opaque tokens are worth, under this slug."""
        return self.snapshot.introspections.get(slug)

    def is_revoked(self, hashed: int, issued: int | None) -> bool:
        """Whether a token with this hash, of its ID or its subject, is revoked: see ``RevokedTable``."""
        return self.snapshot.revoked.is_over(hashed, issued)

    def contract(self, api: str) -> Contract | None:
        """What calls of an API are validated by."""
        return self.snapshot.contracts.get(api)

    def credential(self, digest: str) -> Credential | Literal[Unknown.UNKNOWN] | None:
        """The key with this digest; ``UNKNOWN`` when there is no such key; ``None`` when it must be looked up first."""
        found = self.credentials.get(digest)
        if found is not None:
            return found
        return UNKNOWN if self.unknown.get(digest) else None

    def ready(self, now: float) -> bool:
        """Whether it can answer every kind of call at ``now`` (monotonic)."""
        return self.position is not None and now < self.trust_lease.ends

    def forget(self, digest: str) -> None:
        """Have a key looked up anew, known or unknown."""
        self.credentials.drop(digest)
        self.unknown.drop(digest)

    def forget_all_keys(self) -> None:
        """Have every key looked up anew."""
        self.credentials.clear()
        self.unknown.clear()

    def put(self, part: Part) -> None:
        """Have a part of the snapshot in place of what stood under its slug."""
        self.snapshot.put(part)

    def part(self, name: str) -> Part | None:
        """The part ``name``, like ``api:products``."""
        return self.snapshot.part(name)

    def drop(self, name: str) -> None:
        """Have the part ``name`` (like ``api:products``) no more."""
        self.snapshot.drop(name)

    def outdate_decisions(self) -> None:
        """What was decided so far with what is known here counts no more."""
        self.version += 1

    def moved(self, position: Position) -> None:
        """Everything up to ``position`` is applied."""
        self.position = position
        self.version += 1


def _size_of_credential(digest: str, credential: Credential) -> int:
    """The bytes that a credential record needs here: itself, its grants with the texts in them, and what bounds it."""
    grants = credential.grants
    texts = len(credential.tenant) + len(credential.application) + sum(map(len, grants))
    texts += sum(len(grant.plan) + len(grant.state) for grant in grants.values())
    bounds = [*(credential.apis or ()), *credential.methods, *credential.addresses]
    for operation in credential.operations:
        bounds += [*operation.methods, *operation.pattern, ""]
    return 1024 + 400 * len(grants) + texts + 64 * len(bounds) + sum(map(len, bounds)) + 2 * len(credential.secret)
