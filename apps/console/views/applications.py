"""Applications and their credentials."""

from functools import partial
from typing import Any

from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from apps.access.choices import LIVE, CredentialKind, KeyState
from apps.access.models import Application, Credential
from apps.access.policies import can_add_client_id, can_edit_application, can_manage_keys, can_view_application
from apps.access.selectors import (
    applications_visible_to,
    in_force,
    introspections_visible_to,
    issuers_visible_to,
    keys_visible_to,
    requests_visible_to,
    subscriptions_visible_to,
)
from apps.access.services import (
    NewKey,
    application_create,
    application_delete,
    application_update,
    certificate_add,
    client_id_add,
    key_create,
    key_revoke,
    key_rotate,
    key_update,
    signing_key_create,
)
from apps.access.services.applications import named
from apps.access.services.key_bounds import BOUNDS
from apps.access.services.signing_keys import NewSigningKey
from apps.catalog.models import API
from apps.catalog.policies import apis_visible_to
from apps.console import list_traffic
from apps.console.actions import Action, action
from apps.console.call_examples import curl_of, examples_of
from apps.console.filters import ApplicationFilters
from apps.console.form_responses import done, show_once
from apps.console.forms.access import (
    ApplicationForm,
    CertificateForm,
    KeyForm,
    KeyLimitsForm,
    NewApplicationForm,
    RotateForm,
    SigningKeyForm,
)
from apps.console.forms.apis import CommentForm, ConfirmForm
from apps.console.forms.fields import by_name
from apps.console.forms.tokens import ClientIDForm
from apps.console.lists import listing
from apps.console.object_lookup import a_key, an_application
from apps.console.page_access import SignedInRequest, anyone, of, page
from apps.console.quota import with_quota
from apps.console.tables import ApplicationTable, CredentialTable, RequestTable, SubscriptionTable, application_url
from apps.fleet.receipts import wait_for_receipt
from apps.gateway.pipeline.authenticators.table import way_of_keys
from apps.tenants.choices import Role
from apps.tenants.models import User
from apps.tenants.policies import tenants_of

NO_ISSUER = (
    "There is no issuer of this tenant yet: add one under Issuers first. Client IDs of the platform's issuers are added by "
    "administrators."
)
ENDS = {
    CredentialKind.API_KEY: "Calls with {shown} are refused with 401 from now on.",
    CredentialKind.CLIENT_ID: "Calls with tokens of the client {shown} are refused with 403 from now on.",
    CredentialKind.CERTIFICATE: "Calls with the certificate {shown} are refused from now on.",
    CredentialKind.SIGNING_KEY: "Calls signed with {shown} are refused from now on.",
}
"""What ends when a credential of a kind is revoked."""


def may_build(user: User) -> bool:
    """Users who may add applications to some tenant."""
    return user.is_administrator or tenants_of(user, Role.OWNER, Role.DEVELOPER).exists()


@page(may=anyone)
def applications(request: SignedInRequest) -> HttpResponse:
    """The reader's applications."""
    usable = in_force(timezone.now(), "keys__") & Q(keys__api=None)
    rows = applications_visible_to(request.user).annotate(
        active_credentials=Count("keys", filter=usable, distinct=True),
        live_subscriptions=Count("subscriptions", filter=Q(subscriptions__state__in=LIVE), distinct=True),
        last_used=Max("keys__last_used_at"),
    )
    beside = list_traffic.by_application(request.user)
    context = listing(request, rows, ApplicationTable, ApplicationFilters, beside=beside)
    context["synthetic"] = list_traffic.synthetic_calls(beside)
    return render(request, "access/applications.html", {**context, "may_build": may_build(request.user)})


@action(may=may_build)
def new(request: SignedInRequest) -> Action:
    """A new application."""
    return Action(
        heading="New application",
        submit="Make the application",
        back=reverse("console:applications"),
        back_label="Applications",
        form=partial(NewApplicationForm, tenants=tenants_of(request.user, Role.OWNER, Role.DEVELOPER)),
        service=application_create,
        answer=lambda application, _: done(
            request, application_url(application), f"{application} is there. Make a key for it next."
        ),
    )


@page(load=an_application, may=can_view_application)
def one(request: SignedInRequest, application: Application) -> HttpResponse:
    """An application: its credentials, what it may call, what it asked for, how much it calls."""
    return render(request, "access/application.html", _context(request, application))


def _context(request: SignedInRequest, application: Application) -> dict[str, Any]:
    user = request.user
    credentials = list(keys_visible_to(user).filter(application=application).select_related("issuer", "introspection"))
    for each in credentials:
        each.shown_state = shown_state(each)  # type: ignore[attr-defined]
    table = CredentialTable(credentials, request=request, prefix="keys-")
    held = subscriptions_visible_to(user).filter(application=application)
    asked = requests_visible_to(user).filter(application=application)
    running = with_quota(held.filter(state__in=LIVE))
    callable_now = held.filter(in_force(timezone.now())).first()
    return {
        "application": application,
        "credentials": table,
        "credential_count": len(credentials),
        "may_manage": can_manage_keys(user, application),
        "subscriptions": listing(request, held, SubscriptionTable, prefix="subs-", exclude=("application",))["table"],
        "requests": listing(request, asked, RequestTable, prefix="asked-", exclude=("application",))["table"],
        "traffic": list_traffic.last_day(user, application=f"{application.tenant.slug}/{application.slug}"),
        "quotas": [row for row in running if row.plan.quota is not None],
        "examples": examples_of(callable_now.api, application=named(application)) if callable_now else [],
        "example_api": callable_now.api if callable_now else None,
    }


def shown_state(credential: Credential) -> str:
    """The state of a credential as people see it: an active one past its end is expired."""
    if credential.state == KeyState.ACTIVE and credential.expires_at and credential.expires_at <= timezone.now():
        return "expired"
    return str(credential.state)


@action(load=an_application, may=can_edit_application)
def edit(request: SignedInRequest, application: Application) -> Action:
    """Change its name or description."""
    return Action(
        heading=f"Edit {application}",
        submit="Save",
        back=application_url(application),
        back_label=str(application),
        form=ApplicationForm,
        initial={"name": application.name, "description": application.description},
        service=partial(application_update, application=application),
        said="The application is saved.",
    )


@action(load=an_application, may=can_edit_application)
def delete(request: SignedInRequest, application: Application) -> Action:
    """Remove it with its credentials and subscriptions."""
    return Action(
        heading=f"Delete {application}?",
        submit="Delete for good",
        back=application_url(application),
        back_label=str(application),
        explain="Its keys and other credentials stop working at once, and its subscriptions end. This can't be undone.",
        danger=True,
        form=partial(ConfirmForm, name=application.slug),
        service=partial(application_delete, application=application),
        to=reverse("console:applications"),
        said=f"{application} is deleted",
        receipt=True,
    )


def _show_key(
    request: SignedInRequest, made: NewKey, application: Application, old_key: Credential | None = None
) -> HttpResponse:
    receipt = wait_for_receipt()
    callable_now = application.subscriptions.filter(in_force(timezone.now())).select_related("api")
    good_for = callable_now if made.key.apis is None else callable_now.filter(api__slug__in=made.key.apis)
    held = next((each for each in good_for if way_of_keys(each.api.authentication) is not None), None)
    api = held.api if held else API(listen_path="/…/", authentication=["api_key"], api_key_header="X-API-Key")
    return show_once(
        request,
        "access/key_made.html",
        title="The new key",
        heading=f"The new key “{made.key.name}”",
        back=application_url(application),
        back_label=str(application),
        made=made,
        application=application,
        curl=curl_of(api, key=made.secret, application=named(application), way=way_of_keys(api.authentication)),
        may_call=held is not None or callable_now.exists(),
        receipt=receipt,
        old_key=old_key,
        old_key_ended=old_key is not None and shown_state(old_key) == "expired",
    )


@action(load=an_application, may=can_manage_keys)
def key_new(request: SignedInRequest, application: Application) -> Action:
    """A new key, shown once."""
    return Action(
        heading=f"New key for {application}",
        submit="Make the key",
        back=application_url(application),
        back_label=str(application),
        explain="It is shown once, right after this.",
        form=partial(KeyForm, apis=_callable_apis(request.user, application)),
        service=partial(key_create, application=application),
        answer=lambda made, _: _show_key(request, made, application),
    )


@action(load=an_application, may=can_manage_keys)
def client_id_new(request: SignedInRequest, application: Application) -> Action:
    """A client ID by which tokens name the application."""
    user = request.user
    platform = can_add_client_id(user, application, None)
    of_tenants = Q(tenant__isnull=False) if platform else Q(tenant=application.tenant)
    issuers = issuers_visible_to(user).filter(of_tenants)
    servers = introspections_visible_to(user).filter(of_tenants)
    some = platform or issuers.exists() or servers.exists()
    return Action(
        heading=f"New client ID of {application}",
        submit="Add it",
        back=application_url(application),
        back_label=str(application),
        explain="Calls with a token that names this client are calls of the application." if some else NO_ISSUER,
        form=partial(ClientIDForm, issuers=issuers, servers=servers, platform=platform),
        service=partial(client_id_add, application=application),
        said=lambda data: f"The client ID {data['client_id']} is added",
        receipt=True,
    )


@action(load=an_application, may=can_manage_keys)
def certificate_new(request: SignedInRequest, application: Application) -> Action:
    """A client certificate by which it is known."""
    return Action(
        heading=f"New certificate of {application}",
        submit="Add it",
        back=application_url(application),
        back_label=str(application),
        explain="Calls over connections of whoever holds its private key are calls of the application, until it ends.",
        form=CertificateForm,
        service=partial(certificate_add, application=application),
        said=lambda data: f"The certificate {data['name']} is added",
        receipt=True,
    )


@action(load=an_application, may=can_manage_keys)
def signing_key_new(request: SignedInRequest, application: Application) -> Action:
    """A new key that signs requests, shown once."""
    return Action(
        heading=f"New signing key of {application}",
        submit="Make the key",
        back=application_url(application),
        back_label=str(application),
        explain="Its secret is shown once, right after this.",
        form=SigningKeyForm,
        service=partial(signing_key_create, application=application),
        answer=lambda made, _: _show_signing_key(request, made, application),
    )


def _show_signing_key(request: SignedInRequest, made: NewSigningKey, application: Application) -> HttpResponse:
    return show_once(
        request,
        "access/signing_key_made.html",
        title="The new signing key",
        heading=f"The new signing key “{made.key.name}”",
        back=application_url(application),
        back_label=str(application),
        made=made,
        application=application,
        receipt=wait_for_receipt(),
    )


def _callable_apis(user: User, application: Application, *more: str) -> QuerySet[API]:
    """What a key of the application can be limited to: the APIs that it may call, and ``more`` by slug."""
    callable_by = Q(subscriptions__application=application, subscriptions__state__in=LIVE)
    seen = API.objects.filter(callable_by, pk__in=apis_visible_to(user).values("pk"))
    return by_name(API.objects.filter(Q(pk__in=seen.values("pk")) | Q(slug__in=more)))


@action(load=a_key, may=of("application", can_manage_keys))
def key_limits(request: SignedInRequest, key: Credential) -> Action:
    """What a key is good for."""
    named = key.apis or ()
    return Action(
        heading=f"What is {key.name} good for?",
        submit="Save",
        back=application_url(key.application),
        back_label=str(key.application),
        explain="Other calls with it are refused with 403.",
        form=partial(KeyLimitsForm, apis=_callable_apis(request.user, key.application, *named)),
        initial={name: getattr(key, name) or [] for name in BOUNDS},
        service=partial(key_update, key=key),
        said=f"{key.name} is changed",
        receipt=True,
    )


@action(load=a_key, may=of("application", can_manage_keys))
def rotate(request: SignedInRequest, key: Credential) -> Action:
    """A successor, with time to put it in place."""
    return Action(
        heading=f"Replace the key {key.name}?",
        submit="Make its successor",
        back=application_url(key.application),
        back_label=str(key.application),
        explain=f"A new key takes the place of {key.prefix}…, and both work for a while.",
        form=RotateForm,
        service=partial(key_rotate, key=key),
        answer=lambda made, _: _show_key(request, made, key.application, old_key=key),
    )


@action(load=a_key, may=of("application", can_manage_keys))
def revoke(request: SignedInRequest, key: Credential) -> Action:
    """End a credential, on every gateway, now."""
    kind = CredentialKind(key.kind)
    what = f"{'key' if kind == CredentialKind.API_KEY else lower_first(kind.label)} {key.name}"
    return Action(
        heading=f"Revoke the {what}?",
        submit="Revoke",
        back=application_url(key.application),
        back_label=str(key.application),
        explain=f"{ENDS[kind].format(shown=key.shown)} This can't be undone.",
        danger=True,
        form=partial(CommentForm, readers="owners and developers of the tenant"),
        service=partial(key_revoke, key=key),
        said=f"The {what} is revoked",
        receipt=True,
    )


def lower_first(label: str) -> str:
    """A label within a sentence: “Client ID” is a “client ID”."""
    return label[:1].lower() + label[1:]
