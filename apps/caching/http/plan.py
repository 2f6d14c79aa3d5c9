"""The first decision of a call: may the cache be asked, under which keys, and what would be forwarded."""

from dataclasses import dataclass

from apps.caching.http.identity import Identity
from apps.caching.http.messages import Headers, Request
from apps.caching.http.policy import Policy
from apps.caching.http.reasons import Reason


@dataclass(slots=True)
class RequestPlan:
    """What the cache means to do with a call.

    ``bypass`` is the reason why the cache is not asked at all, or ``None``. ``keys`` are the primary keys to look under, in order
    of preference (two where an answer may turn out to be shared or the subject's own). ``fetch_key`` names the upstream call for
    collapsing: calls with equal fetch keys may wait for one upstream call; ``None`` must not wait. ``query`` is what is
    keyed, and so what is forwarded.
    """

    request: Request
    policy: Policy
    identity: Identity
    bypass: Reason | None
    keys: tuple[bytes, ...]
    fetch_key: bytes | None
    query: bytes | None

    def upstream_headers(self, conditional: Headers = ()) -> Headers:
        """The fields to send upstream: normalised, without hop-by-hop fields, with ``conditional`` in place of the caller's conditions."""
        raise NotImplementedError


def plan_request(request: Request, policy: Policy, identity: Identity) -> RequestPlan:
    """Decides whether and where to look. Never fails: a call that the cache can't serve has a plan with ``bypass`` set."""
    raise NotImplementedError
