"""What is kept of a call."""

from time import monotonic

from apps.gateway.call.call import NO_API, Call
from apps.gateway.records.metrics import Metrics
from apps.gateway.records.spool import SpoolWriter
from apps.gateway.records.unknown_calls import METHOD_BYTES, PATH_BYTES, UnknownCallTally
from apps.wire.api_keys import without_secrets
from apps.wire.call_records import BEGUN, CALL, SAMPLED, SpooledCallRecord, encode


class Recorder:
    """Writes the records of a worker's calls to its spool, and counts them."""

    def __init__(self, spool: SpoolWriter, unknown_calls: UnknownCallTally, metrics: Metrics) -> None:
        self._spool, self._unknown_calls, self._metrics = spool, unknown_calls, metrics

    def __call__(self, x: Call, status: int, size: int, kind: str = CALL) -> None:
        """Append the call's record; ``size`` is the bytes of the response's body. To be called before the last byte
        leaves.
        """
        if x.silent:
            return
        ms = (monotonic() - x.began) * 1000
        api, credential, grant, body = x.api, x.credential, x.grant, x.body
        head_memo = x.head_memo
        if api is NO_API:
            if not self._unknown_calls.count(x.at, status, x.code, body.received if body is not None else 0, size):
                self._metrics.called(api.slug, status, x.cache, ms, x.flags)
                return
            x.flags = (*x.flags, SAMPLED)
            x.path, x.method = without_secrets(x.path)[:PATH_BYTES], x.method[:METHOD_BYTES]
        host, path = head_memo.texts if head_memo is not None else x.texts
        write = self._spool.offer if api is NO_API else self._spool.append
        write(
            encode(
                SpooledCallRecord(
                    kind,
                    x.call_id,
                    x.request_id if x.request_id is not x.call_id else "",
                    x.at,
                    api.slug,
                    api.revision,
                    x.operation,
                    credential.tenant if credential is not None else "",
                    credential.application if credential is not None else "",
                    credential.key_id if credential is not None else 0,
                    grant.plan if grant is not None else "",
                    x.method,
                    host,
                    path,
                    status,
                    x.code,
                    x.cache.decode(),
                    x.reason,
                    ms,
                    x.upstream_duration,
                    x.upstream_status,
                    x.upstream,
                    body.received if body is not None else 0,
                    size,
                    x.attempts,
                    x.flags,
                    x.trace,
                    x.cache_plan.key_name,
                    x.cause,
                )
            )
        )
        if kind is not BEGUN:
            self._metrics.called(api.slug, status, x.cache, ms, x.flags)
