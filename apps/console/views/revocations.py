"""Revocation of an issuer's tokens: of one by its ID, of all that a subject had until now, and back."""

from functools import partial

from apps.access.models import Issuer, Revocation
from apps.access.policies import can_revoke_tokens
from apps.access.services import subject_restore
from apps.console.actions import Action, action
from apps.console.forms.apis import CommentForm
from apps.console.forms.tokens import RevocationForm
from apps.console.object_lookup import a_revocation, an_issuer
from apps.console.page_access import SignedInRequest
from apps.console.tables import issuer_url
from apps.tenants.models import User


def may_restore(user: User, revocation: Revocation) -> bool:
    """Who may revoke at the issuer."""
    return can_revoke_tokens(user, revocation.issuer)


@action(load=an_issuer, may=can_revoke_tokens)
def new(request: SignedInRequest, issuer: Issuer) -> Action:
    """Revoke a token, or all of a subject."""
    return Action(
        heading=f"Revoke tokens of {issuer}",
        submit="Revoke",
        back=issuer_url(issuer),
        back_label=str(issuer),
        explain="Calls with it are refused as soon as the gateways have heard of it, and what was stored for the subject ends.",
        danger=True,
        form=partial(RevocationForm, issuer=issuer),
        service=RevocationForm.revoke,
        names={"jti": "value", "subject": "value"},
        said=lambda data: "The token is revoked" if data["kind"] == "jti" else "The subject's tokens are revoked",
        receipt=True,
    )


@action(load=a_revocation, may=may_restore)
def restore(request: SignedInRequest, revocation: Revocation) -> Action:
    """Let the older tokens of a subject be good again."""
    return Action(
        heading=f"Restore the subject {revocation.shown}?",
        submit="Restore",
        back=issuer_url(revocation.issuer),
        back_label=str(revocation.issuer),
        explain="Its tokens that were issued before it was revoked, and haven't expired, are good again.",
        form=CommentForm,
        service=partial(subject_restore, revocation=revocation),
        said="The subject is restored",
        receipt=True,
    )
