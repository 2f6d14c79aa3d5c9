"""Some of the upstreams' responses held against the document, once they were sent: no caller waits for it.

A worker looks at ``PER_SECOND`` responses of all its APIs at most, and at bodies of up to ``LARGEST`` bytes.
"""

import asyncio
from collections.abc import Callable, Iterator
from time import monotonic

from apps.gateway.call.call import Call, Fields
from apps.gateway.call.responses import AnyResponse, StreamedResponse
from apps.gateway.config.worker_config import WorkerConfig
from apps.gateway.validation import json_body
from apps.gateway.validation.faults import Fault, pointer
from apps.gateway.validation.operations import is_json, media_type, operation_for, schema_for
from apps.gateway.validation.validators import Validators
from apps.wire.call_records import ResponseFaultRecord, encode
from apps.wire.listen_paths import path_below
from apps.wire.snapshot import Contract, OperationContract, Validation

PER_SECOND = 10
LARGEST = 256 * 2**10

_BOUNDS = Validation()
_WITHOUT_BODY = frozenset({204, 206, 304})


class ResponseReports:
    """Those of a worker. ``append`` takes an encoded record to its spool."""

    def __init__(self, config: WorkerConfig, validators: Validators, append: Callable[[bytes], object]) -> None:
        self._config, self._validators, self._append = config, validators, append
        self._next = 0.0
        self.looked = 0
        """How many were looked at."""

    def watch(self, x: Call, response: AnyResponse) -> AnyResponse:
        """The response to send in place of this one, which came from the upstream: the same, looked at when it was read."""
        now = monotonic()
        contract = self._config.contract(x.api.slug)
        if now < self._next or contract is None or not x.upstream_status or x.code:
            return response
        operation = operation_for(contract, x.method, path_below(x.api.listen_path, x.path))
        if isinstance(operation, list) or not operation.responses:
            return response
        self._next = now + 1 / PER_SECOND
        if not isinstance(response, StreamedResponse):
            body = response.body if len(response.body) <= LARGEST else None
            self._look_later(x, contract, operation, response.status, response.headers, body)
            return response
        return self._tapped(x, contract, operation, response)

    def _tapped(
        self, x: Call, contract: Contract, operation: OperationContract, response: StreamedResponse
    ) -> StreamedResponse:
        parts: list[bytes] = []
        size, read = 0, response.read

        async def tapped() -> bytes:
            nonlocal size
            part = await read()
            size += len(part)
            if size > LARGEST:
                parts.clear()
            elif part:
                parts.append(part)
            if not part:
                body = b"".join(parts) if size <= LARGEST else None
                self._look_later(x, contract, operation, response.status, response.headers, body)
            return part

        return StreamedResponse(response.status, response.headers, tapped, response.close)

    def _look_later(
        self,
        x: Call,
        contract: Contract,
        operation: OperationContract,
        status: int,
        headers: Fields,
        body: bytes | None,
    ) -> None:
        asyncio.get_running_loop().call_soon(self._look, x, contract, operation, status, headers, body)

    def _look(
        self,
        x: Call,
        contract: Contract,
        operation: OperationContract,
        status: int,
        headers: Fields,
        body: bytes | None,
    ) -> None:
        self.looked += 1
        for fault in self._faults(contract, operation, x.method, status, headers, body):
            place, _, rule = fault.summary.rpartition(" ")
            record = ResponseFaultRecord(x.at, x.call_id, x.api.slug, x.operation, place, rule)
            self._append(encode(record))

    def _faults(
        self,
        contract: Contract,
        operation: OperationContract,
        method: str,
        status: int,
        headers: Fields,
        body: bytes | None,
    ) -> Iterator[Fault]:
        """The first thing that is wrong with a response; ``body`` is ``None`` where it is too large."""
        by_status = dict(operation.responses)
        said = next((each for each in (str(status), f"{status // 100}XX", "default") if each in by_status), None)
        if said is None:
            yield Fault("response", pointer("response"), "Its status isn't described.", f"status_{status}")
            return
        content = by_status[said]
        if not content or method == "HEAD" or status in _WITHOUT_BODY or body == b"":
            return
        told = {name: value for name, value in headers if name in (b"content-type", b"content-encoding")}
        kind = media_type(told.get(b"content-type", b""))[0]
        schema = schema_for(content, kind)
        if schema is None:
            yield Fault("response", pointer("response", "content-type"), "It isn't described.", "content_type")
        elif schema and is_json(kind) and body is not None and b"content-encoding" not in told:
            yield from self._body_faults(contract, schema, body)

    def _body_faults(self, contract: Contract, schema: str, body: bytes) -> Iterator[Fault]:
        try:
            value, parts = json_body.read(body, _BOUNDS)
        except json_body.NotTaken as error:
            yield error.fault._replace(place="response", pointer=pointer("response", "body"))
            return
        if not self._validators.allows(contract, schema, value):
            yield self._validators.faults(contract, schema, value, parts, "response", ("response", "body"))[0]
