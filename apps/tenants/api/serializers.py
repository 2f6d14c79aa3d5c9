"""Users, tenants, memberships and tokens as the REST API shows and takes them."""

from typing import Any

from django.contrib.auth import update_session_auth_hash
from django.db import transaction
from rest_framework import serializers

from apps.egress.rules import MOST_RULES
from apps.platform.api.fields import NameField, PersonField
from apps.platform.api.receipts import WithReceipt
from apps.platform.api.serializers import ObjectWords, Words
from apps.tenants import selectors, services
from apps.tenants.api.permissions import be_confirmed
from apps.tenants.choices import Role
from apps.tenants.models import Membership, Tenant, Token, User


class TenantSerializer(WithReceipt, ObjectWords):
    """A tenant."""

    fixed = frozenset({"slug"})
    owner = PersonField(
        visible=selectors.users_visible_to,
        write_only=True,
        required=False,
        help_text="E-mail address of its first owner, who is a user already.",
    )

    class Meta:
        model = Tenant
        fields = ["slug", "name", "state", "owner", "created_at", "receipt"]
        read_only_fields = ["state"]

    def create(self, validated_data: dict[str, Any]) -> Tenant:
        """A new tenant."""
        return services.tenant_create(actor=self.caller, **validated_data)

    def update(self, instance: Tenant, validated_data: dict[str, Any]) -> Tenant:
        """Rename it."""
        return services.tenant_update(
            actor=self.caller, tenant=instance, name=validated_data.get("name", instance.name)
        )


class RoleSerializer(Words):
    """A user's role in a tenant, beside the user."""

    tenant = NameField(visible=selectors.tenants_visible_to)
    role = serializers.ChoiceField(Role.choices)


class UserSerializer(ObjectWords):
    """A person."""

    memberships = RoleSerializer(many=True, required=False, help_text="Taken at creation; later see tenants.")
    password = serializers.CharField(write_only=True, required=False, trim_whitespace=False, max_length=1_000)

    class Meta:
        model = User
        fields = [
            "id",
            "email",
            "name",
            "is_active",
            "is_administrator",
            "memberships",
            "password",
            "date_joined",
            "last_login",
        ]
        read_only_fields = ["is_active", "last_login"]

    fixed = frozenset({"memberships"})

    @transaction.atomic
    def create(self, validated_data: dict[str, Any]) -> User:
        """A new user with their memberships, or nothing of it."""
        memberships = validated_data.pop("memberships", [])
        user = services.user_create(actor=self.caller, **validated_data)
        for membership in memberships:
            services.membership_set(actor=self.caller, user=user, **membership)
        return user

    @transaction.atomic
    def update(self, instance: User, validated_data: dict[str, Any]) -> User:
        """Change what is named."""
        password = validated_data.pop("password", None)
        user = services.user_update(actor=self.caller, user=instance, **validated_data)
        if password is not None:
            services.allow_by_hand(self.caller, "set a password")
            be_confirmed(self.context["request"])
            services.user_set_password(actor=self.caller, user=user, password=password)
            if user == self.caller:
                update_session_auth_hash(self.context["request"]._request, user)  # this session alone goes on
        return user


class MembershipSerializer(ObjectWords):
    """A user's role in the tenant of the address."""

    fixed = frozenset({"user"})
    user = serializers.EmailField(source="user.email", help_text="Somebody new gets an invitation by e-mail.")

    class Meta:
        model = Membership
        fields = ["id", "user", "role", "created_at"]

    def create(self, validated_data: dict[str, Any]) -> Membership:
        """Make a user whom the caller knows a member; invite anybody else."""
        tenant, role, email = self.context["tenant"], validated_data["role"], validated_data["user"]["email"]
        known = selectors.users_visible_to(self.caller).filter(email__iexact=email).first()
        if known:
            return services.membership_set(actor=self.caller, tenant=tenant, user=known, role=role)
        return services.user_invite(actor=self.caller, tenant=tenant, email=email, role=role)

    def update(self, instance: Membership, validated_data: dict[str, Any]) -> Membership:
        """Give another role."""
        role = validated_data.get("role", instance.role)
        return services.membership_set(actor=self.caller, tenant=instance.tenant, user=instance.user, role=role)


class TokenSerializer(ObjectWords):
    """A token for the REST API; ``secret`` is in the answer to its creation and nowhere else."""

    secret = serializers.CharField(read_only=True, required=False)
    tenant = NameField(
        visible=selectors.tenants_visible_to,
        required=False,
        allow_null=True,
        help_text="The only tenant that it reaches; null: all of its user's.",
    )

    class Meta:
        model = Token
        fields = [
            *("id", "name", "prefix", "secret", "scope", "tenant", "created_at", "expires_at", "last_used_at"),
        ]
        read_only_fields = ["prefix", "last_used_at"]

    def create(self, validated_data: dict[str, Any]) -> Any:
        """A new token of the user of the address, with its secret. Made in a session that just proved who calls."""
        made = services.token_create(actor=self.caller, user=self.context["owner"], **validated_data)
        vars(made.token)["secret"] = made.secret
        return made.token


class EgressSerializer(WithReceipt, Words):
    """Where calls may lead beside public addresses: networks, host names and ``*.suffix``, each with ``:PORT`` or ``:FIRST-LAST``
    where only those ports are meant."""

    allow = serializers.ListField(
        child=serializers.CharField(max_length=300),
        max_length=MOST_RULES,
        help_text="Like 10.0.0.0/8, billing.internal:8443 or *.corp.internal. Replaced as a whole.",
    )
    inherited = serializers.ListField(
        child=serializers.CharField(),
        read_only=True,
        help_text="Rules that hold beside these: those of EGRESS_ALLOW, and for a tenant those of the installation.",
    )
