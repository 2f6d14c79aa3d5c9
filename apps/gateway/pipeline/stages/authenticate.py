"""Who calls: the key, and the record that the control plane keeps of it."""

from collections.abc import Awaitable, Callable
from functools import partial

from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import GatewayResponse, refuse
from apps.gateway.call.withheld_keys import key_fields, query_without_keys, without_keys
from apps.gateway.config.subscriber import CredentialUnknown
from apps.gateway.config.worker_config import UNKNOWN, WorkerConfig
from apps.gateway.pipeline.stages import FOREVER, DependsOn, Need, Stage
from apps.gateway.pipeline.warm_up_calls import warms
from apps.wire import api_keys
from apps.wire.api_keys import holds_secret


class Authenticate(Stage):
    """Checks keys. ``digest`` gives what a key is known by, ``look_up`` brings the credential of a digest into ``world`` or raises
    ``CredentialUnknown``, and ``mac_key`` is the key under which configuration travels.
    """

    name = "authenticate"
    depends_on = DependsOn.HEAD

    def __init__(
        self,
        world: WorkerConfig,
        digest: Callable[[bytes], str | None],
        look_up: Callable[[str], Awaitable[object]],
        mac_key: bytes,
    ) -> None:
        self._world, self._digest, self._look_up, self._mac_key = world, digest, look_up, mac_key

    def __call__(self, x: Call) -> GatewayResponse | Need | None:
        """Check the key, and remove every key from what is forwarded. Refuses with 401 what is missing, malformed, unknown, expired
        or revoked; 503 when it can't be known.
        """
        api = x.api
        if "api_key" not in api.authentication:
            warms(self._mac_key, x)
            return self._withhold_keys(x)
        header = api.api_key_header.lower().encode()
        values = [value for name, value in x.headers if name == header]
        if not values:
            if warms(self._mac_key, x):
                return None if self._world.lease.valid(x.began) else not_ready(x)
            if "none" in api.authentication:
                return self._withhold_keys(x)
            return _challenge(x, Problem.MISSING_CREDENTIAL)
        digest = self._digest(values[0]) if len(values) == 1 else None
        if digest is None:
            return _challenge(x, Problem.INVALID_CREDENTIAL)
        if not self._world.lease.valid(x.began):
            return not_ready(x)
        credential = self._world.credential(digest)
        if credential is None:
            if x.unavailable:
                return not_ready(x)
            return Need(partial(self._look_up_for, x, digest))
        if credential is UNKNOWN:
            return _challenge(x, Problem.INVALID_CREDENTIAL)
        x.credential = credential
        x.on_trust = True
        if credential.state == "revoked" or (credential.expires_at is not None and credential.expires_at <= x.at):
            return _challenge(x, Problem.INVALID_CREDENTIAL)
        if not holds_secret(values[0]):  # what has our form is out already
            x.request_headers = without_keys(x.request_headers, values[0])
            x.query = query_without_keys(x.query, values[0])
            if x.request_id is not x.call_id and values[0] in x.request_id.encode():
                x.request_id = x.call_id
        return self._withhold_keys(x)

    def _withhold_keys(self, x: Call) -> GatewayResponse | Need | None:
        """Remove the platform's keys from the fields for keys. An imported key has no form by which it is recognised, so its record
        is looked up; 503 when that isn't possible.
        """
        _, fields = key_fields(x.api)
        own_keys = set()
        for name, value in x.request_headers if fields else ():
            digest = self._digest(value) if name in fields else None
            if digest is None:
                continue
            x.on_trust = True
            if not self._world.lease.valid(x.began):
                return not_ready(x)
            known = self._world.credential(digest)
            if known is None:
                return not_ready(x) if x.unavailable else Need(partial(self._look_up_for, x, digest))
            if known is not UNKNOWN:
                own_keys.add(value)
        if own_keys:
            x.request_headers = tuple(
                pair for pair in x.request_headers if pair[0] not in fields or pair[1] not in own_keys
            )
        return None

    async def _look_up_for(self, x: Call, digest: str) -> None:
        try:
            await self._look_up(digest)
        except CredentialUnknown:
            x.unavailable = True
        else:
            x.unavailable = self._world.credential(digest) is None

    def until(self, x: Call) -> float:
        if x.warms:
            return 0.0  # its token ends, and is for one call
        return FOREVER if x.credential is None or x.credential.expires_at is None else x.credential.expires_at

    def describe(self, x: Call) -> str:
        if x.credential is not None:
            return f"key {x.credential.key_id}"
        return "warm-up" if x.warms else "no key"


def _challenge(x: Call, problem: Problem) -> GatewayResponse:
    value = b'ApiKey realm="%b", header="%b"' % (x.api.slug.encode(), x.api.api_key_header.encode())
    return refuse(x, problem, extra=((b"www-authenticate", value),))


def not_ready(x: Call) -> GatewayResponse:
    """503: whether this key is good can't be known at the moment. Never 401 or 403."""
    return refuse(x, Problem.NOT_READY, extra=((b"retry-after", b"5"),))


def digest_of(pepper: bytes, value: bytes) -> str | None:
    """What a key is known by; ``None`` for what can't be a key, or has our form and a wrong checksum."""
    if not api_keys.SHORTEST <= len(value) <= api_keys.LONGEST:
        return None
    secret = value.decode("utf-8", "surrogateescape")
    if api_keys.looks_like_ours(secret) and not api_keys.checksum_ok(secret):
        return None
    return api_keys.digest(pepper, secret)
