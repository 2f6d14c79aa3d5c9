"""Issuers of tokens: added, changed, removed, what is known by them, and a token looked at."""

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from apps.access.choices import CredentialKind, KeyState
from apps.access.models import Credential, Introspection, Issuer
from apps.access.policies import (
    can_edit_issuer,
    introspections_visible_to,
    issuers_visible_to,
    keys_visible_to,
    revocations_visible_to,
)
from apps.access.services import issuer_create, issuer_delete, issuer_update
from apps.access.tokens_of_apis import apis_taking_tokens_of
from apps.catalog.choices import SERVED
from apps.catalog.models import API
from apps.catalog.policies import apis_visible_to
from apps.console.actions import FORM, Action, action
from apps.console.form_responses import sent
from apps.console.forms.apis import ConfirmForm
from apps.console.forms.tokens import SOURCES, IssuerForm, NewIssuerForm, TestTokenForm, source_of
from apps.console.lists import listing
from apps.console.object_lookup import an_issuer
from apps.console.page_access import SignedInRequest, anyone, page
from apps.console.tables import IntrospectionTable, IssuerTable, api_url, issuer_url
from apps.console.token_words import claim_lines, key_lines
from apps.explain.typed_token import explain_token
from apps.fleet.issuer_keys import KeysAway, keys_of
from apps.tenants.choices import Role
from apps.tenants.models import User
from apps.tenants.policies import tenants_of

REVOKED_SHOWN = 10
"""The newest ones; the REST API lists all."""


def may_add_some(user: User, *_: object) -> bool:
    """Administrators, and owners and developers of some tenant."""
    return user.is_administrator or tenants_of(user, Role.OWNER, Role.DEVELOPER).exists()


def readers(user: User, *_: object) -> bool:
    """Whoever is signed in: the selector has left them those of the platform and their tenants."""
    return anyone(user)


def owners_of(user: User) -> dict[str, Any]:
    """Whose a new issuer or introspection server of ``user`` may be, for its form."""
    return {"tenants": tenants_of(user, Role.OWNER, Role.DEVELOPER), "platform": user.is_administrator}


@page(may=anyone)
def issuers(request: SignedInRequest) -> HttpResponse:
    """Issuers and introspection servers of the platform and the reader's tenants."""
    user = request.user
    context = {
        "issuers": listing(request, issuers_visible_to(user), IssuerTable, prefix="issuers-")["table"],
        "introspections": listing(request, introspections_visible_to(user), IntrospectionTable, prefix="servers-")[
            "table"
        ],
        "may_add": may_add_some(user),
    }
    return render(request, "tokens/issuers.html", context)


class Naming(NamedTuple):
    """An API that names an issuer or a server: where the reader may read of it (or ""), and the scopes that it asks for."""

    api: API
    url: str
    scopes: list[str]


def naming(user: User, apis: Iterable[API]) -> list[Naming]:
    """Those of ``apis`` that the reader may see. Two queries."""
    slugs = [api.slug for api in apis]
    own = set(tenants_of(user).values_list("pk", flat=True))
    return [
        Naming(api, api_url(api) if api.tenant_id in own else entry_url(api), api.jwt["required_scopes"])
        for api in apis_visible_to(user).filter(slug__in=slugs).order_by("name", "slug")
    ]


def entry_url(api: API) -> str:
    """Where an API stands in the catalogue; empty: nowhere."""
    return reverse("console:catalogue_entry", args=[api.slug]) if api.state in SERVED else ""


def used_by(apis: list[API], verb: str) -> str:
    """Which APIs hinder a deletion, in a sentence; empty: none."""
    names = ", ".join(str(api) for api in apis)
    return f"APIs {verb}: {names}. Take it out of their settings first." if apis else ""


def client_ids_of(user: User, found: Issuer | Introspection) -> list[Credential]:
    """The client IDs that the reader may see in tokens of an issuer, or of an introspection server: of a tenant's its own, of the
    platform's those that all of the platform's have.
    """
    credentials = keys_visible_to(user).filter(kind=CredentialKind.CLIENT_ID, state=KeyState.ACTIVE)
    if found.tenant_id is None:
        return list(credentials.filter(issuer=None, introspection=None))
    return list(credentials.filter(pk__in=found.client_ids.values("pk")))


def _context(request: SignedInRequest, issuer: Issuer, form: TestTokenForm | None = None) -> dict[str, Any]:
    may_edit, source = can_edit_issuer(request.user, issuer), source_of(issuer)
    fetches = source in ("discovery", "jwks_url")
    written = {} if fetches else _keys(issuer)
    return written | {
        "issuer": issuer,
        "form": form or TestTokenForm(),
        "may_edit": may_edit,
        "may_fetch": may_edit and fetches,
        "source": dict(SOURCES)[source],
        "has_secret": source == "secret",
    }


def _keys(issuer: Issuer) -> dict[str, Any]:
    """The keys that are written down, or fetched now; or why they can't be had. A secret is none that is shown."""
    try:
        found = keys_of(issuer)
    except KeysAway as away:
        return {"failed": str(away)}
    shown = [] if issuer.secret else list(key_lines(found, issuer))
    return {"keys": shown, "refused": found.refused}


@page(load=an_issuer, may=readers)
def one(request: SignedInRequest, issuer: Issuer) -> HttpResponse:
    """An issuer: its keys, the APIs that take its tokens, the client IDs known of it, and a place to test a token."""
    context = _context(request, issuer) | {
        "apis": naming(request.user, apis_taking_tokens_of(issuer)),
        "client_ids": client_ids_of(request.user, issuer),
    }
    if context["may_edit"]:
        revoked = revocations_visible_to(request.user).filter(issuer=issuer)
        context |= {"revoked": revoked[:REVOKED_SHOWN], "revoked_in_all": revoked.count()}
    return render(request, "tokens/issuer.html", context)


@action(may=may_add_some)
def new(request: SignedInRequest) -> Action:
    """A new issuer."""
    return Action(
        heading="New issuer",
        submit="Add the issuer",
        back=reverse("console:issuers"),
        form=partial(NewIssuerForm, **owners_of(request.user)),
        service=issuer_create,
        said=lambda data: f"{data['slug']} is there: an API may take its tokens now",
        receipt=True,
        template="tokens/issuer_form.html",
    )


@action(load=an_issuer, may=can_edit_issuer)
def edit(request: SignedInRequest, issuer: Issuer) -> Action:
    """Change it, for all APIs that take its tokens."""
    return Action(
        heading=f"Edit {issuer}",
        submit="Save",
        back=issuer_url(issuer),
        form=IssuerForm,
        initial=IssuerForm.initial_of(issuer),
        service=partial(issuer_update, row=issuer),
        said=f"{issuer} is saved",
        receipt=True,
        template="tokens/issuer_form.html",
        context={"issuer": issuer},
    )


@action(load=an_issuer, may=can_edit_issuer)
def delete(request: SignedInRequest, issuer: Issuer) -> Action:
    """Remove one whose tokens no API takes."""
    return Action(
        heading=f"Delete {issuer}?",
        submit="Delete for good",
        back=issuer_url(issuer),
        back_label=str(issuer),
        explain=used_by(apis_taking_tokens_of(issuer), "take its tokens")
        or "No API takes its tokens. Its client IDs go with it, and what is revoked. This can't be undone.",
        danger=True,
        form=partial(ConfirmForm, name=issuer.slug),
        service=partial(issuer_delete, row=issuer),
        to=reverse("console:issuers"),
        said=f"{issuer} is deleted",
        receipt=True,
    )


@page(load=an_issuer, may=can_edit_issuer, methods=FORM)
def keys(request: SignedInRequest, issuer: Issuer) -> HttpResponse:
    """The keys of an issuer; a POST fetches them, to be looked at: gateways fetch by themselves."""
    context = _context(request, issuer)
    if request.method == "POST" and context["may_fetch"]:
        context |= _keys(issuer) | {"fetched": timezone.now()}
    template = "tokens/keys.html" if request.htmx else "tokens/keys_page.html"
    return render(request, template, context)


@page(load=an_issuer, may=readers, methods=FORM)
@never_cache
def test(request: SignedInRequest, issuer: Issuer) -> HttpResponse:
    """A token looked at: it is in the body of the request alone, and nowhere afterwards."""
    form = TestTokenForm(sent(request))
    context = _context(request, issuer, form)
    if request.method == "POST" and form.is_valid():
        tested = explain_token(request.user, issuer, form.cleaned_data["token"])
        context |= {"tested": tested, "claims": claim_lines(tested, issuer), "form": TestTokenForm()}
    template = "tokens/test_panel.html" if request.htmx else "tokens/test_page.html"
    return render(request, template, context, status=422 if form.errors else 200)
