"""The first decision of a call: may the cache be asked, under which keys, and what would be forwarded."""

import hashlib

from apps.httpcache import keys, request_body
from apps.httpcache.directives import NO_REQUEST_DIRECTIVES, RequestDirectives, request_directives
from apps.httpcache.fields import (
    METHOD_OVERRIDES,
    UNKEYED_ECHOES,
    NameTable,
    connection_listed,
    end_to_end,
    lines_of,
    without,
)
from apps.httpcache.identity import Credentials, Identity, SharingScope, base_scope, folded, is_credential, owner
from apps.httpcache.invalidation import SAFE_METHODS
from apps.httpcache.messages import Headers, Request
from apps.httpcache.normalise import accept_encoding, accept_language, field_value, select_query, sort_query
from apps.httpcache.policy import GRAPHQL, IGNORE, OFF, SECRET, Policy
from apps.httpcache.reasons import Reason
from apps.httpcache.request_body import KEYED_BY_BODY
from apps.httpcache.validation import CONDITIONS

_NOTICED = frozenset(
    {
        b"cache-control",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"pragma",
        b"range",
        b"upgrade",
    }
)

_CREDENTIAL = 2


def _kind(name: bytes) -> int:
    return _CREDENTIAL if is_credential(name) else int(name in _NOTICED)


_KINDS = NameTable(_kind)
"""What a request field is to the cache, by its name: nothing (0), noticed (1), or a credential."""

_CLASSES = {"GET": b"GET", "HEAD": b"GET", "POST": b"POST", "QUERY": b"QUERY"}
"""Methods that can be cached at all. HEAD is answered from GET (RFC 9110 §9.3.2), and no other from one of another
class.
"""

_NOT_OF_POST = CONDITIONS | {b"range"}
"""Fields without a meaning for a response to POST (RFC 9110 §13.1.3, §14.2)."""

_READING = frozenset({Reason.GRAPHQL_SUBSCRIPTION})
"""Why a GraphQL call is not cacheable although it surely writes nothing."""

_SELECTING = frozenset({b"if-modified-since", b"if-none-match", b"range"})


class RequestPlan:
    """What the cache means to do with a call.

    ``bypass`` is the reason why the cache is not asked at all, or ``None``. ``base`` is the widest scope that the
    response can have; ``keys`` are the primary keys to look under, in order of preference, and ``owners`` the owner
    that an entry under each must have: one, or two where the call forwards credentials and its response may be shared
    or its subject's own. ``noticed`` holds the fields that bear on caching, repeated ones combined. ``directives``
    are the caller's, as far as the policy lets them count. ``plain`` says that a stored response can be served whole.
    ``fetch_key`` names the upstream call for collapsing: calls with equal fetch keys may wait for one; ``None`` must
    not wait. ``query`` is what is keyed, and so what is forwarded. ``missed`` is why a look-up found nothing to use; ``others``
    are then the keys and entity tags of the URL's other variants, one of which may be what the upstream would answer.
    ``body`` are the parts of the key that a body adds. ``wants_body`` says that the call bypasses only because its
    body wasn't read: with it in ``request.body``, plan again. ``key_name`` is a quarter of the first key, for records.
    """

    __slots__ = (
        "base",
        "body",
        "bypass",
        "credentialed",
        "directives",
        "fetch_key",
        "identity",
        "key_name",
        "keys",
        "missed",
        "noticed",
        "others",
        "owners",
        "plain",
        "policy",
        "query",
        "request",
        "wants_body",
    )

    def __init__(self, request: Request, policy: Policy, identity: Identity, noticed: dict[bytes, bytes]) -> None:
        self.request = request
        self.policy = policy
        self.identity = identity
        self.noticed = noticed
        self.bypass: Reason | None = None
        self.base = SharingScope.SHARED
        self.credentialed = False
        self.keys: tuple[bytes, ...] = ()
        self.owners: tuple[tuple[int, bytes], ...] = ()
        self.directives: RequestDirectives = NO_REQUEST_DIRECTIVES
        self.plain = not noticed
        self.fetch_key: bytes | None = None
        self.missed = Reason.NOT_FOUND
        self.others: tuple[tuple[bytes, bytes], ...] = ()
        self.query: bytes | None = request.query
        self.body: request_body.Parts | None = None
        self.wants_body = False
        self.key_name = ""

    @property
    def selective(self) -> bool:
        """Whether the caller asks for less than the whole response: under a condition, or for a range of it."""
        return not _SELECTING.isdisjoint(self.noticed)

    @property
    def key_text(self) -> str:
        """The primary key for people: what ``key`` in ``Cache-Status`` shows."""
        return self.keys[0].hex() if self.keys else ""

    @property
    def writes(self) -> bool:
        """Whether the call may change something at the origin, so that its response ends what is stored (RFC 9111 §4.4).

        A POST that the policy declares read-only doesn't; a policy that caches nothing declares nothing. In GraphQL
        the operation decides: what isn't known to read may write.
        """
        request, policy = self.request, self.policy
        if request.method in SAFE_METHODS:
            return False
        if self.bypass is not None and any(folded(name) in METHOD_OVERRIDES for name, _ in request.headers):
            return True
        if request.method not in KEYED_BY_BODY or request.method not in policy.methods or policy.mode == OFF:
            return True
        return policy.body == GRAPHQL and not isinstance(request.graphql, bytes) and request.graphql not in _READING

    def key_parts(self, index: int = 0) -> tuple[tuple[str, str], ...]:
        """The labelled parts of one of the keys, for "explain". Owners are shown as names or digests, credentials
        never.
        """
        if not self.keys:
            return ()
        labels = keys.LABELS if self.body is None else keys.LABELS + keys.BODY_LABELS
        return tuple(
            (label, _shown(self, label, part))
            for label, part in zip(labels, _parts(self, *self.owners[index]), strict=True)
        )

    def upstream_headers(self, conditional: Headers = ()) -> Headers:
        """The fields to send upstream.

        A bypassing call goes as it came, but for hop-by-hop fields. A cacheable one goes in the form in which it is
        keyed: negotiation fields normalised, fields that the origin might echo removed unless they are keyed, and
        ``conditional`` in place of the caller's own conditions, which are judged against the stored response. A range
        that isn't stored is asked for as it is. A POST has no conditions: to an origin they would mean something
        else (RFC 9110 §13.1.2).
        """
        if self.bypass is not None:
            return end_to_end(self.request.headers)
        unwanted = (CONDITIONS if self.range_wanted is None else CONDITIONS - {b"if-range"}) | (
            UNKEYED_ECHOES.difference(name.encode() for name in self.policy.headers)
        )
        if self.request.method == "POST":
            unwanted, conditional = unwanted | _NOT_OF_POST, ()
        fields = end_to_end(self.request.headers, unwanted)
        for name, normalise in ((b"accept-encoding", accept_encoding), (b"accept-language", accept_language)):
            lines = lines_of(fields, name)
            if lines:
                fields = (*(pair for pair in fields if pair[0] != name), (name, normalise(b", ".join(lines))))
        if self.body is not None:
            fields = request_body.in_one_form(fields)
        return fields + conditional

    @property
    def range_wanted(self) -> bytes | None:
        """The caller's ``Range``, which only GET has (RFC 9110 §14.2), and QUERY like it (RFC 10008)."""
        return self.noticed.get(b"range") if self.request.method in ("GET", "QUERY") else None

    @property
    def validates(self) -> bool:
        """Whether the upstream can be asked if a stored response is still right: to a POST, a condition means something
        else (RFC 9110 §13.1.2).
        """
        return self.request.method != "POST"

    def __repr__(self) -> str:
        what = self.bypass.code if self.bypass else self.key_text[:12]
        return f"RequestPlan({self.request.method} {self.request.path.decode('ascii', 'replace')}: {what})"


def _parts(plan: RequestPlan, scope: int, owned_by: bytes) -> tuple[bytes | None, ...]:
    request, policy = plan.request, plan.policy
    parts = (
        request.scheme.encode(),
        request.host,
        policy.api.encode(),
        policy.group.encode(),
        _CLASSES[request.method],
        request.path,
        plan.query,
        _key_headers(policy, request.headers) if policy.headers else b"",
        b"%d" % scope,
        owned_by,
    )
    return parts if plan.body is None else parts + plan.body


def _key_headers(policy: Policy, headers: Headers) -> bytes:
    parts: list[bytes | None] = []
    for name in policy.headers:
        field = name.encode()
        parts += (field, field_value(field, lines_of(headers, field)))
    return keys.pack(parts)


def _shown(plan: RequestPlan, label: str, part: bytes | None) -> str:
    if part is None:
        return "(none)"
    if label == "scope":
        return SharingScope(int(part)).name.lower()
    if label == "headers":
        names = (name.encode() for name in plan.policy.headers)
        return "; ".join(
            f"{name.decode()}: {shown_field(plan.policy, name, field_value(name, lines_of(plan.request.headers, name)))}"
            for name in names
        )
    if label == "content fields":
        return hashlib.sha256(part).hexdigest()[:16] if part else "(none)"
    try:
        text = part.decode()
    except UnicodeDecodeError:
        return part.hex()
    return text if text.isprintable() else part.hex()


def shown_field(policy: Policy, name: bytes, value: bytes | None) -> str:
    """The value of a keyed field for people: of a credential, a digest."""
    if value is None:
        return "(none)"
    if is_credential(name) or name.decode("latin-1") in policy.credential_headers:
        return f"(credential {hashlib.sha256(value).hexdigest()[:12]})"
    return value.replace(b"\n", b", ").decode("latin-1")


def plan_request(request: Request, policy: Policy, identity: Identity) -> RequestPlan:
    """Decides whether and where to look. Never fails: a call that the cache can't serve has a plan with ``bypass``
    set.
    """
    # What ``Connection`` lists goes no further (RFC 9110 §7.6.1): were it keyed, or counted for ``Vary``, a caller could
    # have a response stored for a field that the origin never saw. An upgrade is still to be noticed.
    listed = connection_listed(request.headers) - {b"upgrade"}
    if listed:
        request.headers = without(request.headers, listed)
    noticed: dict[bytes, bytes] = {}
    theirs: set[bytes] = set()
    more = {name.encode() for name in policy.credential_headers} if policy.credential_headers else ()
    for name, value in request.headers:
        kind = _KINDS[name]
        if kind == _CREDENTIAL or name in more:
            theirs.add(name)
        elif not kind:
            continue
        noticed[name] = noticed[name] + b", " + value if name in noticed else value
    plan = RequestPlan(request, policy, identity, noticed)
    plan.bypass = _bypass(request, policy, noticed)
    if plan.bypass is not None:
        plan.wants_body = plan.bypass is Reason.BODY_TOO_LARGE
        return plan
    credentials: Credentials = ()
    if theirs:
        credentials = tuple(sorted((name, noticed[name]) for name in theirs))
        plan.credentialed = True
    if request.method in KEYED_BY_BODY:
        plan.body = request_body.parts_of(request, policy.body)
        if request.method == "POST" and not _NOT_OF_POST.isdisjoint(noticed):
            plan.noticed = noticed = {name: value for name, value in noticed.items() if name not in _NOT_OF_POST}
            plan.plain = not noticed

    plan.base = base_scope(policy, identity)
    owned_by = owner(plan.base, identity, credentials)
    if owned_by is None:
        plan.bypass = Reason.NO_IDENTITY
        return plan
    if request.query is not None and policy.query_mode != "all":
        plan.query = select_query(request.query, policy.query_mode, policy.query_names)
    if plan.query is not None and policy.query_sorted:
        plan.query = sort_query(plan.query) or None

    if not plan.credentialed or plan.base == SharingScope.SUBJECT:
        plan.owners = ((plan.base, owned_by),)
    else:
        own = owner(SharingScope.SUBJECT, identity, credentials) or b""
        plan.owners = ((plan.base, owned_by), (SharingScope.SUBJECT, own))
    plan.keys = tuple([keys.primary_key(_parts(plan, *owned)) for owned in plan.owners])
    plan.key_name = plan.keys[0][:8].hex()

    if noticed and policy.client_directives != IGNORE:
        plan.directives = request_directives(noticed.get(b"cache-control"), noticed.get(b"pragma"))
    if plan.range_wanted is None and request.method != "HEAD" and not plan.directives.no_store:
        plan.fetch_key = plan.keys[-1]
    return plan


def _bypass(request: Request, policy: Policy, noticed: dict[bytes, bytes]) -> Reason | None:
    if policy.mode == OFF:
        return Reason.MODE_OFF
    if policy.sensitivity == SECRET:
        return Reason.SECRET
    method = request.method
    if method not in policy.methods or method not in _CLASSES:
        return Reason.METHOD
    if request.has_body and method not in KEYED_BY_BODY:
        return Reason.REQUEST_BODY
    if noticed:
        if b"if-match" in noticed or b"if-unmodified-since" in noticed:
            return Reason.REQUEST_PRECONDITION
        if method == "POST" and b"if-none-match" in noticed:
            return Reason.REQUEST_PRECONDITION  # to an origin it means: only if there is none (RFC 9110 §13.1.2)
        if b"upgrade" in noticed:
            return Reason.UPGRADE
    if isinstance(request.graphql, Reason):
        return request.graphql
    if request.has_body and request.body is None:
        return Reason.BODY_TOO_LARGE
    if policy.body == GRAPHQL and request.graphql is None and method in KEYED_BY_BODY:
        return Reason.GRAPHQL_UNREADABLE
    return None
