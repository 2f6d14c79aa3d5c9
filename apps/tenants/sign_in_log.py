"""Signing in and out, failures to, and second factors, in the audit log. Changes of passwords and tokens are services' own.

Anybody may fail to sign in, as often as they like: one failure of an account's from an address is written in five minutes, thirty
in a minute for the whole installation. The others are counted, and the next entry of the account says how many they were. The
count is inexact where Redis is away, or where two failures come at once: enough to see that somebody guesses.
"""

from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.account.signals import user_logged_in, user_logged_out
from allauth.core.internal import ratelimit
from allauth.mfa import signals as second_factors
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from apps.audit.services import change
from apps.foundation.via import coming_by
from apps.tenants.models import User

WRITTEN = {"audit_account": "1/5m/key", "audit_all": "30/m/key"}
"""Failures that get an entry: of one account from one address, and of all accounts."""
COUNTED_FOR = 86_400
"""Seconds for which failures without an entry are remembered."""


def failed(request: HttpRequest, email: str, reason: str) -> None:
    """Somebody failed to sign in to, or to confirm that they are, the account with this address, which may be nobody's."""
    email = email.lower()[:254]
    keys = {"audit_account": f"{ratelimit.get_ip(request)} {email}", "audit_all": "all"}
    for name, key in keys.items():
        if ratelimit.consume(request, app="apimgr", action=name, config=WRITTEN, key=key, limit_get=True) is None:
            cache.set(_counter(email), cache.get(_counter(email), 0) + 1, COUNTED_FOR)
            return
    without_entry = _without_entry(email)
    with (
        coming_by("console"),
        change(actor=None, verb="user.sign_in_failed", target_type="user", target=email, comment=reason) as entry,
    ):
        entry.field("failures_without_entry", 0, without_entry)


@receiver(user_logged_in, dispatch_uid="apps.tenants.sign_in_log")
def signed_in(request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Somebody has taken all steps of signing in."""
    methods = [each.get("type") or each["method"] for each in get_authentication_records(request, user)]
    without_entry = _without_entry(user.email)
    with (
        coming_by("console"),
        change(actor=user, verb="user.sign_in", target_type="user", target=user.email) as entry,
    ):
        entry.field("methods", [], methods)
        entry.field("failures_without_entry", 0, without_entry)


@receiver(user_logged_out, dispatch_uid="apps.tenants.sign_in_log")
def signed_out(user: User | None = None, **kwargs: Any) -> None:
    """Somebody has ended their session."""
    if isinstance(user, User):
        with coming_by("console"), change(actor=user, verb="user.sign_out", target_type="user", target=user.email):
            pass


@receiver(second_factors.authentication_failed, dispatch_uid="apps.tenants.sign_in_log")
def code_failed(request: HttpRequest, user: User, **kwargs: Any) -> None:
    """A wrong code of a second factor: who gives one knows the password."""
    failed(request, user.email, "Wrong code of the second factor")


@receiver(second_factors.authenticator_added, dispatch_uid="apps.tenants.sign_in_log")
def factor_added(user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    """A second factor, or its recovery codes."""
    _factor(user, authenticator, None, "on")


@receiver(second_factors.authenticator_removed, dispatch_uid="apps.tenants.sign_in_log")
def factor_removed(user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    """The user's own act; what an administrator takes off is a service's."""
    _factor(user, authenticator, "on", None)


@receiver(second_factors.authenticator_reset, dispatch_uid="apps.tenants.sign_in_log")
def factor_reset(user: User, authenticator: Authenticator, **kwargs: Any) -> None:
    """New recovery codes in place of the old ones."""
    _factor(user, authenticator, "on", "made anew")


def _factor(user: User, authenticator: Authenticator, before: str | None, after: str | None) -> None:
    with (
        coming_by("console"),
        change(actor=user, verb="user.second_factor", target_type="user", target=user.email) as entry,
    ):
        entry.field(authenticator.type, before, after)


def _counter(email: str) -> str:
    return "failures:" + salted_hmac("apimgr failed sign-ins", email.lower(), algorithm="sha256").hexdigest()[:32]


def _without_entry(email: str) -> int:
    """How many failures of an account have no entry, which from now on has one."""
    count = cache.get(_counter(email), 0)
    if count:
        cache.delete(_counter(email))
    return int(count)
