"""Is the body of the call one that the API takes."""

from apps.gateway.call.call import Call
from apps.gateway.call.content_digest import is_body_of
from apps.gateway.call.keyed_body import KEYED_BYTES, ReadAhead
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import GatewayResponse, refuse
from apps.gateway.pipeline.stages import DependsOn, Need, Stage
from apps.gateway.pipeline.stages.cache import plan_of
from apps.gateway.validation import json_body
from apps.gateway.validation.faults import Fault
from apps.gateway.validation.injections import injection_in
from apps.gateway.validation.operations import is_coded, is_json, media_type, schema_for
from apps.gateway.validation.refusal import OFF, fault_or_refusal
from apps.gateway.validation.validators import Validators


class Validate(Stage):
    """Checks bodies. ``validators`` are the worker's."""

    name = "validate"
    depends_on = DependsOn.BODY

    def __init__(self, validators: Validators) -> None:
        self._validators = validators

    def __call__(self, x: Call) -> GatewayResponse | Need | None:
        """Check the declared size of the body (413). One of unknown size is counted while it is read: here, where it is
        part of the cache's key, signed or validated, else on its way to the upstream. One that isn't what was signed is refused
        (400), and where the API blocks, one that isn't as its document has it.
        """
        if x.body is None:
            return None
        x.body.limit = x.api.body_limit
        if x.body.length is not None and x.body.length > x.api.body_limit:
            return refuse(x, Problem.BODY_TOO_LARGE)
        if x.api.validation.request != OFF and _is_validated(x):
            return self._validated(x)
        return _read(x) if x.cache_plan.wants_body or x.body_digests else None

    def describe(self, x: Call) -> str:
        return x.fault or "ok"

    def _validated(self, x: Call) -> GatewayResponse | Need | None:
        bounds, declared = x.api.validation, x.body.length if x.body is not None else None
        if declared is not None and declared > bounds.body and (refused := _too_large(x)) is not None:
            return refused
        if (outcome := _read(x)) is not None:
            return outcome
        whole = x.read_ahead.whole if x.read_ahead is not None else None
        if whole is None or len(whole) > bounds.body:
            return _too_large(x)
        faults = self._faults(x, whole)
        return fault_or_refusal(x, Problem.INVALID_REQUEST, faults) if faults else None

    def _faults(self, x: Call, text: bytes) -> list[Fault]:
        bounds, contract, described = x.api.validation, x.contract, x.described
        try:
            value, parts = json_body.read(text, bounds)
        except json_body.NotTaken as error:
            return [error.fault]
        schema = schema_for(described.content, _kind(x)) if described is not None else None
        if contract is not None and schema and not self._validators.allows(contract, schema, value):
            return self._validators.faults(contract, schema, value, parts, "body", ("body",))
        if bounds.injections and (found := injection_in(value)):
            _report(x, found)
        return []


def _report(x: Call, found: Fault) -> None:
    """Note a sign of an attack, which refuses no call."""
    if not x.fault:
        x.fault = found.summary
        x.flags = (*x.flags, found.rule)


def _too_large(x: Call) -> GatewayResponse | None:
    fault = Fault("body", "/body", "It is too large to be checked.", "body")
    return fault_or_refusal(x, Problem.BODY_TOO_LARGE, [fault])


def _kind(x: Call) -> str:
    return media_type(next((value for name, value in x.headers if name == b"content-type"), b""))[0]


def _is_validated(x: Call) -> bool:
    """Whether the body is JSON that can be read. The head's own faults are told already."""
    return is_json(_kind(x)) and not is_coded(x.headers)


def _read(x: Call) -> GatewayResponse | Need | None:
    """A body that is part of the cache's key, that its caller signed, or that is validated."""
    ahead = x.read_ahead
    if ahead is None and x.body is not None and (x.body.length or 0) <= KEYED_BYTES:
        return Need(lambda: _read_ahead(x))
    if ahead is not None and ahead.error is not None:
        return refuse(x, ahead.error.problem)
    whole = ahead.whole if ahead is not None else None
    if x.body_digests:
        if whole is None:
            return refuse(x, Problem.BODY_TOO_LARGE, f"A signed body has {KEYED_BYTES} bytes at most.")
        if not is_body_of(x.body_digests, whole):
            return refuse(x, Problem.INVALID_REQUEST, "The body is not the one whose Content-Digest was signed.")
    if whole is not None and x.cache_plan.wants_body:
        x.cache_plan = plan_of(x)
    return None


async def _read_ahead(x: Call) -> None:
    if x.body is not None:
        ahead = x.read_ahead = ReadAhead(x.body)
        await ahead.read()
