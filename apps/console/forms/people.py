"""Forms about tenants, their people, and one's own account."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import password_validators_help_texts
from django.db.models import QuerySet

from apps.console.forms.fields import ConsoleForm, LinesField, MomentField, NamedForm
from apps.notifications.choices import Group
from apps.tenants.choices import Role, TokenScope
from apps.tenants.models import Tenant, User

ROLES = [
    (Role.OWNER, "Owner: everything in the tenant, its people too"),
    (Role.DEVELOPER, "Developer: APIs, applications, keys, requests"),
    (Role.VIEWER, "Viewer: looks"),
]

SCOPES = [
    (TokenScope.SCAN, "Scan: asks which texts are keys that live, and revokes those; nothing else"),
    (TokenScope.READ, "Read: looks, and explains requests"),
    (TokenScope.WRITE, "Write: changes what you may change as a member too"),
    (TokenScope.ADMIN, "Admin: everything that you may as a platform administrator"),
]


class TenantForm(ConsoleForm):
    """A tenant's name."""

    name = forms.CharField(max_length=120, help_text="The team, as others know it.")


class NewTenantForm(NamedForm, TenantForm):
    """The same with what never changes afterwards."""

    def others(self) -> QuerySet:
        """All tenants."""
        return Tenant.objects.all()


class HostForm(ConsoleForm):
    """A host name of a tenant."""

    host = forms.CharField(
        max_length=253,
        label="Host name",
        help_text="Exactly that name, without scheme, port and path: shop.example.com.",
    )


class GrantHostForm(HostForm):
    """The same without a proof, with the reason."""

    comment = forms.CharField(required=False, max_length=1000, help_text="Why; for the audit log.")


class InviteForm(ConsoleForm):
    """A new member of a tenant."""

    email = forms.EmailField(label="E-mail address", help_text="Gets a letter with a link.")
    role = forms.ChoiceField(choices=ROLES, initial=Role.DEVELOPER, widget=forms.RadioSelect)


class InviteToForm(InviteForm):
    """A new member of one of several tenants, perhaps a new user."""

    name = forms.CharField(required=False, max_length=120, help_text="Of a new user.")
    tenant = forms.ModelChoiceField(queryset=Tenant.objects.none(), to_field_name="slug", empty_label="Choose a tenant")
    field_order = ["email", "name", "tenant", "role"]

    def __init__(self, *args: Any, tenants: QuerySet[Tenant], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tenant"].queryset = tenants  # type: ignore[attr-defined]


class RoleForm(ConsoleForm):
    """A member's role."""

    role = forms.ChoiceField(choices=ROLES, widget=forms.RadioSelect)


class NewcomerForm(ConsoleForm):
    """Who accepts an invitation without having an account."""

    name = forms.CharField(max_length=120, help_text="As your colleagues see it.")
    password = forms.CharField(
        strip=False, max_length=1_000, widget=forms.PasswordInput({"autocomplete": "new-password"})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].help_text = " ".join(password_validators_help_texts())


class ProfileForm(ConsoleForm):
    """One's own name."""

    name = forms.CharField(required=False, max_length=120, help_text="As your colleagues see it.")


class UserForm(ProfileForm):
    """What an administrator may change of a user."""

    email = forms.EmailField(label="E-mail address")
    is_administrator = forms.BooleanField(
        required=False, label="Platform administrator", help_text="Sees and may change everything."
    )


class TokenForm(ConsoleForm):
    """A token for the REST API."""

    name = forms.CharField(max_length=64, help_text="Where it is used.")
    scope = forms.ChoiceField(choices=SCOPES, initial=TokenScope.READ, widget=forms.RadioSelect)
    tenant = forms.ModelChoiceField(
        queryset=Tenant.objects.none(),
        to_field_name="slug",
        required=False,
        empty_label="All that you may see",
        help_text="The only tenant that it reaches.",
    )
    expires_at = MomentField(required=True, label="Good until", help_text="In UTC, a year from now at the latest.")

    def __init__(self, *args: Any, owner: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tenant"].queryset = Tenant.objects.filter(memberships__user=owner)  # type: ignore[attr-defined]
        if not owner.is_administrator:
            self.fields["scope"].choices = SCOPES[:-1]  # type: ignore[attr-defined]


class EgressForm(ConsoleForm):
    """Where calls may lead beside public addresses."""

    allow = LinesField(
        label="Allowed",
        help_text="One a line: a network (10.0.0.0/8), a host name, or *.suffix for the names below it; :443 or :8000-8010 "
        "behind it for those ports alone.",
    )


class MailForm(ConsoleForm):
    """Which notifications come by e-mail."""

    groups = forms.MultipleChoiceField(
        choices=Group.choices, required=False, widget=forms.CheckboxSelectMultiple, label="Send me e-mails about"
    )


class ReadForm(ConsoleForm):
    """Which notifications were read: one by its number, or ``all``. The cleaned value is what the service takes."""

    read = forms.RegexField(r"^(all|[0-9]{1,18})\Z")

    def clean_read(self) -> list[int] | None:
        """The numbers; ``None`` for all."""
        text = self.cleaned_data["read"]
        return None if text == "all" else [int(text)]
