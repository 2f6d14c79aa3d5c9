"""Among whom an answer may be shared, and under which rule (RFC 9111 §3.5, §7.3).

What counts is what the upstream saw. The credential that the gateway itself checked is removed before forwarding, so
it is no credential here: the upstream could not have made its answer depend on it.

Before the upstream has answered, a call has a *base* scope: the narrowest of what the policy says, what the gateway
tells the upstream, and what the API's sensitivity demands. A call that forwards credentials may
use what is stored under the base scope only if the origin permits that (§3.5); everything else is its subject's own.
"""

import hashlib
from dataclasses import dataclass
from enum import IntEnum

from apps.caching.http.directives import ResponseDirectives
from apps.caching.http.keys import pack
from apps.caching.http.policy import PERSONAL, Policy


class Scope(IntEnum):
    """Who may be served a stored answer; a larger number is narrower."""

    SHARED = 0
    TENANT = 1
    APPLICATION = 2
    SUBJECT = 3


@dataclass(slots=True)
class Identity:
    """Who calls, as the gateway knows it. Empty text: not known.

    ``told`` is the narrowest of these that the gateway tells the upstream by headers of its own.
    """

    tenant: str = ""
    application: str = ""
    subject: str = ""
    told: Scope = Scope.SHARED


ANONYMOUS = Identity()

CREDENTIAL_FIELDS = frozenset(
    {
        b"api-key",
        b"apikey",
        b"authorization",
        b"cookie",
        b"cookie2",
        b"dpop",
        b"id-token",
        b"private-token",
        b"remote-user",
        b"x-access-token",
        b"x-amz-security-token",
        b"x-amzn-oidc-accesstoken",
        b"x-amzn-oidc-data",
        b"x-amzn-oidc-identity",
        b"x-api-key",
        b"x-api-token",
        b"x-auth-token",
        b"x-authenticated-user",
        b"x-forwarded-access-token",
        b"x-forwarded-email",
        b"x-forwarded-user",
        b"x-goog-authenticated-user-email",
        b"x-goog-authenticated-user-id",
        b"x-goog-iap-jwt-assertion",
        b"x-id-token",
        b"x-jwt",
        b"x-jwt-assertion",
        b"x-org-id",
        b"x-remote-user",
        b"x-session",
        b"x-session-id",
        b"x-session-token",
        b"x-tenant-id",
        b"x-user",
        b"x-user-email",
        b"x-user-id",
        b"x-vault-token",
    }
)
"""Request fields that are taken for credentials when they are forwarded: they carry one, or name who calls. RFC 9111
§3.5 speaks of ``Authorization`` alone; what origins answer by is wider, and an origin that checks a key of its own, or
believes a name, rarely says so in ``Vary``.
"""

Credentials = tuple[tuple[bytes, bytes], ...]
"""The credential fields that a call forwards, with their values, in the order of their names."""

_OF_POLICY = {
    "auto": Scope.SHARED,
    "shared": Scope.SHARED,
    "tenant": Scope.TENANT,
    "application": Scope.APPLICATION,
    "subject": Scope.SUBJECT,
}


def subject_of_key(key_id: int) -> str:
    """The subject that a key stands for, where nothing tells its callers apart."""
    return f"key:{key_id}"


def base_scope(policy: Policy, identity: Identity) -> Scope:
    """The widest scope that a call's answer can have. Never wider than what the upstream was told."""
    if policy.sensitivity == PERSONAL:
        return Scope.SUBJECT
    return max(_OF_POLICY[policy.scope], identity.told)


def owner(scope: int, identity: Identity, credentials: Credentials = ()) -> bytes | None:
    """Names the caller within a scope; ``None`` where the call has no such identity, so that nothing may be stored
    for it.

    A subject is everything that tells one caller from another. Two callers that differ in any of it are two subjects.
    """
    if scope == Scope.SHARED:
        return b""
    if scope == Scope.TENANT:
        return identity.tenant.encode() or None
    if scope == Scope.APPLICATION:
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
    """The directive by which the origin lets an answer to a call with credentials be shared (RFC 9111 §3.5), or
    ``None``.
    """
    if said.public:
        return "public"
    if said.s_maxage is not None:
        return "s-maxage"
    if said.must_revalidate:
        return "must-revalidate"
    return None


def scope_of_answer(policy: Policy, base: Scope, credentialed: bool, said: ResponseDirectives) -> tuple[Scope, str]:
    """The scope under which an answer may be stored, and the rule that says so."""
    if policy.sensitivity == PERSONAL:
        return Scope.SUBJECT, "sensitivity personal"
    rule = "policy" if base == _OF_POLICY[policy.scope] and policy.scope != "auto" else "told upstream"
    if base == Scope.SHARED and policy.scope == "auto":
        rule = "nothing told"
    if not credentialed or base == Scope.SUBJECT:
        return base, rule
    permission = permits_sharing(said)
    if permission:
        return base, f"credentials, {permission}"
    if policy.share_with_credentials:
        return base, "credentials, shared by the policy's switch"
    return Scope.SUBJECT, "credentials forwarded"
