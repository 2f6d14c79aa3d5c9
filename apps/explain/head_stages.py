"""A typed request through the stages that every call goes through in a gateway before it looks into the cache, with the
configuration read from the database.
"""

from collections.abc import Callable
from functools import partial
from time import monotonic, time

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone
from msgspec import structs

from apps.access.choices import KeyState
from apps.access.models import Application, Credential, Introspection, Issuer, Plan
from apps.access.selectors import in_force
from apps.access.services.applications import named
from apps.cachestore.purges import PurgedTags
from apps.caching.models import CachePolicy
from apps.catalog.choices import SERVED, HostState
from apps.catalog.models import API, HostName, OpenAPIDocument
from apps.explain.typed_request import TypedRequest
from apps.fleet import compile as compiler
from apps.gateway.call import head_limits
from apps.gateway.call.call import Call
from apps.gateway.call.keyed_body import KEYED_BYTES
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import WholeResponse, refuse
from apps.gateway.config.worker_config import UNKNOWN, Unknown, WorkerConfig, bare_host
from apps.gateway.pipeline.authenticators.sources import Sources
from apps.gateway.pipeline.authenticators.table import taken_by
from apps.gateway.pipeline.stages import Need
from apps.gateway.pipeline.stages.authenticate import Authenticate, digest_of, not_ready
from apps.gateway.pipeline.stages.authorize import Authorize
from apps.gateway.pipeline.stages.cache import PlanCache
from apps.gateway.pipeline.stages.route import Route
from apps.gateway.pipeline.stages.validate import Validate
from apps.gateway.pipeline.stages.validate_head import ValidateHead
from apps.gateway.upstream.loop_detection import LoopDetection
from apps.gateway.validation.validators import Validators
from apps.wire import snapshot
from apps.wire.api_keys import identifier_digest
from apps.wire.events import Position
from apps.wire.host_names import wildcard_of

_VALIDATORS = Validators()


class StoredConfig(WorkerConfig):
    """What a gateway knows by now, read from the database when a stage asks for it. ``rows`` are the APIs that it met, by
    slug; ``policy`` stands in place of their own.
    """

    def __init__(self, policy: CachePolicy | None = None) -> None:
        super().__init__(PurgedTags(), trust_lease=60)
        self.trust_lease.renew(monotonic())
        self.moved(Position(1, 0, 0, 0))
        self.rows: dict[str, API] = {}
        self._policy = policy

    def route(self, host: bytes, path: bytes) -> snapshot.API | None:
        """As a gateway, among the served APIs with whose listen path this path begins."""
        longest = API._meta.get_field("listen_path").max_length or 0
        whole = (path + b"/")[: longest + 1]  # no stem that is longer is a listen path's
        stems = [whole[:at].decode("latin-1") for at, byte in enumerate(whole) if byte == ord("/")]
        rows = API.objects.filter(state__in=SERVED, listen_path__in=[*stems, *(f"{stem}/" for stem in stems)])
        for row in rows.select_related("tenant", "cache_policy").prefetch_related("upstreams", "operations"):
            self.rows[row.slug] = row
            self.put(self._compiled(row))
        name = bare_host(host).decode("latin-1")
        proved = HostName.objects.filter(state=HostState.PROVED, host__in=[name, wildcard_of(name)])
        for owned, owner in proved.values_list("host", "tenant__slug"):
            self.snapshot.routes.own(owned, owner)
        return super().route(host, path)

    def _compiled(self, row: API) -> snapshot.API:
        api, tried = compiler.compile_api(row), self._policy
        if tried is None:
            return api
        of_operations = compiler.compile_operation_policies(row, tried)
        return structs.replace(api, policy=compiler.compile_policy(row, tried), operation_policies=of_operations)

    def credential(self, digest: str) -> snapshot.Credential | Unknown:
        """The key with this digest, known at once."""
        (records,) = compiler.credentials_of(compiler.affected_by([("key", digest)]))
        return records[digest] or UNKNOWN

    def plan(self, slug: str) -> snapshot.Plan:
        """The plan's limits."""
        return compiler.compile_plan(Plan.objects.get(slug=slug))

    def issuer(self, slug: str) -> snapshot.Issuer | None:
        """As it stands in the database."""
        row = Issuer.objects.select_related("tenant").filter(slug=slug).first()
        return None if row is None else compiler.compile_issuer(row)

    def contract(self, api: str) -> snapshot.Contract | None:
        """As it stands in the database."""
        row = OpenAPIDocument.objects.select_related("api").filter(api__slug=api).first()
        return None if row is None else compiler.compile_contract(row)

    def introspection(self, slug: str) -> snapshot.Introspection | None:
        """As it stands in the database."""
        row = Introspection.objects.select_related("tenant").filter(slug=slug).first()
        return None if row is None else compiler.compile_introspection(row)


class TypedBody:
    """A body that is here as a whole: to the stages both the call's body and what was read of it."""

    error = None
    limit = 0

    def __init__(self, body: bytes) -> None:
        self.length = self.size = len(body)
        self.whole = body if len(body) <= KEYED_BYTES else None


def stages(
    config: StoredConfig, application: Application | None
) -> tuple[Callable[[Call], WholeResponse | Need | None], ...]:
    """Those of a gateway whose outcome depends on the request alone, in their order."""
    master, pepper = settings.ENTRY_MAC_KEY, settings.KEY_PEPPER
    digests = partial(digest_of, pepper), partial(identifier_digest, pepper)
    return (
        Route(config, LoopDetection(master), trusts=lambda client: False),
        partial(_as, application, config)
        if application
        else Authenticate(config, *digests, _known, master, Sources(config, pepper=pepper)),
        Authorize(config),
        ValidateHead(config, _VALIDATORS),
        PlanCache(),
        Validate(_VALIDATORS),
    )


def taken_in(
    typed: TypedRequest, config: StoredConfig, application: Application | None
) -> tuple[Call, WholeResponse | None]:
    """The call as a gateway has it when it looks into the cache, and the response that ended it before, if one did. With
    an ``application`` it is that one's call, whatever key is among the headers.
    """
    head = typed.method, typed.target, typed.headers
    x = Call(*head, call_id="", began=monotonic(), at=time(), scheme=typed.scheme)
    if typed.body is not None:
        x.body = x.read_ahead = TypedBody(typed.body)  # type: ignore[assignment]
    if refused := head_limits.refusal(x.method, x.target, x.version, x.headers):
        return x, refuse(x, *refused)
    for stage in stages(config, application):
        response = stage(x)
        if response is not None:
            return x, not_ready(x) if isinstance(response, Need) else response
    return x, None


async def _known(digest: str) -> None:
    """Nothing has to be looked up: see ``StoredConfig.credential``."""


def _as(application: Application, config: StoredConfig, x: Call) -> WholeResponse | None:
    """In place of ``Authenticate``, which needs a secret: the call has the newest key with which the application can make
    it now; where none can, its newest.
    """
    if not taken_by(x.api.authentication):
        return None
    keys = Credential.objects.filter(application=application, state=KeyState.ACTIVE, api=None).order_by("-created_at")
    usable = keys.filter(in_force(timezone.now())).values_list("digest", "apis")
    able = (digest for digest, apis in usable if apis is None or x.api.slug in apis)
    digest = next(able, None) or keys.values_list("digest", flat=True).first()
    if digest is None:
        raise ValidationError({"application": f"{named(application)} has no active key to call with."})
    credential = config.credential(digest)
    if credential is UNKNOWN:
        return refuse(x, Problem.INVALID_CREDENTIAL)
    x.credential = credential
    return refuse(x, Problem.INVALID_CREDENTIAL) if credential.is_over(x.at) else None
