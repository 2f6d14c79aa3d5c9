"""How often one may guess at a password or a code, such that an attacker's guesses don't lock the owner out (OWASP, "device
cookies").

A browser that has signed in to an account is known to it: it holds a signed cookie, and its failures are counted by
themselves. Failures of all other browsers are counted by their network address, by address and account, and by account; where
these are used up, the known browsers go on, and a link by e-mail ("Forgot your password?") lets the owner in on a new one.
"""

from secrets import token_urlsafe

from allauth.core.internal import ratelimit
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac

KNOWN_FOR = 365 * 86400
"""Seconds since its last sign-in during which a browser is known."""

KNOWN = {"known": "10/5m/key"}
"""Failures of one known browser at one account."""

PASSWORD = {"address": "10/m/ip", "pair": "5/5m/key", "account": "100/h/key"}
"""Failures of other browsers: of one address (an IPv6 network of 64 bits counts as one), of one at one account, and of all
at one account, however many addresses they have.
"""

CODE = {"address": "10/m/ip", "code": "5/5m/key"}
"""The same for second factors: who gets here knows the password, and a code has six digits."""


class Attempt:
    """A guess that was counted before it was looked at."""

    def __init__(self, usages: list[ratelimit.RateLimitUsage]) -> None:
        self._usages = usages

    def succeeded(self) -> None:
        """It was none: only failures count."""
        for usage in self._usages:
            usage.rollback()


def password_attempt(request: HttpRequest, address: str) -> Attempt | None:
    """Count an attempt at the account with this e-mail address; ``None``: it is one too many."""
    return _attempt(request, address, PASSWORD, _keys(request, address))


def code_attempt(request: HttpRequest, address: str) -> Attempt | None:
    """Count an attempt at the second factor of that account; ``None``: it is one too many."""
    return _attempt(request, address, CODE, {"address": "", "code": f"code {address.lower()}"})


def forgive(request: HttpRequest, address: str) -> None:
    """A user who reads the account's mail has shown that it is theirs."""
    for action, key in _keys(request, address).items():
        ratelimit.clear(request, app="apimgr", action=action, config=PASSWORD, key=key)


def remember(request: HttpRequest, response: HttpResponse, address: str) -> None:
    """This browser has signed in to the account: it is known from now on."""
    nonce = _nonce(request, address) or token_urlsafe(16)
    response.set_cookie(
        cookie_name(address),
        _signer(address).sign(nonce),
        max_age=KNOWN_FOR,
        path="/accounts/",
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )


def cookie_name(address: str) -> str:
    """The cookie by which a browser is known to an account: one for each account, and not its address."""
    return "known-" + salted_hmac("apimgr known browser", address.lower(), algorithm="sha256").hexdigest()[:16]


def _attempt(request: HttpRequest, address: str, rates: dict[str, str], keys: dict[str, str]) -> Attempt | None:
    nonce = _nonce(request, address)
    if nonce is not None:
        rates, keys = KNOWN, {"known": f"{nonce} {keys.get('code', '')}"}
    usages = []
    for action, key in keys.items():
        usage = ratelimit.consume(request, app="apimgr", action=action, config=rates, key=key, limit_get=True)
        if usage is None:
            return None
        usages.append(usage)
    return Attempt(usages)


def _keys(request: HttpRequest, address: str) -> dict[str, str]:
    account = address.lower()
    return {"address": "", "pair": f"{ratelimit.get_ip(request)} {account}", "account": account}


def _nonce(request: HttpRequest, address: str) -> str | None:
    try:
        return _signer(address).unsign(request.COOKIES.get(cookie_name(address), ""), max_age=KNOWN_FOR)
    except signing.BadSignature:
        return None


def _signer(address: str) -> signing.TimestampSigner:
    return signing.TimestampSigner(salt=f"apimgr known browser {address.lower()}")
