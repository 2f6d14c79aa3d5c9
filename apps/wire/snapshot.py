"""What a gateway knows: the types that the fleet compiles from rows and every worker holds in memory.

Each part travels on its own (msgpack with a MAC), so that a change to one API costs the same with 10 or 10,000 of them.
Everything is plain data, ready to use on the hot path: durations in seconds, times in Unix seconds, header names lower-case.
"""

from collections.abc import Iterable, Mapping

import msgspec

from apps.httpcache.patterns import matches, segments_of
from apps.httpcache.policy import OFF, Policy

EDITION = 7
"""Which way the publisher of this version writes rows: raised whenever the same rows become other parts or records (a test
knows). What an older version wrote is written anew: no gateway goes on by what that version left out.
"""


CLIENT_HOST = "preserve"
"""The value of ``API.host_header`` that passes the client's own ``Host`` on."""


class HeaderRules(msgspec.Struct, frozen=True, array_like=True):
    """Headers to set (replacing what is there) and to remove."""

    set: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


class Upstream(msgspec.Struct, frozen=True, array_like=True):
    """One address of an API; ``weight`` is its share of the calls; with ``ca`` (PEM) only these certificates vouch for it."""

    url: str
    weight: int = 1
    ca: str = ""


class Rewrite(msgspec.Struct, frozen=True, array_like=True):
    """Another path for calls with these ``segments`` below the listen path (``None``: any one), and with ``rest`` more behind
    them. ``to`` has segments, as text or by their place; with ``passes_rest`` what is behind comes behind it.
    """

    segments: tuple[str | None, ...]
    to: tuple[str | int, ...]
    rest: bool = False
    passes_rest: bool = False


class Concurrency(msgspec.Struct, frozen=True, array_like=True):
    """How many calls to an API's upstreams each worker makes at once; how many more wait for a place, and for how many
    seconds.
    """

    calls: int = 512
    queue: int = 512
    wait: float = 2.0


class ScopeRule(msgspec.Struct, frozen=True, array_like=True):
    """Scopes that tokens need for some calls of an API besides its own; no ``methods`` means all."""

    methods: tuple[str, ...]
    pattern: tuple[str, ...]
    scopes: tuple[str, ...]


class TokenRules(msgspec.Struct, frozen=True, array_like=True):
    """Which tokens (JWT) an API takes: those of ``issuers`` (slugs) that have all ``required_scopes``, and of each of
    ``required_claims`` one of the values named.
    """

    issuers: tuple[str, ...] = ()
    required_scopes: tuple[str, ...] = ()
    required_claims: tuple[tuple[str, tuple[str | int | float | bool, ...]], ...] = ()
    operations: tuple[ScopeRule, ...] = ()


class Validation(msgspec.Struct, frozen=True, array_like=True):
    """How calls of an API are held against its OpenAPI document. ``request`` is ``off``, ``report`` or ``block``, ``response`` is
    ``off`` or ``report``. JSON bodies have at most ``body`` bytes, ``depth`` levels, ``names`` in all objects together, ``items``
    in a list and ``text`` bytes in a string; with ``injections`` strings that look like code are reported.
    """

    request: str = "off"
    response: str = "off"
    body: int = 2**20
    depth: int = 32
    names: int = 10_000
    items: int = 10_000
    text: int = 100_000
    injections: bool = False


class Operation(msgspec.Struct, frozen=True, array_like=True):
    """A method and path template below the listen path, for the call record."""

    method: str
    path: str


class OperationPolicy(msgspec.Struct, frozen=True, array_like=True):
    """A cache policy for some calls of an API: ``pattern`` as ``httpcache.patterns`` parses it; no ``methods`` means all."""

    methods: tuple[str, ...]
    pattern: tuple[str, ...]
    policy: Policy


class API(msgspec.Struct, frozen=True, array_like=True):
    """A served API. ``revision`` is what configuration a call met; ``underscore_headers`` are names that go on although
    they have other characters than letters, digits and hyphens, and every policy keys them.
    """

    slug: str
    tenant: str
    revision: int
    listen_path: str
    hosts: tuple[str, ...]
    strip_listen_path: bool
    authentication: tuple[str, ...]
    api_key_header: str
    forward_credential: bool
    upstreams: tuple[Upstream, ...]
    connect_timeout: float
    read_timeout: float
    retries: int
    body_limit: int
    debug_headers: str
    request_headers: HeaderRules
    response_headers: HeaderRules
    policy: Policy
    operations: tuple[Operation, ...] = ()
    operation_policies: tuple[OperationPolicy, ...] = ()
    concurrency: Concurrency = Concurrency()
    underscore_headers: tuple[str, ...] = ()
    rewrite: tuple[Rewrite, ...] = ()
    host_header: str = ""  # of calls to upstreams; empty: of the upstream's URL
    jwt: TokenRules = TokenRules()
    introspection: str = ""  # slug; empty: none
    api_key_query: str = ""  # parameter, cookie: where keys may stand besides the header; empty: nowhere
    api_key_cookie: str = ""
    api_key_basic_user: bool = False
    validation: Validation = Validation()

    def policy_for(self, method: str, path: bytes) -> Policy:
        """The cache policy of a call: the first operation's that it falls under, else the API's own. ``path`` is
        normalised and below the listen path."""
        if self.operation_policies:
            segments = segments_of(path)
            for each in self.operation_policies:
                if (not each.methods or method in each.methods) and matches(each.pattern, segments):
                    return each.policy
        return self.policy

    @property
    def caches(self) -> bool:
        """Whether anything of it is ever stored."""
        return self.policy.mode != OFF or any(each.policy.mode != OFF for each in self.operation_policies)


class Plan(msgspec.Struct, frozen=True, array_like=True):
    """A plan's limits. ``rate`` is calls per second, ``burst`` the bucket's size; ``None``: without that limit."""

    slug: str
    rate: float | None
    burst: int | None
    quota: int | None
    quota_period: str
    charge_failures: bool
    trust_lease: float | None


class Egress(msgspec.Struct, frozen=True, array_like=True):
    """Where calls of a tenant's APIs may lead beyond public addresses, as ``egress.rules`` reads it; of all tenants' without a
    ``tenant``. ``own``: places of the installation itself, where no call may.
    """

    tenant: str
    allow: tuple[str, ...]
    own: tuple[tuple[str, int], ...] = ()


PROOF_PATH = "/.well-known/apimgr-host.txt"
"""Where a tenant proves a host name by a file. No API answers here on a host without an owner: otherwise a tenant that
may publish an API could prove any name that leads to the gateways.
"""


class HostOwner(msgspec.Struct, frozen=True, array_like=True):
    """A host name (lower case, ASCII, no port) of a tenant, or a wildcard: other tenants' APIs answer there only where they
    name it.
    """

    host: str
    tenant: str


class Issuer(msgspec.Struct, frozen=True, array_like=True):
    """Who issues tokens. ``tenant`` is empty where it is the platform's; an API of another tenant doesn't take a tenant's.

    Its keys are in ``jwks`` (JSON), or found at ``jwks_url`` or, with ``discovery``, by its metadata. ``audience``: ``aud`` must
    name one of these; empty: any. ``namespace`` is in which client IDs are looked up: the slug of a tenant's issuer, or empty.
    """

    slug: str
    tenant: str
    issuer: str
    algorithms: tuple[str, ...]
    audience: tuple[str, ...]
    client_claim: str
    leeway: float
    jwks: str = ""
    jwks_url: str = ""
    discovery: bool = False
    secret: str = ""
    dpop: bool = False

    @property
    def namespace(self) -> str:
        """In which its client IDs are looked up."""
        return self.slug if self.tenant else ""


class Introspection(msgspec.Struct, frozen=True, array_like=True):
    """A server that says what opaque tokens are worth (RFC 7662). ``client_authentication`` is ``none``, ``basic``, ``post`` or
    ``private_key_jwt``; ``secret`` the client's secret or private key (PEM); ``cache`` and ``negative_cache`` are seconds.
    """

    slug: str
    tenant: str
    url: str
    client_id: str
    client_authentication: str
    secret: str
    client_claim: str
    cache: float
    negative_cache: float

    @property
    def namespace(self) -> str:
        """In which its client IDs are looked up: those of the platform's servers are those of its issuers."""
        return f"introspection:{self.slug}" if self.tenant else ""


class Revoked(msgspec.Struct, frozen=True, array_like=True):
    """Revoked tokens and subjects whose hashes begin with one byte, ``bucket`` (two hex digits): the ``hashes``, 8 bytes each and
    ascending, and to each its mark in ``marks``, 4 bytes, all little-endian. See ``wire.revocations``.
    """

    bucket: str
    hashes: bytes
    marks: bytes


class Definition(msgspec.Struct, frozen=True, array_like=True):
    """A JSON Schema (2020-12) as JSON text; ``needs`` names the definitions to which it refers as ``#/$defs/NAME``, and
    ``patterns`` is how many regular expressions it has. ``plain``: it has no alternatives, so that what is wrong is told at one
    place.
    """

    name: str
    schema: str
    needs: tuple[str, ...] = ()
    patterns: int = 0
    plain: bool = True


PATTERN_BYTES = 2**16
"""Of a regular expression of a schema, compiled, and again of what matching it remembers."""


def memory_of(definitions: Iterable[Definition]) -> int:
    """Bytes that a validator made of these takes at most, about (measured)."""
    return 4096 + sum(40 * len(each.schema) + 2 * PATTERN_BYTES * each.patterns for each in definitions)


def with_needs(name: str, definitions: Mapping[str, Definition]) -> dict[str, Definition]:
    """The definition ``name`` and all to which it leads."""
    found: dict[str, Definition] = {}
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name not in found and name in definitions:
            found[name] = definitions[name]
            waiting += definitions[name].needs
    return found


class ParameterRule(msgspec.Struct, frozen=True, array_like=True):
    """A parameter of an operation. ``place`` is ``path``, ``query`` or ``header``; ``schema`` names its definition (empty: any
    value). ``types`` are those that its text may stand for, ``items`` those of a list's items; ``separator`` is what stands between
    these in one text (empty: each has a field of its own).
    """

    place: str
    name: str
    required: bool
    schema: str = ""
    types: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    separator: str = ""


class OperationContract(msgspec.Struct, frozen=True, array_like=True):
    """What calls of an operation must be like. ``content`` are the media types of its body with their definitions (empty: any
    value); without one nothing is said of bodies. ``responses``: the same by status (``200``, ``2XX``, ``default``).
    """

    method: str
    path: str
    parameters: tuple[ParameterRule, ...] = ()
    body_required: bool = False
    content: tuple[tuple[str, str], ...] = ()
    responses: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()


class Contract(msgspec.Struct, frozen=True, array_like=True):
    """What the OpenAPI document of an API says of its calls, for validation; operations in the order in which they are tried."""

    slug: str
    operations: tuple[OperationContract, ...] = ()
    definitions: tuple[Definition, ...] = ()


Part = API | Plan | Egress | HostOwner | Issuer | Introspection | Revoked | Contract
"""What the snapshot is made of; each under a name like ``api:products``."""

KINDS: dict[str, type[Part]] = {
    "api": API,
    "plan": Plan,
    "egress": Egress,
    "host": HostOwner,
    "issuer": Issuer,
    "introspection": Introspection,
    "revoked": Revoked,
    "schema": Contract,
}
"""Types of parts, by what their names begin with."""


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """An active or suspended subscription, as a credential record carries it."""

    subscription: int
    plan: str
    state: str
    expires_at: float | None = None


class KeyOperation(msgspec.Struct, frozen=True, array_like=True):
    """Calls that a key is good for: ``pattern`` as ``httpcache.patterns`` parses it, below a listen path; no ``methods`` means
    all.
    """

    methods: tuple[str, ...]
    pattern: tuple[str, ...]


class Credential(msgspec.Struct, frozen=True, array_like=True):
    """One key, client ID, certificate or signing key: whose it is and what it may call. ``grants`` is by API slug; ``only_api``
    narrows a passing key to one API, ``apis`` any other to some; ``None``: to none in particular.

    ``state`` is ``active``, ``revoked`` or ``tenant_suspended``. ``secret`` is a signing key's. Without ``methods``, ``operations``
    or ``addresses`` (networks of clients) there is no bound of that kind.
    """

    key_id: int
    digest: str
    state: str
    tenant: str
    application: str
    grants: dict[str, Grant]
    expires_at: float | None = None
    only_api: str | None = None
    apis: tuple[str, ...] | None = None
    kind: str = "api_key"
    secret: str = ""
    methods: tuple[str, ...] = ()
    operations: tuple[KeyOperation, ...] = ()
    addresses: tuple[str, ...] = ()

    def is_over(self, at: float) -> bool:
        """Whether it opens nothing any more at ``at`` (Unix seconds): it is revoked, or ended."""
        return self.state == "revoked" or (self.expires_at is not None and self.expires_at <= at)

    def is_for(self, api: str) -> bool:
        """Whether it was made for this API."""
        return self.only_api in (None, api) and (self.apis is None or api in self.apis)

    def allows(self, method: str, path: bytes) -> bool:
        """Whether one of its operations is this call, where it has any. ``path`` is below the listen path, and normalised: no dots
        in it lead an origin elsewhere.
        """
        if not self.operations:
            return True
        segments = segments_of(path)
        return any(
            (not each.methods or method in each.methods) and matches(each.pattern, segments) for each in self.operations
        )


class Incarnation(msgspec.Struct, frozen=True, array_like=True):
    """Sealed, it shows that a state was written by this installation's control plane."""

    number: int
