"""What a gateway knows: the types that the fleet compiles from rows and every worker holds in memory.

Each part travels on its own (msgpack with a MAC), so that a change to one API costs the same with 10 or 10,000 of them.
Everything is plain data, ready to use on the hot path: durations in seconds, times in Unix seconds, header names lower-case.
"""

import msgspec

from apps.caching.http.policy import Policy


class HeaderRules(msgspec.Struct, frozen=True, array_like=True):
    """Headers to set (replacing what is there) and to remove."""

    set: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


class Upstream(msgspec.Struct, frozen=True, array_like=True):
    """One address of an API; ``weight`` is its share of the calls."""

    url: str
    weight: int = 1


class Operation(msgspec.Struct, frozen=True, array_like=True):
    """A method and path template below the listen path, for the call record."""

    method: str
    path: str


class API(msgspec.Struct, frozen=True, array_like=True):
    """A served API. ``revision`` is what configuration a call met."""

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


class Plan(msgspec.Struct, frozen=True, array_like=True):
    """A plan's limits. ``rate`` is calls per second, ``burst`` the bucket's size; ``None``: without that limit."""

    slug: str
    rate: float | None
    burst: int | None
    quota: int | None
    quota_period: str
    charge_failures: bool
    trust_lease: float | None


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """An active or suspended subscription, as a credential record carries it."""

    subscription: int
    plan: str
    state: str
    expires_at: float | None = None


class Credential(msgspec.Struct, frozen=True, array_like=True):
    """One key: whose it is and what it may call. ``grants`` is by API slug; ``only_api`` narrows a key to one API.

    ``state`` is ``active``, ``revoked`` or ``tenant_suspended``.
    """

    key_id: int
    digest: str
    state: str
    tenant: str
    application: str
    grants: dict[str, Grant]
    expires_at: float | None = None
    only_api: str | None = None


class Incarnation(msgspec.Struct, frozen=True, array_like=True):
    """Sealed, it shows that a state was written by this installation's control plane."""

    number: int
