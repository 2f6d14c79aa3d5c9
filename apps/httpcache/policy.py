"""The compiled cache policy of one API: what an administrator decided, in the form in which the core reads it."""

from dataclasses import dataclass

ORIGIN, TTL, OVERRIDE, OFF = "origin", "ttl", "override", "off"
HONOUR, BOUNDED, IGNORE = "honour", "bounded", "ignore"
PERSONAL, SECRET = "personal", "secret"
RAW, JSON, GRAPHQL = "raw", "json", "graphql"
PASS, PRIVATE, NO_STORE = "pass", "private", "no-store"

UNREACHABLE_GRACE = 60.0
"""Seconds a stale response may stand in for an upstream that can't be reached, by default."""

PERSONAL_LIFETIME = 300.0
"""Seconds that a response of a ``personal`` API may be kept at most."""

HEURISTIC_FRACTION, HEURISTIC_CAP = 0.1, 60.0
"""RFC 9111 §4.2.2: a tenth of the time since ``Last-Modified``; ours ends at a minute."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How responses of one API are cached. Durations are seconds. Every default is the contract's.

    ``mode`` says who decides the lifetime: ``origin`` (its headers), ``ttl`` (``ttl`` where the origin gives none),
    ``override`` (``ttl`` instead of the origin's, and nothing else changes) or ``off``.

    ``stale_if_error`` ``None`` means: a minute when the upstream can't be reached, nothing for a 5xx.

    ``origin_stale_beside_s_maxage`` lets the origin's own ``stale-while-revalidate`` and ``stale-if-error`` count
    although it also sent ``s-maxage``, which by RFC 9111 §5.2.2.10 forbids stale responses; many origins mean it so.

    ``share_with_credentials`` is the audited switch that lets a response to a call with credentials be shared without
    the origin's permission (RFC 9111 §3.5).
    """

    api: str = ""
    group: str = ""
    """What else distinguishes the API's entries from those of its other revisions; part of the key."""
    tenant: str = ""
    """Who owns the API, and so whose share of the memory its entries take."""
    open_to_all: bool = False
    """Calls need no key and no token, so caches behind the gateway may share what it shares."""
    mode: str = ORIGIN
    ttl: float = 60.0
    stale_while_revalidate: float = 0.0
    stale_if_error: float | None = None
    methods: tuple[str, ...] = ("GET", "HEAD")
    query_mode: str = "all"
    query_names: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    """Request fields in the key besides what ``Vary`` names; lower-case."""
    scope: str = "auto"
    client_directives: str = BOUNDED
    store_set_cookie: bool = False
    sensitivity: str = "internal"
    origin_stale_beside_s_maxage: bool = False
    share_with_credentials: bool = False
    max_variants: int = 64
    """Stored variants of one URL; one more forgets the oldest."""
    max_body: int = 8 * 2**20
    """Bytes of body above which a response is not stored."""
    max_size: int | None = None
    """Bytes that all of the API's entries may take in each tier; ``None``: its tenant's share is the only bound."""
    negative_ttl: float | None = None
    """Seconds that an error without a lifetime of its own is kept; ``None``: like any other response."""
    jitter: float = 0.1
    """The part of a lifetime by which it may be cut short at random, so that what was stored together doesn't end
    together. Lifetimes under ten seconds keep their length.
    """
    query_sorted: bool = False
    """Parameters are keyed, and forwarded, in the order of their names."""
    body: str = JSON
    """How the body of a read-only POST or QUERY enters the key."""
    entity_tags: tuple[tuple[str, str], ...] = ()
    """(path in a JSON body, prefix): what stands there, behind the prefix, is a tag of the response."""
    collections: bool = True
    """A write to an item ends the collection above it too, where the API's operations say which that is."""
    downstream: str = PASS
    """What caches behind the gateway may keep: ``pass`` (what the origin said), ``private``, ``no-store``, or
    seconds as ``max-age``.
    """
    surrogate_control: str = "remove"
    """``remove`` or ``pass``: whether ``Surrogate-Control`` and targeted fields reach those caches."""
    credential_headers: tuple[str, ...] = ()
    """Request fields that count as credentials besides those known by their names (``identity``); lower-case."""
