"""Among whom a response may be shared, and under which rule (RFC 9111 §3.5, §7.3).

What counts is what the upstream saw. The credential that the gateway itself checked is removed before forwarding, so
it is no credential here: the upstream could not have made its response depend on it.

Before the upstream has answered, a call has a *base* scope: the narrowest of what the policy says, what the gateway
tells the upstream, and what the API's sensitivity demands. A call that forwards credentials may
use what is stored under the base scope only if the origin permits that (§3.5); everything else is its subject's own.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum

from apps.httpcache.directives import ResponseDirectives
from apps.httpcache.keys import pack
from apps.httpcache.policy import PERSONAL, Policy


class SharingScope(IntEnum):
    """Who may be served a stored response; a larger number is narrower."""

    SHARED = 0
    TENANT = 1
    APPLICATION = 2
    SUBJECT = 3


@dataclass(slots=True)
class Identity:
    """Who calls, as the gateway knows it. Empty text: not known.

    ``told`` is the narrowest of these that the gateway names to the upstream in headers of its own.
    """

    tenant: str = ""
    application: str = ""
    subject: str = ""
    told: SharingScope = SharingScope.SHARED


ANONYMOUS = Identity()

_WORDS = frozenset(
    b"""
    account acl actor affiliation apikey appkey assertion bearer caller cert certificate claim
    claims clientcert clientid clientsecret consumer cookie cookie2 credential credentials creds customer dn
    dpop email employee entitlement entitlements eppn group groups hasura identity impersonate impersonated
    impersonation imsi iv jwt key keyid login mail member msisdn mtls oauth oauth2 oidc org organisation
    organization orgid otp owner passcode passphrase passwd password permission permissions person pin principal
    role roles saml secret session sessionid shib sid signature sm ssl sso sub subject subscription sudo tenant
    tenantid ticket tls token uid user userid userinfo username users vouch
    """.split()
)
"""Parts of a field's name, between hyphens, that make it a credential or the name of who calls."""

_ENDINGS = (
    *(b"auth", b"cookie", b"cert", b"email", b"jwt", b"key", b"password", b"secret", b"session", b"tenant", b"token"),
    *(b"user", b"userid", b"username"),
)
"""The same at the end of a part: ``authtoken``, ``subscriptionkey``, ``currentuser``."""

_PAIRS = re.compile(
    rb"-(?:client|app|application|company|org|cart|basket|calling-line)-id-|-behalf-of-|-remote-(?!addr-|address-|ip-|host-|port-)"
)

_NAMES = frozenset({b"from", b"signature-input"})
"""Whole names: RFC 9110 §10.1.2 says who calls, RFC 9421 by which key it was signed."""

_OTHERS = frozenset(
    b"""
    idempotency-key x-idempotency-key proxy-authorization surrogate-key x-cache-key
    user-agent x-user-agent x-amz-user-agent x-original-user-agent x-device-user-agent
    x-tls-version x-tls-cipher x-forwarded-ssl x-url-scheme
    """.split()
)
"""Names that have such a part and say nothing of who calls, or never go on."""

_BROWSERS = (b"sec-ch-", b"sec-fetch-", b"sec-websocket-")
"""How the names begin that browsers set by themselves (``Sec-Fetch-User`` says that the user clicked)."""

_NOT_PLAIN = re.compile(rb"[^a-z0-9]")


def folded(name: bytes) -> bytes:
    """A lower-case name as origins behind CGI, WSGI or Rack read it: every character that is no letter or digit is one."""
    return _NOT_PLAIN.sub(b"-", name)


def is_credential(name: bytes) -> bool:
    """Whether a request field is taken for a credential when it is forwarded: it carries one, or names who calls. By the
    words in its (lower-case) name, in any spelling that an origin may read as the same.

    RFC 9111 §3.5 speaks of ``Authorization`` alone; what origins answer by is wider, and an origin that checks a key of its
    own, or believes a name that a proxy or a service mesh gave, rarely says so in ``Vary``.
    """
    name = folded(name)
    if name in _OTHERS or name.startswith(_BROWSERS):
        return False
    if name in _NAMES or _PAIRS.search(b"-%b-" % name):
        return True
    return any(
        part in _WORDS
        or part.endswith(_ENDINGS)
        or (part.startswith(b"auth") and part not in (b"author", b"authority"))
        for part in name.split(b"-")
    )


Credentials = tuple[tuple[bytes, bytes], ...]
"""The credential fields that a call forwards, with their values, in the order of their names."""

_OF_POLICY = {
    "auto": SharingScope.SHARED,
    "shared": SharingScope.SHARED,
    "tenant": SharingScope.TENANT,
    "application": SharingScope.APPLICATION,
    "subject": SharingScope.SUBJECT,
}


def subject_of_key(key_id: int, caller: str = "") -> str:
    """The subject that a key stands for; with a ``caller``, the one of these who calls with it, under a name that doesn't tell
    who that is.
    """
    key = f"key:{key_id}"
    return key + subject_of_caller(caller) if caller else key


def subject_of_caller(caller: str) -> str:
    """The subject that a caller is with whichever key."""
    return f"/{hashlib.sha256(caller.encode()).hexdigest()[:32]}"


def subjects_over(subject: str) -> tuple[str, ...]:
    """A subject, the key that it calls with, and who calls with whichever key."""
    key, slash, caller = subject.partition("/")
    return (subject, key, slash + caller) if slash else (subject,)


def base_scope(policy: Policy, identity: Identity) -> SharingScope:
    """The widest scope that a call's response can have. Never wider than what the upstream saw of the caller."""
    if policy.sensitivity == PERSONAL:
        return SharingScope.SUBJECT
    return max(_OF_POLICY[policy.scope], identity.told)


def owner(scope: int, identity: Identity, credentials: Credentials = ()) -> bytes | None:
    """Names the caller within a scope; ``None`` where the call has no such identity, so that nothing may be stored
    for it.

    A subject is everything that distinguishes one caller from another. Two callers that differ in any of it are two subjects.
    """
    if scope == SharingScope.SHARED:
        return b""
    if scope == SharingScope.TENANT:
        return identity.tenant.encode() or None
    if scope == SharingScope.APPLICATION:
        return identity.application.encode() or None
    parts = [identity.tenant.encode(), identity.application.encode(), identity.subject.encode()]
    if not credentials and not any(parts):
        return None
    for field in credentials:
        parts += field
    return hashlib.sha256(pack(parts)).digest()


def holder(scope: int, identity: Identity) -> tuple[str, ...]:
    """Who owns an entry of this scope, in words: tenant, application, subject, as far as the scope goes."""
    return (identity.tenant, identity.application, identity.subject)[:scope]


def permits_sharing(said: ResponseDirectives) -> str | None:
    """The directive by which the origin lets a response to a call with credentials be shared (RFC 9111 §3.5), or
    ``None``.
    """
    if said.public:
        return "public"
    if said.s_maxage is not None:
        return "s-maxage"
    if said.must_revalidate:
        return "must-revalidate"
    return None


def scope_of_response(
    policy: Policy, base: SharingScope, credentialed: bool, said: ResponseDirectives
) -> tuple[SharingScope, str]:
    """The scope under which a response may be stored, and the rule that says so."""
    if policy.sensitivity == PERSONAL:
        return SharingScope.SUBJECT, "sensitivity personal"
    rule = "policy" if base == _OF_POLICY[policy.scope] and policy.scope != "auto" else "told upstream"
    if base == SharingScope.SHARED and policy.scope == "auto":
        rule = "nothing told"
    if not credentialed or base == SharingScope.SUBJECT:
        return base, rule
    permission = permits_sharing(said)
    if permission:
        return base, f"credentials, {permission}"
    if policy.share_with_credentials:
        return base, "credentials, shared by the policy's switch"
    return SharingScope.SUBJECT, "credentials forwarded"
