"""Routes of users and tenants."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.shortcuts import get_object_or_404
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.rest.views import Creatable, Deletable, Updatable, verb
from apps.tenants import invitations, selectors, services
from apps.tenants.api import filtersets, serializers
from apps.tenants.api.permissions import be_confirmed
from apps.tenants.models import Invitation, Membership, Tenant, Token, User


class TenantViewSet(Creatable, Updatable, Deletable):
    """Teams, which own APIs and applications."""

    serializer_class = serializers.TenantSerializer
    filterset_class = filtersets.TenantFilter
    lookup_field = "slug"

    def get_queryset(self) -> QuerySet[Tenant]:
        """One's own tenants."""
        return selectors.tenants_visible_to(self.actor)

    def remove(self, found: Tenant) -> None:
        """Remove a tenant that owns nothing any more."""
        services.tenant_delete(actor=self.actor, tenant=found)

    @verb()
    def suspend(self, request: Request, slug: str) -> Response:
        """Have the gateways refuse its keys. Nothing is lost."""
        tenant = self.get_object()
        return self.answer(services.tenant_suspend(actor=self.actor, tenant=tenant, comment=self.comment()))

    @verb()
    def resume(self, request: Request, slug: str) -> Response:
        """Let its keys and other credentials work again."""
        tenant = self.get_object()
        return self.answer(services.tenant_resume(actor=self.actor, tenant=tenant, comment=self.comment()))


class MembershipViewSet(Creatable, Updatable, Deletable):
    """Who belongs to a tenant, in which role."""

    serializer_class = serializers.MembershipSerializer
    filterset_class = filtersets.MembershipFilter
    heard_by_gateways = False

    def get_queryset(self) -> QuerySet[Membership]:
        """The members of the tenant of the address, if that is one's own."""
        return selectors.memberships_visible_to(self.actor).filter(tenant__slug=self.kwargs.get("tenant"))

    def get_serializer_context(self) -> Mapping[str, Any]:
        """With the tenant, where a member is added."""
        context = super().get_serializer_context()
        if self.action == "create" and not getattr(self, "swagger_fake_view", False):
            own = selectors.tenants_visible_to(self.actor)
            return {**context, "tenant": get_object_or_404(own, slug=self.kwargs["tenant"])}
        return context

    def remove(self, found: Membership) -> None:
        """Take a member out of the tenant; never its last owner."""
        services.membership_remove(actor=self.actor, membership=found)


class InvitationViewSet(Deletable):
    """Who was asked to become a member of a tenant, and hasn't answered. POST to ``memberships/`` makes one."""

    serializer_class = serializers.InvitationSerializer
    filterset_class = filtersets.InvitationFilter
    heard_by_gateways = False
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> QuerySet[Invitation]:
        """Those to the tenant of the address, if one owns it."""
        return selectors.invitations_visible_to(self.actor).filter(tenant__slug=self.kwargs.get("tenant"))

    @verb(request=None)
    def resend(self, request: Request, tenant: str, pk: str) -> Response:
        """Send a new link; the one before works no more."""
        return self.answer(invitations.invitation_resend(actor=self.actor, invitation=self.get_object()))

    def remove(self, found: Invitation) -> None:
        """Take it back."""
        invitations.invitation_cancel(actor=self.actor, invitation=found)


class UserViewSet(Creatable, Updatable):
    """People, who sign in by e-mail address."""

    serializer_class = serializers.UserSerializer
    filterset_class = filtersets.UserFilter
    heard_by_gateways = False
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> QuerySet[User]:
        """Oneself and the members of one's tenants, each with their roles in those tenants alone."""
        shared = Prefetch("memberships", selectors.memberships_visible_to(self.actor))
        return selectors.users_visible_to(self.actor).prefetch_related(shared)

    @action(detail=False, filterset_class=None, pagination_class=None)
    def me(self, request: Request) -> Response:
        """Who calls."""
        return Response(self.get_serializer(self.get_queryset().get(pk=self.actor.pk)).data)

    @verb(request=None)
    def activate(self, request: Request, pk: str) -> Response:
        """Let a deactivated user in again."""
        return self.answer(services.user_activate(actor=self.actor, user=self.get_object()))

    @verb(request=None)
    def deactivate(self, request: Request, pk: str) -> Response:
        """End a user's access to the console and the REST API. Keys of applications go on."""
        return self.answer(services.user_deactivate(actor=self.actor, user=self.get_object()))


class TokenViewSet(Creatable, Deletable):
    """A user's tokens for the REST API."""

    serializer_class = serializers.TokenSerializer
    filterset_class = filtersets.TokenFilter
    heard_by_gateways = False
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> QuerySet[Token]:
        """The tokens of the user of the address: one's own, all for an administrator."""
        return selectors.tokens_visible_to(self.actor).filter(user=self.kwargs.get("user"))

    def get_serializer_context(self) -> Mapping[str, Any]:
        """With the user, where a token is made."""
        context = super().get_serializer_context()
        if self.action == "create" and not getattr(self, "swagger_fake_view", False):
            known = selectors.users_visible_to(self.actor)
            return {**context, "owner": get_object_or_404(known, pk=self.kwargs["user"])}
        return context

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make one. Only a session of the console makes tokens, just after its person gave their password again."""
        services.allow_by_hand(self.actor, "make a token")
        be_confirmed(request)
        return super().create(request, *args, **kwargs)

    def remove(self, found: Token) -> None:
        """End a token at once."""
        services.token_revoke(actor=self.actor, token=found)
