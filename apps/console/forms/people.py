"""Forms about tenants, their people, and one's own account."""

from typing import Any

from django import forms
from django.db.models import QuerySet

from apps.console.forms.apis import checked_slug
from apps.console.forms.fields import ConsoleForm, MomentField
from apps.tenants.choices import Role
from apps.tenants.models import Tenant

ROLES = [
    (Role.OWNER, "Owner: everything in the tenant, its people too"),
    (Role.DEVELOPER, "Developer: APIs, applications, keys, requests"),
    (Role.VIEWER, "Viewer: looks"),
]


class TenantForm(ConsoleForm):
    """A tenant's name."""

    name = forms.CharField(max_length=120, help_text="The team, as others know it.")


class NewTenantForm(TenantForm):
    """The same with what never changes afterwards."""

    slug = forms.SlugField(
        required=False,
        max_length=64,
        label="Short name",
        help_text="For addresses and files; made of the name if empty.",
    )

    def clean_slug(self) -> str:
        """Made of the name if empty."""
        return checked_slug(self, self.cleaned_data.get("name", ""))


class InviteForm(ConsoleForm):
    """A new member of a tenant."""

    email = forms.EmailField(label="E-mail address", help_text="Gets a link to choose a password, if new here.")
    name = forms.CharField(required=False, max_length=120)
    role = forms.ChoiceField(choices=ROLES, initial=Role.DEVELOPER, widget=forms.RadioSelect)


class InviteToForm(InviteForm):
    """A new member of one of several tenants."""

    tenant = forms.ModelChoiceField(queryset=Tenant.objects.none(), to_field_name="slug", empty_label="Choose a tenant")
    field_order = ["email", "name", "tenant", "role"]

    def __init__(self, *args: Any, tenants: QuerySet[Tenant], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tenant"].queryset = tenants  # type: ignore[attr-defined]


class RoleForm(ConsoleForm):
    """A member's role."""

    role = forms.ChoiceField(choices=ROLES, widget=forms.RadioSelect)


class ProfileForm(ConsoleForm):
    """One's own name."""

    name = forms.CharField(required=False, max_length=120, help_text="As your colleagues see it.")


class UserForm(ProfileForm):
    """What an administrator may change of somebody."""

    email = forms.EmailField(label="E-mail address")
    is_administrator = forms.BooleanField(
        required=False, label="Platform administrator", help_text="Sees and may change everything."
    )


class TokenForm(ConsoleForm):
    """A token for the REST API."""

    name = forms.CharField(max_length=64, help_text="Where it is used.")
    expires_at = MomentField(label="Good until", help_text="In UTC. Empty: until it is revoked.")
