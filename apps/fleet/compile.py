"""Rows in, what gateways read out. Everything is compiled from the rows as they are now, so that doing it twice
changes nothing.

A name whose row is gone, or isn't served any more, compiles to ``None``: a tombstone.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import msgspec
from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.access.choices import LIVE, KeyState
from apps.access.models import Credential as CredentialRow
from apps.access.models import Introspection as IntrospectionRow
from apps.access.models import Issuer as IssuerRow
from apps.access.models import Plan as PlanRow
from apps.access.models import Revocation, Subscription
from apps.access.selectors import revocations_in
from apps.caching.models import SETTINGS, CachePolicy
from apps.caching.validation import with_operation
from apps.catalog.choices import SERVED, UPSTREAM_HOST, HostState, Reported, RequestValidation
from apps.catalog.field_checks import is_plain
from apps.catalog.models import API as APIRow
from apps.catalog.models import SETTINGS as API_SETTINGS
from apps.catalog.models import HostName, OpenAPIDocument
from apps.foundation.secrets import SealedValue
from apps.httpcache.identity import is_credential
from apps.httpcache.patterns import parse_pattern, precedence
from apps.httpcache.policy import Policy
from apps.tenants.choices import TenantState
from apps.tenants.egress import allowed_to_all
from apps.tenants.models import Tenant
from apps.wire.revocations import BUCKETS, FOR_GOOD, pack
from apps.wire.snapshot import (
    API,
    Concurrency,
    Contract,
    Credential,
    Egress,
    Grant,
    HostOwner,
    Introspection,
    Issuer,
    KeyOperation,
    Operation,
    OperationPolicy,
    Part,
    Plan,
    Revoked,
    Upstream,
    Validation,
)

CHUNK = 500
"""Rows read, and records compiled, at once: few enough for SQLite's limit on parameters too."""

FEW = 10
"""The same of rows that may have a megabyte each."""

T = TypeVar("T")


class _Key(NamedTuple):
    """What of a key's row, its application's and its tenant's goes into its record."""

    pk: int
    digest: str
    state: str
    expires_at: datetime | None
    only_api: str | None
    apis: list[str] | None
    application_id: int
    application: str
    tenant: str
    tenant_state: str
    kind: str
    secret: SealedValue | None
    methods: list[str] | None
    operations: list[dict[str, Any]] | None
    addresses: list[str] | None

    @staticmethod
    def columns() -> tuple[str, ...]:
        """Where they are, seen from a key."""
        own = ("pk", "digest", "state", "expires_at", "api__slug", "apis", "application_id")
        owner = ("application__slug", "application__tenant__slug", "application__tenant__state")
        return (*own, *owner, "kind", "secret", "methods", "operations", "addresses")


@dataclass(frozen=True)
class Affected:
    """What changes name, taken apart: slugs of APIs and plans, how keys are found, and the tags of what is stored
    under a right that is gone."""

    apis: frozenset[str]
    plans: frozenset[str]
    digests: frozenset[str]
    applications: frozenset[tuple[str, str]]
    tenants: frozenset[str]
    stored: frozenset[str] = frozenset()
    egress: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    issuers: frozenset[str] = frozenset()
    introspections: frozenset[str] = frozenset()
    revoked: frozenset[str] = frozenset()

    @property
    def nothing(self) -> bool:
        """Whether no gateway needs to hear of it."""
        return not any(getattr(self, field.name) for field in fields(self))


class UnknownKind(ValueError):
    """A change concerns something that this version doesn't know: a newer one made it, on the same database."""


_KINDS = (
    *("api", "plan", "key", "application", "tenant", "stored", "egress", "host", "issuer", "introspection"),
    "revoked",
)


def affected_by(pairs: Iterable[Sequence[str]]) -> Affected:
    """The pairs of audit entries: ``api``, ``plan`` and ``tenant`` by slug, ``application`` by ``tenant/slug``,
    ``key`` by digest, ``stored`` by tag, ``egress`` by a tenant's slug (empty: of all),
    ``host`` by name, ``issuer`` and ``introspection`` by slug, ``revoked`` by bucket.

    Raises ``UnknownKind`` for any other kind: nothing of a change may be lost silently.
    """
    found: dict[str, set[str]] = {kind: set() for kind in _KINDS}
    for kind, identifier in pairs:
        if kind not in found:
            raise UnknownKind(f"An audit entry affects a {kind!r}, which gateways don't know.")
        found[kind].add(identifier)
    return Affected(
        apis=frozenset(found["api"]),
        plans=frozenset(found["plan"]),
        digests=frozenset(found["key"]),
        applications=frozenset((tenant, slug) for tenant, _, slug in (a.partition("/") for a in found["application"])),
        tenants=frozenset(found["tenant"]),
        stored=frozenset(found["stored"]),
        egress=frozenset(found["egress"]),
        hosts=frozenset(found["host"]),
        issuers=frozenset(found["issuer"]),
        introspections=frozenset(found["introspection"]),
        revoked=frozenset(found["revoked"]),
    )


def parts_of(affected: Affected) -> dict[str, Part | None]:
    """The snapshot's parts that are to be written anew, by name. A tenant's own APIs are not among them: what is
    compiled of an API holds nothing of its tenant but the slug, which never changes."""
    parts: dict[str, Part | None] = {f"api:{slug}": None for slug in affected.apis}
    parts |= {f"plan:{slug}": None for slug in affected.plans}
    parts |= {f"host:{host}": None for host in affected.hosts}
    parts |= {f"schema:{slug}": None for slug in affected.apis}
    for slugs in _chunks(sorted(affected.apis)):
        served = list(_apis().filter(slug__in=slugs))
        parts |= {f"api:{row.slug}": compile_api(row) for row in served}
        if validated := [row.slug for row in served if _is_validated(row)]:
            for rows in _by_pk(_contracts().filter(api__slug__in=validated), FEW):
                parts |= {f"schema:{row.api.slug}": compile_contract(row) for row in rows}
    for slugs in _chunks(sorted(affected.plans)):
        parts |= {f"plan:{row.slug}": compile_plan(row) for row in PlanRow.objects.filter(slug__in=slugs)}
    parts |= {f"egress:{slug}": None for slug in affected.egress}
    if "" in affected.egress:
        parts["egress:"] = installation_egress()
    for slugs in _chunks(sorted(affected.egress - {""})):
        parts |= {f"egress:{row.slug}": compile_egress(row) for row in Tenant.objects.filter(slug__in=slugs)}
    for hosts in _chunks(sorted(affected.hosts)):
        parts |= {f"host:{row.host}": compile_host(row) for row in _hosts().filter(host__in=hosts)}
    parts |= {f"issuer:{slug}": None for slug in affected.issuers}
    for slugs in _chunks(sorted(affected.issuers)):
        parts |= {f"issuer:{row.slug}": compile_issuer(row) for row in _issuers().filter(slug__in=slugs)}
    parts |= {f"introspection:{slug}": None for slug in affected.introspections}
    for slugs in _chunks(sorted(affected.introspections)):
        found = _introspections().filter(slug__in=slugs)
        parts |= {f"introspection:{row.slug}": compile_introspection(row) for row in found}
    return parts | {f"revoked:{bucket}": compile_revoked(bucket) for bucket in affected.revoked}


def credentials_of(affected: Affected) -> Iterator[dict[str, Credential | None]]:
    """The credential records that are to be written anew, by digest, some at a time."""
    for digests in _chunks(sorted(affected.digests)):
        records: dict[str, Credential | None] = dict.fromkeys(digests)
        for found in _keys_where(Q(digest__in=digests)):
            records |= found
        yield records
    owners = Q(application__tenant__slug__in=affected.tenants)
    for tenant, slug in affected.applications:
        owners |= Q(application__tenant__slug=tenant, application__slug=slug)
    if affected.applications or affected.tenants:
        yield from _keys_where(owners)


def all_parts() -> Iterator[dict[str, Part]]:
    """Every part of the snapshot, some at a time."""
    for rows in _by_pk(_apis()):
        yield {f"api:{row.slug}": compile_api(row) for row in rows}
    for documents in _by_pk(_contracts(), FEW):
        yield {f"schema:{row.api.slug}": contract for row in documents if (contract := compile_contract(row))}
    for plans in _by_pk(PlanRow.objects.all()):
        yield {f"plan:{row.slug}": compile_plan(row) for row in plans}
    yield {"egress:": installation_egress()}
    for tenants in _by_pk(Tenant.objects.exclude(egress=[])):
        yield {f"egress:{row.slug}": Egress(row.slug, tuple(row.egress)) for row in tenants}
    for hosts in _by_pk(_hosts()):
        yield {f"host:{row.host}": compile_host(row) for row in hosts}
    for issuers in _by_pk(_issuers()):
        yield {f"issuer:{row.slug}": compile_issuer(row) for row in issuers}
    for introspections in _by_pk(_introspections()):
        yield {f"introspection:{row.slug}": compile_introspection(row) for row in introspections}
    for bucket in BUCKETS if Revocation.objects.exists() else ():
        if (revoked := compile_revoked(bucket)) is not None:
            yield {f"revoked:{bucket}": revoked}


def all_credentials() -> Iterator[dict[str, Credential | None]]:
    """Every credential record, some at a time."""
    yield from _keys_where(Q())


def compile_api(row: APIRow) -> API:
    """A served API. Reads its upstreams, operations, cache policy and tenant: prefetch them."""
    return API(
        slug=row.slug,
        tenant=row.tenant.slug,
        revision=row.revision,
        upstreams=tuple(Upstream(url=each.url, weight=each.weight, ca=each.ca) for each in row.upstreams.all()),
        concurrency=Concurrency(calls=row.concurrent_calls, queue=row.queued_calls, wait=row.queue_wait),
        policy=compile_policy(row, row.cache_policy),
        operations=tuple(
            Operation(method=each.method, path=each.path)
            for each in sorted(row.operations.all(), key=lambda each: (precedence(each.path), each.method == "*"))
        ),
        operation_policies=compile_operation_policies(row, row.cache_policy),
        validation=Validation(
            request=row.validate_requests,
            response=row.validate_responses,
            body=row.json_bytes,
            depth=row.json_depth,
            names=row.json_names,
            items=row.json_items,
            text=row.json_text,
            injections=row.report_injections != Reported.OFF,
        ),
        **{name: API_SETTINGS[name].compiled(getattr(row, name)) for name in _SENT_AS_THEY_ARE}
        | {"api_key_header": row.api_key_header.lower(), "underscore_headers": _underscore_headers(row)}
        | {"host_header": "" if row.host_header == UPSTREAM_HOST else row.host_header},
    )


_SENT_AS_THEY_ARE = API_SETTINGS.keys() & set(API.__struct_fields__)


def compile_contract(row: OpenAPIDocument) -> Contract | None:
    """What calls of the document's API are validated by: no more of it than the API has checked. Reads the API."""
    api = row.api
    if not row.contract or not _is_validated(api):
        return None
    contract = msgspec.convert(row.contract, Contract)
    operations = contract.operations
    if api.validate_requests == RequestValidation.OFF:
        operations = tuple(
            msgspec.structs.replace(each, parameters=(), body_required=False, content=()) for each in operations
        )
    if api.validate_responses == Reported.OFF:
        operations = tuple(msgspec.structs.replace(each, responses=()) for each in operations)
    return msgspec.structs.replace(contract, slug=api.slug, operations=operations)


def _is_validated(api: APIRow) -> bool:
    return api.validate_requests != RequestValidation.OFF or api.validate_responses != Reported.OFF


def compile_policy(api: APIRow, row: CachePolicy) -> Policy:
    """An API's cache policy as the caching core reads it. Reads the API's upstreams and tenant."""
    settings = {name: setting.compiled(getattr(row, name)) for name, setting in SETTINGS.items()}
    policy = Policy(
        api=api.slug,
        tenant=api.tenant.slug,
        open_to_all="none" in api.authentication,
        credential_headers=_credential_headers(api),
        **settings | {"headers": _keyed_headers(api, row)},
    )
    return replace(policy, group=_group(api, policy))


def _underscore_headers(api: APIRow) -> tuple[str, ...]:
    """Names with characters that some origins fold, and that go on nevertheless: those that the API allows, and those that
    any of its policies keys. What is keyed is forwarded, and what an origin may read as another field is keyed everywhere.
    """
    policy = api.cache_policy
    named = [*policy.headers, *(name for each in policy.operations for name in each.get("headers", ()))]
    return tuple(sorted({name.lower() for name in (*api.underscore_headers, *named) if not is_plain(name)}))


def _keyed_headers(api: APIRow, row: CachePolicy) -> tuple[str, ...]:
    names = tuple(name.lower() for name in row.headers)
    return names + tuple(name for name in _underscore_headers(api) if name not in names)


def _credential_headers(api: APIRow) -> tuple[str, ...]:
    """What counts as a credential at this API besides what does everywhere: what it names, and its own field for keys, which
    goes on where it is open.
    """
    names = {name.lower() for name in (*api.credential_headers, api.api_key_header)}
    return tuple(sorted(name for name in names if not is_credential(name.encode())))


def compile_operation_policies(api: APIRow, row: CachePolicy) -> tuple[OperationPolicy, ...]:
    """The policies of some of an API's calls, each whole: what an operation doesn't say is the API's own. Where it names
    GET, HEAD is meant too: its response is made of the one to GET.
    """
    compiled = []
    for each in row.operations:
        methods = with_head(each.get("methods", ()))
        policy = compile_policy(api, with_operation(row, dict(each) | ({"methods": methods} if methods else {})))
        compiled.append(OperationPolicy(methods=methods, pattern=parse_pattern(each["path"]), policy=policy))
    return tuple(compiled)


NOT_DECISIVE = frozenset(
    {
        "api",  # stands in the key itself
        "group",
        "tenant",
        *(name for name, setting in SETTINGS.items() if not setting.decisive),
    }
)
"""Fields of a policy that don't decide what is stored, for how long and for whom. Every other one does, new ones too."""


def _group(api: APIRow, policy: Policy) -> str:
    """What distinguishes an API's stored responses from those made under rules that would have stored others: where responses
    come from, what is sent and kept, and for how long. So a changed policy ends what was stored under the one before.
    Another API that takes the slug over one day finds none of this one's either."""
    decisive = (
        sorted(upstream.url for upstream in api.upstreams.all()),
        api.listen_path,
        api.strip_listen_path,
        api.forward_credential,
        api.request_headers,
        api.response_headers,
        # The usual ones are left out: what was stored before there were others stays good.
        *([api.rewrite] if api.rewrite else ()),
        *([api.host_header] if api.host_header != UPSTREAM_HOST else ()),
        [(field.name, getattr(policy, field.name)) for field in fields(Policy) if field.name not in NOT_DECISIVE],
    )
    return f"{api.pk}:{hashlib.blake2b(repr(decisive).encode(), digest_size=8).hexdigest()}"


def compile_plan(row: PlanRow) -> Plan:
    """A plan's limits."""
    rate = None if row.rate_calls is None else row.rate_calls / row.rate_period
    return Plan(
        slug=row.slug,
        rate=rate,
        burst=row.burst if row.burst is not None or row.rate_calls is None else row.rate_calls,
        quota=row.quota,
        quota_period=row.quota_period,
        charge_failures=row.charge_failures,
        trust_lease=row.trust_lease,
    )


def installation_egress() -> Egress:
    """Where calls of all tenants may lead, and the platform's own places. One query."""
    return Egress("", tuple(allowed_to_all()), tuple(settings.OWN_PLACES))


def compile_egress(row: Tenant) -> Egress | None:
    """Where a tenant's calls may lead beside; ``None``: nowhere."""
    return Egress(row.slug, tuple(row.egress)) if row.egress else None


def compile_host(row: HostName) -> HostOwner:
    """Whose a proved host name is. Reads its tenant."""
    return HostOwner(host=row.host, tenant=row.tenant.slug)


def compile_issuer(row: IssuerRow) -> Issuer:
    """Who issues tokens. Reads its tenant."""
    return Issuer(
        slug=row.slug,
        tenant=row.tenant.slug if row.tenant else "",
        issuer=row.issuer,
        algorithms=tuple(row.algorithms),
        audience=tuple(row.audience),
        client_claim=row.client_claim,
        leeway=row.leeway,
        jwks=json.dumps(row.jwks) if row.jwks else "",
        jwks_url=row.jwks_url,
        discovery=row.discovery,
        secret=row.secret or "",
        dpop=row.dpop,
    )


def compile_introspection(row: IntrospectionRow) -> Introspection:
    """A server that says what opaque tokens are worth. Reads its tenant."""
    return Introspection(
        slug=row.slug,
        tenant=row.tenant.slug if row.tenant else "",
        url=row.url,
        client_id=row.client_id,
        client_authentication=row.client_authentication,
        secret=row.secret or "",
        client_claim=row.client_claim,
        cache=row.cache,
        negative_cache=row.negative_cache,
    )


def compile_revoked(bucket: str) -> Revoked | None:
    """The revoked tokens and subjects of a bucket; ``None``: there are none. One query."""
    rows = revocations_in(bucket, timezone.now()).values_list("digest", "not_before")
    marks = [(int(digest, 16), FOR_GOOD if at is None else int(at.timestamp())) for digest, at in rows]
    return pack(bucket, marks) if marks else None


def _compiled(keys: Iterable[_Key]) -> dict[str, Credential | None]:
    """Credential records of some keys: one more query, for the live subscriptions of their applications."""
    keys = list(keys)
    grants: dict[int, dict[str, Grant]] = {key.application_id: {} for key in keys}
    live = Subscription.objects.filter(state__in=LIVE, application_id__in=grants)
    for application, api, subscription, plan, state, expires_at in live.values_list(
        "application_id", "api__slug", "pk", "plan__slug", "state", "expires_at"
    ):
        grants[application][api] = Grant(subscription, plan, state, _unix(expires_at))
    return {key.digest: _credential(key, grants[key.application_id]) for key in keys}


def _credential(key: _Key, grants: dict[str, Grant]) -> Credential:
    suspended = key.state == KeyState.ACTIVE and key.tenant_state == TenantState.SUSPENDED
    return Credential(
        key_id=key.pk,
        digest=key.digest,
        state="tenant_suspended" if suspended else key.state,
        tenant=key.tenant,
        application=f"{key.tenant}/{key.application}",
        grants=grants,
        expires_at=_unix(key.expires_at),
        only_api=key.only_api,
        apis=None if key.apis is None else tuple(key.apis),
        kind=key.kind,
        secret=_opened(key),
        methods=with_head(key.methods or ()),
        operations=tuple(
            KeyOperation(with_head(each.get("methods", ())), parse_pattern(each["path"]))
            for each in key.operations or ()
        ),
        addresses=tuple(key.addresses or ()),
    )


def with_head(methods: Iterable[str]) -> tuple[str, ...]:
    """Methods as gateways get them: where there is GET, HEAD is meant too, whose response is made of the one to GET."""
    named = tuple(methods)
    return (*named, "HEAD") if "GET" in named and "HEAD" not in named else named


def _opened(key: _Key) -> str:
    if key.secret is None:
        return ""
    row = CredentialRow(digest=key.digest)
    row.__dict__["secret"] = key.secret
    return str(row.secret)


def _apis() -> QuerySet[APIRow]:
    served = APIRow.objects.filter(state__in=SERVED)
    return served.select_related("tenant", "cache_policy").prefetch_related("upstreams", "operations")


def _contracts() -> QuerySet[OpenAPIDocument]:
    """The documents of served APIs whose calls are validated."""
    checked = Q(api__validate_requests=RequestValidation.OFF, api__validate_responses=Reported.OFF)
    rows = OpenAPIDocument.objects.filter(api__state__in=SERVED).exclude(checked).select_related("api")
    return rows.only("contract", "api__slug", "api__validate_requests", "api__validate_responses")


def _hosts() -> QuerySet[HostName]:
    return HostName.objects.filter(state=HostState.PROVED).select_related("tenant")


def _issuers() -> QuerySet[IssuerRow]:
    return IssuerRow.objects.select_related("tenant")


def _introspections() -> QuerySet[IntrospectionRow]:
    return IntrospectionRow.objects.select_related("tenant")


def _keys_where(condition: Q) -> Iterator[dict[str, Credential | None]]:
    """Records of the keys that ``condition`` picks, in chunks by primary key like ``_by_pk``. Plain columns, no model
    instances: a million keys take a minute rather than ten."""
    last = 0
    while True:
        rows = CredentialRow.objects.filter(condition, pk__gt=last).order_by("pk").values_list(*_Key.columns())[:CHUNK]
        chunk = [_Key(*row) for row in rows]
        if not chunk:
            return
        last = chunk[-1].pk
        yield _compiled(chunk)


def _by_pk(rows: QuerySet[Any], size: int | None = None) -> Iterator[list[Any]]:
    """All rows in chunks by primary key: no long transaction, no cursor held open, at most ``size`` (``CHUNK``) in memory."""
    last = 0
    while chunk := list(rows.filter(pk__gt=last).order_by("pk")[: size or CHUNK]):
        last = chunk[-1].pk
        yield chunk


def _chunks(values: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def _unix(at: datetime | None) -> float | None:
    return at.timestamp() if at else None
