"""Calls of the control plane itself, which has responses fetched before clients ask for them."""

from apps.gateway.call.call import Call
from apps.wire.call_records import WARM_UP
from apps.wire.warm_up_token import HEADER, scheme_of


def warms(mac_key: bytes, x: Call) -> bool:
    """Whether this is a warm-up's call; the call keeps that then. To be asked where no key was given. ``mac_key`` is the
    key under which configuration travels.

    The call stays anonymous, and counts as one by the scheme that its token names: a gateway behind a proxy that speaks
    TLS is called past it. Its head is not remembered, because its token ends.
    """
    values = [value for name, value in x.headers if name == HEADER]
    if len(values) != 1 or x.method not in ("GET", "HEAD"):
        return False
    scheme = scheme_of(mac_key, values[0], api=x.api.slug, target=x.target, now=x.at)
    if scheme is None:
        return False
    x.scheme = scheme
    x.warms = True
    x.flags += (WARM_UP,)
    return True
