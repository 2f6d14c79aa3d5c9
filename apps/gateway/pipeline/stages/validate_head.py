"""Is the head of the call as the API's OpenAPI document has it: path, method, parameters, and what is said of the body."""

from collections.abc import Set

from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.call.responses import GatewayResponse
from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.pipeline.stages import DependsOn, Stage
from apps.gateway.pipeline.stages.route import relative_path
from apps.gateway.validation.faults import Fault, pointer
from apps.gateway.validation.operations import is_coded, is_json, media_type, operation_for, schema_for
from apps.gateway.validation.parameters import parameter_faults
from apps.gateway.validation.refusal import BLOCK, OFF, fault_or_refusal
from apps.gateway.validation.validators import Validators
from apps.httpcache.fields import UNKEYED_ECHOES, without

_UTF_8 = frozenset({"", "utf-8", "utf8", "us-ascii"})


class ValidateHead(Stage):
    """Holds heads against contracts. ``validators`` are the worker's."""

    name = "validate_head"
    depends_on = DependsOn.HEAD

    def __init__(self, config: WorkerConfig, validators: Validators) -> None:
        self._config, self._validators = config, validators

    def __call__(self, x: Call) -> GatewayResponse | None:
        """Find the operation of the call. Refuses, where the API blocks, what the document doesn't have: the path (404), the method
        (405), parameters (400), the body's type (415); or notes it.
        """
        api = x.api
        if api.validation.request == OFF:
            return None
        contract = x.contract = self._config.contract(api.slug)
        if contract is None:
            return None
        if _is_preflight(x):
            _leave_as_it_is(x)
            return None
        path = relative_path(api, x.path)
        found = operation_for(contract, x.method, path)
        if isinstance(found, list):
            return _undescribed(x, found)
        x.described = found
        _leave_as_it_is(x, {rule.name.encode() for rule in found.parameters if rule.place == "header"})
        faults = parameter_faults(self._validators, contract, found, path, x.query, x.headers)
        if found.body_required and x.body is None:
            faults.append(Fault("body", "/body", "It is missing.", "required"))
        if faults:
            return fault_or_refusal(x, Problem.INVALID_REQUEST, faults)
        return _body_kind(x) if x.body is not None else None

    def describe(self, x: Call) -> str:
        return x.fault


def _leave_as_it_is(x: Call, described: Set[bytes] = frozenset()) -> None:
    """Leave out the fields by which an origin would take the call for another one, which the document may not have, where the API
    blocks those; not what the document itself names.
    """
    if x.api.validation.request == BLOCK:
        x.request_headers = without(x.request_headers, UNKEYED_ECHOES - described)


def _is_preflight(x: Call) -> bool:
    """Whether it is a browser's question (Fetch §3.2.2), of which documents say nothing."""
    return x.method == "OPTIONS" and any(name == b"access-control-request-method" for name, _ in x.headers)


def _undescribed(x: Call, methods: list[str]) -> GatewayResponse | None:
    if not methods:
        return fault_or_refusal(x, Problem.UNKNOWN_OPERATION, [Fault("path", "/path", "It isn't described.", "path")])
    allow = ((b"allow", ", ".join(methods).encode()),)
    return fault_or_refusal(
        x, Problem.METHOD_NOT_ALLOWED, [Fault("method", "/method", "It isn't described.", "method")], allow
    )


def _body_kind(x: Call) -> GatewayResponse | None:
    """What the head says of the body. Nothing is refused where the document says nothing of bodies."""
    described = x.described
    if described is None or not described.content:
        return None
    told = [value for name, value in x.headers if name == b"content-type"]
    kind, charset = media_type(told[0] if told else b"")
    detail = ""
    if len(told) > 1:
        detail = "It stands there more than once."
    elif schema_for(described.content, kind) is None:
        detail = f"It is none of {', '.join(sorted(name for name, _ in described.content)[:10])}."
    elif is_json(kind) and charset not in _UTF_8:
        detail = "JSON is UTF-8."
    elif is_json(kind) and is_coded(x.headers):
        detail = "A body with a content coding can't be checked."
    if not detail:
        return None
    fault = Fault("header", pointer("header", "content-type"), detail, "content_type")
    return fault_or_refusal(x, Problem.UNSUPPORTED_MEDIA_TYPE, [fault])
