"""Who calls: what is said in one of the ways that the API takes, and the record that the control plane keeps of it."""

from collections.abc import Awaitable, Callable
from functools import partial

from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import GatewayResponse, refuse
from apps.gateway.call.withheld_keys import query_without_keys, without_keys
from apps.gateway.config.subscriber import CredentialUnknown
from apps.gateway.config.worker_config import UNKNOWN, WorkerConfig
from apps.gateway.pipeline.authenticators import Authenticator, Identified, Presented, Refused
from apps.gateway.pipeline.authenticators.sources import Sources
from apps.gateway.pipeline.authenticators.table import OPEN, secret_fields, taken_by
from apps.gateway.pipeline.authenticators.token_faults import TokenFault
from apps.gateway.pipeline.stages import DependsOn, Need, Stage
from apps.gateway.pipeline.warm_up_calls import warms
from apps.wire import api_keys
from apps.wire.api_keys import holds_secret

_KINDS = {"api_key": "key", "client_id": "client ID", "signing_key": "signing key"}
"""What traces call the kinds of credentials, where that is another word."""


class Authenticate(Stage):
    """Checks keys and the like. ``digest`` gives what a key is known by, ``digest_of_identifier`` what another kind of credential
    is (by kind, namespace and identifier), ``look_up`` brings the credential of a digest into ``config`` or raises
    ``CredentialUnknown``, ``mac_key`` is the key under which configuration travels, ``sources`` what ways may ask of the worker.
    """

    name = "authenticate"
    depends_on = DependsOn.HEAD

    def __init__(
        self,
        config: WorkerConfig,
        digest: Callable[[bytes], str | None],
        digest_of_identifier: Callable[[str, str, bytes], str],
        look_up: Callable[[str], Awaitable[object]],
        mac_key: bytes,
        sources: Sources,
    ) -> None:
        self._config, self._digest, self._look_up, self._mac_key = config, digest, look_up, mac_key
        self._sources = sources
        self._digest_of_identifier = digest_of_identifier

    def __call__(self, x: Call) -> GatewayResponse | Need | None:
        """Check who calls, and remove every key from what is forwarded. Refuses with 401 what is missing, malformed, unknown,
        expired or revoked, and calls to an API whose ways are all newer than this worker; with 403 a token that doesn't allow
        the call, or of a client that is no application's; with 503 what can't be known.
        """
        api = x.api
        found = self._identified(x)
        if found is None:
            if warms(self._mac_key, x) and taken_by(api.authentication):
                return None if self._config.trust_lease.valid(x.began) else not_ready(x)
            if OPEN in api.authentication:
                return self._withhold_keys(x)
            return _challenge(x, Problem.MISSING_CREDENTIAL)
        way, presented, identified = found
        secret = presented.secret
        if secret and x.request_id is not x.call_id and secret in x.request_id.encode():  # which records have
            x.request_id = x.call_id
        if isinstance(identified, Need):
            return identified
        if isinstance(identified, Refused):
            return _refused(x, identified)
        if identified.kind == "api_key":
            digest = self._digest(identified.by)
            if digest is None:
                return _challenge(x, Problem.INVALID_CREDENTIAL)
        else:
            digest = self._digest_of_identifier(identified.kind, identified.namespace, identified.by)
        if not self._config.trust_lease.valid(x.began):
            return not_ready(x)
        credential = self._config.credential(digest)
        if credential is None:
            if x.unavailable:
                return not_ready(x)
            return Need(partial(self._look_up_for, x, digest))
        if credential is UNKNOWN or not way.is_whose(presented, credential):
            return _unknown(x, identified)
        x.credential, x.subject = credential, identified.subject
        x.identified_until = identified.until
        x.on_trust = True
        if credential.is_over(x.at):
            return _unknown(x, identified)
        if way.is_used(x, presented, self._sources):
            return _refused(
                x, Refused(Problem.INVALID_CREDENTIAL, "used_before", "This was used for another call before.")
            )
        if presented.digests:
            x.body_digests = presented.digests
        goes_on = api.forward_credential and not way.secret_is_key
        if secret is not None and not goes_on and not holds_secret(secret):  # what has our form is out already
            x.request_headers = without_keys(x.request_headers, secret)
            x.query = query_without_keys(x.query, secret)
        return self._withhold_keys(x)

    def _identified(self, x: Call) -> tuple[Authenticator, Presented, Identified | Need | Refused] | None:
        """By the first way, in the order of the API, that finds something. One that knows nothing of it leaves it to those
        behind; where none of them knows more, its refusal holds.
        """
        passed = None
        for way in taken_by(x.api.authentication):
            presented = way.find_in(x)
            if presented is None:
                continue
            identified = way.identify(x, presented, self._sources)
            if not (isinstance(identified, Refused) and identified.passes):
                return way, presented, identified
            passed = passed or (way, presented, identified)
        return passed

    def _withhold_keys(self, x: Call) -> GatewayResponse | Need | None:
        """Remove the fields for keys that hold keys of the platform. An imported key has no form by which it is recognised, so
        its record is looked up; 503 when that isn't possible.
        """
        _, readers = secret_fields(x.api)
        holding = set()
        held = [
            (pair, way.secret_in(pair[1]))
            for pair in (x.request_headers if readers else ())
            for way in readers.get(pair[0], ())
        ]
        for pair, secret in held:
            digest = self._digest(secret) if secret is not None else None
            if digest is None:
                continue
            x.on_trust = True
            if not self._config.trust_lease.valid(x.began):
                return not_ready(x)
            known = self._config.credential(digest)
            if known is None:
                return not_ready(x) if x.unavailable else Need(partial(self._look_up_for, x, digest))
            if known is not UNKNOWN:
                holding.add(pair)
        if holding:
            x.request_headers = tuple(pair for pair in x.request_headers if pair not in holding)
        return None

    async def _look_up_for(self, x: Call, digest: str) -> None:
        try:
            await self._look_up(digest)
        except CredentialUnknown:
            x.unavailable = True
        else:
            x.unavailable = self._config.credential(digest) is None

    def until(self, x: Call) -> float:
        if x.warms:
            return 0.0  # its token ends, and is for one call
        if x.credential is None or x.credential.expires_at is None:
            return x.identified_until
        return min(x.identified_until, x.credential.expires_at)

    def describe(self, x: Call) -> str:
        if x.credential is not None:
            return f"{_KINDS.get(x.credential.kind, x.credential.kind)} {x.credential.key_id}"
        return "warm-up" if x.warms else "no credential"


def _challenge(x: Call, problem: Problem) -> GatewayResponse:
    ways = dict.fromkeys(each.challenge(x.api) for each in taken_by(x.api.authentication))
    return refuse(x, problem, extra=tuple((b"www-authenticate", each) for each in ways))


def _refused(x: Call, refused: Refused) -> GatewayResponse:
    """What a way said of what it found. A challenge of its own stands in place of the others of its scheme."""
    problem, x.why = refused.problem, refused.why
    if problem is Problem.NOT_READY:
        return not_ready(x, refused.detail, refused.retry_after)
    if problem is Problem.RATE_LIMITED:
        return refuse(x, problem, refused.detail, ((b"retry-after", b"%d" % refused.retry_after),))
    ways = [each.challenge(x.api) for each in taken_by(x.api.authentication)] if problem.status == 401 else []
    if refused.challenge:
        scheme = refused.challenge.partition(b" ")[0]
        ways = [refused.challenge, *(each for each in ways if each.partition(b" ")[0] != scheme)]
    extra = tuple((b"www-authenticate", each) for each in dict.fromkeys(ways))
    return refuse(x, problem, refused.detail, extra)


def _unknown(x: Call, identified: Identified) -> GatewayResponse:
    """There is no such credential, or none any more. A token whose client is no application is a good one all the same."""
    if identified.kind != "client_id":
        return _challenge(x, Problem.INVALID_CREDENTIAL)
    x.why = TokenFault.UNKNOWN_CLIENT.code
    return refuse(x, Problem.NOT_SUBSCRIBED, TokenFault.UNKNOWN_CLIENT.sentence)


def not_ready(x: Call, detail: str | None = None, retry_after: int = 5) -> GatewayResponse:
    """503: whether this credential is good can't be known at the moment. Never 401 or 403."""
    return refuse(x, Problem.NOT_READY, detail, ((b"retry-after", b"%d" % retry_after),))


def digest_of(pepper: bytes, value: bytes) -> str | None:
    """What a key is known by; ``None`` for what can't be a key, or has our form and a wrong checksum."""
    if not api_keys.SHORTEST <= len(value) <= api_keys.LONGEST:
        return None
    secret = value.decode("utf-8", "surrogateescape")
    if api_keys.looks_like_ours(secret) and not api_keys.checksum_ok(secret):
        return None
    return api_keys.digest(pepper, secret)
