"""Tenants, their members, and users."""

from functools import partial
from typing import Any

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache

from apps.console.actions import FORM, Action, action
from apps.console.filters import TenantFilters, UserFilters
from apps.console.form_responses import attempted, done, form_page, sent, show_once
from apps.console.forms.apis import CommentForm
from apps.console.forms.people import InviteForm, InviteToForm, NewTenantForm, RoleForm, TenantForm, UserForm
from apps.console.lists import listing
from apps.console.object_lookup import a_membership, a_tenant, a_user, an_invitation
from apps.console.page_access import SignedInRequest, administrators, anyone, of, page, to_confirmation
from apps.console.tables import MemberTable, TenantTable, UserTable, tenant_url
from apps.tenants.choices import TenantState
from apps.tenants.invitations import invitation_cancel, invitation_link, invitation_resend, member_invite
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
    user_remove_second_factor,
    user_update,
)
from apps.tenants.sign_in import has_confirmed


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


@action(may=administrators)
def tenant_new(request: SignedInRequest) -> Action:
    """A new tenant."""
    return Action(
        heading="New tenant",
        submit="Make the tenant",
        back=reverse("console:tenants"),
        back_label="Tenants",
        form=NewTenantForm,
        service=tenant_create,
        answer=lambda tenant, _: done(request, tenant_url(tenant), f"{tenant} is there. Invite its first owner next."),
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
            "may_see_links": can_add_members(user, found),
            "may_update": can_update_tenant(user, found),
            "may_suspend": can_suspend_tenant(user, found),
            "suspended": found.state == TenantState.SUSPENDED,
            "applications": found.applications.all()[:20],
            "apis": found.apis.all()[:20],
        },
    )


@action(load=a_tenant, may=can_update_tenant)
def tenant_edit(request: SignedInRequest, found: Tenant) -> Action:
    """Change its name."""
    return Action(
        heading=f"Rename {found}",
        submit="Save",
        back=tenant_url(found),
        back_label=str(found),
        form=TenantForm,
        initial={"name": found.name},
        service=partial(tenant_update, tenant=found),
        said="The tenant is saved.",
    )


@action(load=a_tenant, may=can_suspend_tenant)
def tenant_switch(request: SignedInRequest, found: Tenant) -> Action:
    """Suspend a tenant, or resume it."""
    if found.state == TenantState.SUSPENDED:
        return Action(
            heading=f"Let {found} call again?",
            submit="Resume",
            back=tenant_url(found),
            back_label=str(found),
            explain="Its keys work again at once.",
            form=partial(CommentForm, readers="owners and developers of the tenant"),
            service=partial(tenant_resume, tenant=found),
            said=f"{found} is active again",
            receipt=True,
        )
    return Action(
        heading=f"Suspend {found}?",
        submit="Suspend",
        back=tenant_url(found),
        back_label=str(found),
        explain="All its calls are refused until it is resumed.",
        danger=True,
        form=partial(CommentForm, readers="owners and developers of the tenant"),
        service=partial(tenant_suspend, tenant=found),
        said=f"{found} is suspended",
        receipt=True,
    )


@action(load=a_tenant, may=can_manage_members)
def invite(request: SignedInRequest, found: Tenant) -> Action:
    """A new member of one tenant."""
    adds = can_add_members(request.user, found)
    later = "They become a member when they accept, by a link that works for seven days and for their address alone."
    return Action(
        heading=f"Invite a member to {found}",
        submit="Invite",
        back=tenant_url(found),
        back_label=str(found),
        explain="" if adds else later,
        form=InviteForm,
        service=partial(member_invite, tenant=found),
        said=lambda data: invited(data["email"], found, adds),
    )


def invited(email: str, tenant: Tenant, adds: bool) -> str:
    """What became of it: the same for every address, with or without an account."""
    said = f"{email} is a member of {tenant}." if adds else f"An invitation is on its way to {email}."
    return f"{said}{_where_the_letter_is(adds)}"


def _where_the_letter_is(administers: bool) -> str:
    """Of an installation that sends no letters: they are files, which administrators see."""
    if not settings.EMAIL_IS_FILES:
        return ""
    who = "you find" if administers else "an administrator finds"
    return f" No mail server is set up: {who} the letter under Installation."


@action(load=an_invitation, may=of("tenant", can_manage_members))
def invitation_again(request: SignedInRequest, invitation: Invitation) -> Action:
    """Send a new link."""
    return Action(
        heading=f"Send the invitation to {invitation.email} again?",
        submit="Send",
        back=tenant_url(invitation.tenant),
        back_label=str(invitation.tenant),
        explain="The new link works for seven days. The one before stops working.",
        service=partial(invitation_resend, invitation=invitation),
        names={"email": NON_FIELD_ERRORS},
        said=f"A new invitation is on its way to {invitation.email}.{_where_the_letter_is(request.user.is_administrator)}",
    )


@never_cache
@action(load=an_invitation, may=of("tenant", can_add_members))
def invitation_show(request: SignedInRequest, invitation: Invitation) -> Action:
    """A link to hand over, shown once."""
    back, tenant = tenant_url(invitation.tenant), str(invitation.tenant)
    return Action(
        heading=f"Make a link for {invitation.email}?",
        submit="Make the link",
        back=back,
        back_label=tenant,
        explain="Hand it over yourself where no mail arrives: whoever has it can accept in their name. It works once, for seven "
        "days. The one before stops working.",
        service=partial(invitation_link, invitation=invitation),
        answer=lambda link, _: show_once(
            request,
            "platform/invitation_link.html",
            title="The link",
            heading=f"The link for {invitation.email}",
            back=back,
            back_label=tenant,
            link=link,
        ),
    )


@action(load=an_invitation, may=of("tenant", can_manage_members))
def invitation_end(request: SignedInRequest, invitation: Invitation) -> Action:
    """Take an invitation back."""
    return Action(
        heading=f"Take the invitation to {invitation.email} back?",
        submit="Take it back",
        back=tenant_url(invitation.tenant),
        back_label=str(invitation.tenant),
        explain="Its link stops working.",
        danger=True,
        service=partial(invitation_cancel, invitation=invitation),
        said=f"The invitation to {invitation.email} is taken back.",
    )


@action(load=a_membership, may=of("tenant", can_manage_members))
def role(request: SignedInRequest, membership: Membership) -> Action:
    """Change a member's role."""
    return Action(
        heading=f"Role of {membership.user} in {membership.tenant}",
        submit="Save",
        back=tenant_url(membership.tenant),
        back_label=str(membership.tenant),
        form=RoleForm,
        initial={"role": membership.role},
        service=partial(membership_set, tenant=membership.tenant, user=membership.user),
        said=lambda data: f"{membership.user} is {data['role']} of {membership.tenant}.",
    )


@action(load=a_membership, may=of("tenant", can_manage_members))
def remove_member(request: SignedInRequest, membership: Membership) -> Action:
    """End a membership."""
    return Action(
        heading=f"Remove {membership.user} from {membership.tenant}?",
        submit="Remove",
        back=tenant_url(membership.tenant),
        back_label=str(membership.tenant),
        explain="They no longer see it. What they made stays.",
        danger=True,
        service=partial(membership_remove, membership=membership),
        said=f"{membership.user} is no longer a member of {membership.tenant}.",
    )


@page(may=administrators)
def users(request: SignedInRequest) -> HttpResponse:
    """Everybody."""
    rows = users_visible_to(request.user).prefetch_related("memberships__tenant").distinct()
    return render(request, "platform/users.html", listing(request, rows, UserTable, UserFilters))


@action(may=administrators)
def invite_any(request: SignedInRequest) -> Action:
    """A new member of some tenant."""
    return Action(
        heading="Add a user",
        submit="Add",
        back=reverse("console:users"),
        back_label="Users",
        explain="They are a member at once, and get an e-mail; a new user, with a link to choose a password.",
        form=partial(InviteToForm, tenants=tenants_visible_to(request.user)),
        service=member_invite,
        said=lambda data: invited(data["email"], data["tenant"], True),
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
        has_second_factor=is_mfa_enabled(found),
    )


@action(load=a_user, may=can_administrate_user)
def user_switch(request: SignedInRequest, found: User) -> Action:
    """Deactivate a user, or let them in again."""
    back = reverse("console:user", args=[found.pk])
    if found.is_active:
        return Action(
            heading=f"Deactivate {found}?",
            submit="Deactivate",
            back=back,
            back_label=str(found),
            explain="Signing in and REST tokens stop working; keys of applications go on.",
            danger=True,
            service=partial(user_deactivate, user=found),
            said=f"{found} is deactivated.",
        )
    return Action(
        heading=f"Let {found} in again?",
        submit="Activate",
        back=back,
        back_label=str(found),
        service=partial(user_activate, user=found),
        said=f"{found} is active again.",
    )


@action(load=a_user, may=can_administrate_user, confirmed=True)
def user_second_factor(request: SignedInRequest, found: User) -> Action:
    """Let in a user who lost their second factor."""
    return Action(
        heading=f"Take the second factor of {found} off?",
        submit="Take it off",
        back=reverse("console:user", args=[found.pk]),
        back_label=str(found),
        explain="They sign in with their password alone until they set up another, and get an e-mail about it. Make sure that it "
        "is they who ask.",
        danger=True,
        service=partial(user_remove_second_factor, user=found),
        said=f"{found} signs in with the password alone now.",
    )
