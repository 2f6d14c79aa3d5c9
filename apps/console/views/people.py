"""Tenants, their members, and users."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.console.filters import TenantFilters, UserFilters
from apps.console.form_responses import attempt, attempted, done, done_with_receipt, form_page, sent
from apps.console.forms.apis import CommentForm
from apps.console.forms.fields import ConsoleForm
from apps.console.forms.people import InviteForm, InviteToForm, NewTenantForm, RoleForm, TenantForm, UserForm
from apps.console.lists import listing
from apps.console.object_lookup import a_membership, a_tenant, a_user, an_invitation
from apps.console.page_access import SignedInRequest, administrators, anyone, of, page, to_confirmation
from apps.console.tables import MemberTable, TenantTable, UserTable, tenant_url
from apps.tenants.choices import TenantState
from apps.tenants.invitations import invitation_cancel, invitation_resend, member_invite
from apps.tenants.models import Invitation, Membership, Tenant, User
from apps.tenants.policies import (
    can_add_members,
    can_administrate_user,
    can_create_tenant,
    can_manage_members,
    can_suspend_tenant,
    can_update_tenant,
    can_view_tenant,
)
from apps.tenants.selectors import (
    invitations_visible_to,
    memberships_visible_to,
    tenants_visible_to,
    users_visible_to,
)
from apps.tenants.services import (
    membership_remove,
    membership_set,
    tenant_create,
    tenant_resume,
    tenant_suspend,
    tenant_update,
    user_activate,
    user_deactivate,
    user_update,
)
from apps.tenants.sign_in import has_confirmed

FORM = ("GET", "HEAD", "POST")


@page(may=anyone)
def tenants(request: SignedInRequest) -> HttpResponse:
    """The reader's tenants."""
    rows = tenants_visible_to(request.user).annotate(
        people=Count("memberships", distinct=True),
        programs=Count("applications", distinct=True),
        owned_apis=Count("apis", distinct=True),
    )
    context = listing(request, rows, TenantTable, TenantFilters)
    return render(request, "platform/tenants.html", {**context, "may_create": can_create_tenant(request.user)})


@page(may=administrators, methods=FORM)
def tenant_new(request: SignedInRequest) -> HttpResponse:
    """A new tenant."""
    form = NewTenantForm(sent(request))
    if request.method == "POST" and (
        tenant := attempt(form, lambda: tenant_create(actor=request.user, **form.cleaned_data))
    ):
        return done(request, tenant_url(tenant), f"{tenant} is there. Invite its first owner next.")
    return form_page(
        request,
        form,
        heading="New tenant",
        submit="Make the tenant",
        back=reverse("console:tenants"),
        back_label="Tenants",
    )


@page(load=a_tenant, may=can_view_tenant)
def tenant(request: SignedInRequest, found: Tenant) -> HttpResponse:
    """A tenant: its people, programs and APIs."""
    user = request.user
    members = memberships_visible_to(user).filter(tenant=found)
    return render(
        request,
        "platform/tenant.html",
        {
            "tenant": found,
            "table": listing(request, members, MemberTable)["table"],
            "invitations": invitations_visible_to(user).filter(tenant=found),
            "may_manage": can_manage_members(user, found),
            "may_update": can_update_tenant(user, found),
            "may_suspend": can_suspend_tenant(user, found),
            "suspended": found.state == TenantState.SUSPENDED,
            "applications": found.applications.all()[:20],
            "apis": found.apis.all()[:20],
        },
    )


@page(load=a_tenant, may=can_update_tenant, methods=FORM)
def tenant_edit(request: SignedInRequest, found: Tenant) -> HttpResponse:
    """Change its name."""
    form = TenantForm(sent(request), initial={"name": found.name})
    if request.method == "POST" and attempted(
        form, lambda: tenant_update(actor=request.user, tenant=found, name=form.cleaned_data["name"])
    ):
        return done(request, tenant_url(found), "The tenant is saved.")
    return form_page(
        request, form, heading=f"Rename {found}", submit="Save", back=tenant_url(found), back_label=str(found)
    )


@page(load=a_tenant, may=can_suspend_tenant, methods=FORM)
def tenant_switch(request: SignedInRequest, found: Tenant) -> HttpResponse:
    """Suspend a tenant, or resume it."""
    resumes = found.state == TenantState.SUSPENDED
    form = CommentForm(sent(request))
    service = tenant_resume if resumes else tenant_suspend
    if request.method == "POST" and attempted(
        form, lambda: service(actor=request.user, tenant=found, comment=form.cleaned_data["comment"])
    ):
        said = f"{found} is active again" if resumes else f"{found} is suspended"
        return done_with_receipt(request, tenant_url(found), said)
    return form_page(
        request,
        form,
        heading=f"Let {found} call again?" if resumes else f"Suspend {found}?",
        submit="Resume" if resumes else "Suspend",
        back=tenant_url(found),
        back_label=str(found),
        explain="Its keys work again at once." if resumes else "All its keys are refused until it is resumed.",
        danger=not resumes,
    )


@page(load=a_tenant, may=can_manage_members, methods=FORM)
def invite(request: SignedInRequest, found: Tenant) -> HttpResponse:
    """A new member of one tenant."""
    adds = can_add_members(request.user, found)
    form = InviteForm(sent(request))
    if request.method == "POST" and attempted(
        form, lambda: member_invite(actor=request.user, tenant=found, **form.cleaned_data)
    ):
        return done(request, tenant_url(found), invited(form.cleaned_data["email"], found, adds))
    return form_page(
        request,
        form,
        heading=f"Invite somebody to {found}",
        submit="Invite",
        back=tenant_url(found),
        back_label=str(found),
        explain=""
        if adds
        else "They become a member when they accept, by a link that works for seven days and for their address alone.",
    )


def invited(email: str, tenant: Tenant, adds: bool) -> str:
    """What became of it: the same for every address, with or without an account."""
    return f"{email} is a member of {tenant}." if adds else f"An invitation is on its way to {email}."


@page(load=an_invitation, may=of("tenant", can_manage_members), methods=FORM)
def invitation_again(request: SignedInRequest, invitation: Invitation) -> HttpResponse:
    """Send a new link."""
    form = ConsoleForm(sent(request))
    to = tenant_url(invitation.tenant)
    if request.method == "POST" and attempted(
        form, lambda: invitation_resend(actor=request.user, invitation=invitation), {"email": NON_FIELD_ERRORS}
    ):
        return done(request, to, f"A new invitation is on its way to {invitation.email}.")
    return form_page(
        request,
        form,
        heading=f"Send the invitation to {invitation.email} again?",
        submit="Send",
        back=to,
        back_label=str(invitation.tenant),
        explain="The new link works for seven days. The one before stops working.",
    )


@page(load=an_invitation, may=of("tenant", can_manage_members), methods=FORM)
def invitation_end(request: SignedInRequest, invitation: Invitation) -> HttpResponse:
    """Take an invitation back."""
    form = ConsoleForm(sent(request))
    to = tenant_url(invitation.tenant)

    def cancel() -> None:
        invitation_cancel(actor=request.user, invitation=invitation)

    if request.method == "POST" and attempted(form, cancel):
        return done(request, to, f"The invitation to {invitation.email} is taken back.")
    return form_page(
        request,
        form,
        heading=f"Take the invitation to {invitation.email} back?",
        submit="Take it back",
        back=to,
        back_label=str(invitation.tenant),
        explain="Its link stops working.",
        danger=True,
    )


@page(load=a_membership, may=of("tenant", can_manage_members), methods=FORM)
def role(request: SignedInRequest, membership: Membership) -> HttpResponse:
    """Change a member's role."""
    form = RoleForm(sent(request), initial={"role": membership.role})
    to = tenant_url(membership.tenant)
    if request.method == "POST" and attempted(
        form,
        lambda: membership_set(
            actor=request.user, tenant=membership.tenant, user=membership.user, role=form.cleaned_data["role"]
        ),
    ):
        return done(request, to, f"{membership.user} is {form.cleaned_data['role']} of {membership.tenant}.")
    return form_page(
        request,
        form,
        heading=f"Role of {membership.user} in {membership.tenant}",
        submit="Save",
        back=to,
        back_label=str(membership.tenant),
    )


@page(load=a_membership, may=of("tenant", can_manage_members), methods=FORM)
def remove_member(request: SignedInRequest, membership: Membership) -> HttpResponse:
    """End a membership."""
    form = ConsoleForm(sent(request))
    to = tenant_url(membership.tenant)

    def remove() -> None:
        membership_remove(actor=request.user, membership=membership)

    if request.method == "POST" and attempted(form, remove):
        return done(request, to, f"{membership.user} is no longer a member of {membership.tenant}.")
    return form_page(
        request,
        form,
        heading=f"Remove {membership.user} from {membership.tenant}?",
        submit="Remove",
        back=to,
        back_label=str(membership.tenant),
        explain="They no longer see it. What they made stays.",
        danger=True,
    )


@page(may=administrators)
def users(request: SignedInRequest) -> HttpResponse:
    """Everybody."""
    rows = users_visible_to(request.user).prefetch_related("memberships__tenant").distinct()
    return render(request, "platform/users.html", listing(request, rows, UserTable, UserFilters))


@page(may=administrators, methods=FORM)
def invite_any(request: SignedInRequest) -> HttpResponse:
    """A new member of some tenant."""
    form = InviteToForm(sent(request), tenants=tenants_visible_to(request.user))
    if request.method == "POST" and attempted(form, lambda: member_invite(actor=request.user, **form.cleaned_data)):
        said = invited(form.cleaned_data["email"], form.cleaned_data["tenant"], True)
        return done(request, reverse("console:users"), said)
    return form_page(
        request,
        form,
        heading="Add somebody",
        submit="Add",
        back=reverse("console:users"),
        back_label="Users",
        explain="They are a member at once, and get a letter; somebody new, with a link to choose a password.",
    )


@page(load=a_user, may=administrators, methods=FORM)
def user(request: SignedInRequest, found: User) -> HttpResponse:
    """One user: name, address, rights."""
    may_all = can_administrate_user(request.user, found)
    start = {"name": found.name, "email": found.email, "is_administrator": found.is_administrator}
    form = UserForm(sent(request), initial=start)
    if not may_all:
        form.fields["email"].disabled = form.fields["is_administrator"].disabled = True

    def save() -> Any:
        return user_update(actor=request.user, user=found, **form.cleaned_data)

    to = reverse("console:user", args=[found.pk])
    if (
        request.method == "POST"
        and {"email", "is_administrator"} & set(form.changed_data)
        and not has_confirmed(request)
    ):
        messages.warning(request, "Addresses and rights take your password again. Then save once more.")
        return to_confirmation(request)
    if request.method == "POST" and attempted(form, save):
        return done(request, to, "The user is saved.")
    memberships = found.memberships.select_related("tenant")
    return form_page(
        request,
        form,
        heading=str(found),
        submit="Save",
        back=reverse("console:users"),
        template="platform/user.html",
        found=found,
        memberships=memberships,
        may_switch=may_all,
    )


@page(load=a_user, may=can_administrate_user, methods=FORM)
def user_switch(request: SignedInRequest, found: User) -> HttpResponse:
    """Deactivate a user, or let them in again."""
    form = ConsoleForm(sent(request))
    to = reverse("console:user", args=[found.pk])
    service = user_deactivate if found.is_active else user_activate
    heading = f"Deactivate {found}?" if found.is_active else f"Let {found} in again?"
    submit, danger = ("Deactivate", True) if found.is_active else ("Activate", False)
    if request.method == "POST" and attempted(form, lambda: service(actor=request.user, user=found)):
        return done(request, to, f"{found} is {'deactivated' if danger else 'active again'}.")
    return form_page(
        request,
        form,
        heading=heading,
        submit=submit,
        back=to,
        back_label=str(found),
        explain="Signing in and REST tokens stop working; keys of applications go on." if danger else "",
        danger=danger,
    )
