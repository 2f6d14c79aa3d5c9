"""Users, tenants, memberships and tokens as the REST API shows and takes them."""

from typing import Any

from django.contrib.auth import update_session_auth_hash
from django.db import transaction
from rest_framework import serializers

from apps.egress.rules import MOST_RULES
from apps.rest.fields import NameField, PersonField
from apps.rest.receipts import WithReceipt
from apps.rest.serializers import ObjectWords, Words
from apps.tenants import selectors, services
from apps.tenants.api.permissions import be_confirmed
from apps.tenants.choices import Role
from apps.tenants.invitations import member_invite
from apps.tenants.models import Invitation, Membership, Tenant, Token, User
from apps.tenants.policies import can_add_members, is_administrator


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

    def _confirm_session(self) -> None:
        """What opens an account takes the password again in a session; to a token the service refuses it anyway."""
        if self.context["request"].auth is None:
            be_confirmed(self.context["request"])

    PRIVATE = ("is_administrator", "date_joined", "last_login")
    """Facts about a person that are no tenant's: for themselves and for administrators. Others read null."""

    def to_representation(self, instance: User) -> dict[str, Any]:
        """The person, as far as they are the reader's to know."""
        shown = super().to_representation(instance)
        if instance != self.caller and not is_administrator(self.caller):
            shown |= dict.fromkeys(self.PRIVATE)
        return shown

    fixed = frozenset({"memberships"})

    def create(self, validated_data: dict[str, Any]) -> User:
        """A new user with their memberships, or nothing of it."""
        memberships = validated_data.pop("memberships", [])
        if validated_data.get("is_administrator"):
            self._confirm_session()
        if "password" in validated_data:
            validated_data["password"] = services.hashed(validated_data["password"])
        with transaction.atomic():
            user = services.user_create(actor=self.caller, **validated_data)
            for membership in memberships:
                services.membership_set(actor=self.caller, user=user, **membership)
        return user

    def update(self, instance: User, validated_data: dict[str, Any]) -> User:
        """Change what is named."""
        password = validated_data.pop("password", None)
        sensitive = ("email", "is_administrator")
        if any(validated_data.get(word, held) != held for word, held in ((w, getattr(instance, w)) for w in sensitive)):
            self._confirm_session()
        if password is not None:
            services.allow_by_hand(self.caller, "set a password")
            self._confirm_session()
            password = services.hashed(password)
        with transaction.atomic():
            user = services.user_update(actor=self.caller, user=instance, **validated_data)
            if password is not None:
                services.user_set_password(actor=self.caller, user=user, password=password)
                if user == self.caller:
                    update_session_auth_hash(self.context["request"]._request, user)  # this session alone goes on
        return user


class MembershipSerializer(ObjectWords):
    """A user's role in the tenant of the address."""

    fixed = frozenset({"user"})
    user = serializers.EmailField(source="user.email", help_text="Whom an owner invites; an administrator adds them.")
    state = serializers.SerializerMethodField(help_text="member, or invited: until they accept, `id` is null.")
    invitation = serializers.SerializerMethodField(help_text="Its id, while the state is invited; null otherwise.")

    class Meta:
        model = Membership
        fields = ["id", "user", "role", "state", "invitation", "created_at"]

    def get_state(self, shown: Membership) -> str:
        """Whether they are one yet."""
        return "member" if shown.pk else "invited"

    def get_invitation(self, shown: Membership) -> int | None:
        """What to send again or take back."""
        return vars(shown).get("invitation")

    def create(self, validated_data: dict[str, Any]) -> Membership:
        """Invite a user; for an administrator, make them a member at once."""
        tenant, role, email = self.context["tenant"], validated_data["role"], validated_data["user"]["email"]
        if can_add_members(self.caller, tenant) and (known := User.objects.filter(email__iexact=email).first()):
            return services.membership_set(actor=self.caller, tenant=tenant, user=known, role=role)
        made = member_invite(actor=self.caller, tenant=tenant, email=email, role=role)
        if isinstance(made, Membership):
            return made
        coming = Membership(user=User(email=made.email), tenant=tenant, role=made.role, created_at=made.created_at)
        vars(coming)["invitation"] = made.pk
        return coming

    def update(self, instance: Membership, validated_data: dict[str, Any]) -> Membership:
        """Give another role."""
        role = validated_data.get("role", instance.role)
        return services.membership_set(actor=self.caller, tenant=instance.tenant, user=instance.user, role=role)


class InvitationSerializer(ObjectWords):
    """A user who was invited and hasn't answered."""

    user = serializers.EmailField(source="email", read_only=True)
    invited_by = PersonField(allow_null=True)

    class Meta:
        model = Invitation
        fields = ["id", "user", "role", "invited_by", "created_at", "sent_at", "expires_at"]


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
