"""Is the call one that the API takes."""

from typing import TYPE_CHECKING

from apps.gateway.answers import Answer, refuse
from apps.gateway.exchange import Exchange
from apps.gateway.problems import Problem

if TYPE_CHECKING:
    from apps.gateway.gateway import Gateway


def validate(gateway: "Gateway", x: Exchange) -> Answer | None:
    """Check the declared size of the body (413). One of unknown size is counted while it is read."""
    if x.body is None:
        return None
    x.body.limit = x.api.body_limit
    if x.body.length is not None and x.body.length > x.api.body_limit:
        return refuse(x, Problem.BODY_TOO_LARGE)
    return None
