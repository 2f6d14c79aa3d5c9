"""Routes of plans, applications, keys, access requests and subscriptions."""

from datetime import timedelta

from django.db.models import QuerySet
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from apps.access import selectors, services
from apps.access.api import filtersets, serializers, token_serializers
from apps.access.models import (
    AccessRequest,
    Application,
    Credential,
    Introspection,
    Issuer,
    Plan,
    Revocation,
    Subscription,
)
from apps.rest.fields import application_terms
from apps.rest.views import Creatable, Deletable, Updatable, verb


class PlanViewSet(Creatable, Updatable, Deletable):
    """How much a subscription may call."""

    serializer_class = serializers.PlanSerializer
    filterset_class = filtersets.PlanFilter
    lookup_field = "slug"

    def get_queryset(self) -> QuerySet[Plan]:
        """All of them, for signed-in users."""
        return selectors.plans_visible_to(self.request.user)

    def remove(self, found: Plan) -> None:
        """Remove an unused plan."""
        services.plan_delete(actor=self.actor, plan=found)


class IssuerViewSet(Creatable, Updatable, Deletable):
    """Who issues tokens that APIs take. Its keys are public, and its secret is never shown."""

    serializer_class = token_serializers.IssuerSerializer
    filterset_class = filtersets.IssuerFilter
    lookup_field = "slug"

    def get_queryset(self) -> QuerySet[Issuer]:
        """The platform's, and those of one's own tenants."""
        return selectors.issuers_visible_to(self.request.user)

    def remove(self, found: Issuer) -> None:
        """Remove one whose tokens no API takes, with its client IDs."""
        services.issuer_delete(actor=self.actor, row=found)


class IntrospectionViewSet(Creatable, Updatable, Deletable):
    """Who is asked what an opaque token is worth. Its client secret is never shown."""

    serializer_class = token_serializers.IntrospectionSerializer
    filterset_class = filtersets.IssuerFilter
    lookup_field = "slug"

    def get_queryset(self) -> QuerySet[Introspection]:
        """The platform's, and those of one's own tenants."""
        return selectors.introspections_visible_to(self.request.user)

    def remove(self, found: Introspection) -> None:
        """Remove one that no API asks."""
        services.introspection_delete(actor=self.actor, server=found)


class RevocationViewSet(Creatable, Deletable):
    """Tokens and subjects of issuers that were revoked. A subject is restored by DELETE; a token never."""

    serializer_class = token_serializers.RevocationSerializer
    filterset_class = filtersets.RevocationFilter
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> QuerySet[Revocation]:
        """Those of issuers that one may edit."""
        return selectors.revocations_visible_to(self.request.user)

    def remove(self, found: Revocation) -> None:
        """Let a subject's older tokens be good again."""
        services.subject_restore(actor=self.actor, revocation=found)


class ApplicationViewSet(Creatable, Updatable, Deletable):
    """Programs of one's own tenants, as ``tenant/slug``."""

    serializer_class = serializers.ApplicationSerializer
    filterset_class = filtersets.ApplicationFilter
    lookup_field = "slug"
    lookup_url_kwarg = "application"
    lookup_value_regex = "[^/.]+/[^/.]+"

    def get_queryset(self) -> QuerySet[Application]:
        """Those of one's own tenants."""
        return selectors.applications_visible_to(self.request.user).select_related("tenant")

    def get_object(self) -> Application:
        """The one that the address names by tenant and slug."""
        return get_object_or_404(self.get_queryset(), **application_terms(self.kwargs["application"]))

    def remove(self, found: Application) -> None:
        """Remove it with its keys and subscriptions."""
        services.application_delete(actor=self.actor, application=found)


class KeyViewSet(Creatable, Updatable):
    """Keys and other credentials of one's own applications. A secret is in the response to its creation and nowhere else."""

    serializer_class = serializers.KeySerializer
    filterset_class = filtersets.KeyFilter
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> QuerySet[Credential]:
        """Those of one's own applications."""
        return selectors.keys_visible_to(self.request.user).select_related(
            "application__tenant", "api", "issuer", "introspection"
        )

    @verb(request=serializers.RotateSerializer)
    def rotate(self, request: Request, pk: str) -> Response:
        """Make its successor, which is the response; the old one works on for the overlap."""
        key = self.get_object()
        overlap = timedelta(seconds=self.body(serializers.RotateSerializer)["overlap"])
        return self.answer(
            serializers.shown_once(*services.key_rotate(actor=self.actor, key=key, overlap=overlap)), 201
        )

    @verb()
    def revoke(self, request: Request, pk: str) -> Response:
        """End it at once."""
        return self.answer(services.key_revoke(actor=self.actor, key=self.get_object(), comment=self.comment()))


class AccessRequestViewSet(Creatable, Updatable):
    """Who asks for what, and what became of it."""

    serializer_class = serializers.AccessRequestSerializer
    filterset_class = filtersets.AccessRequestFilter
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> QuerySet[AccessRequest]:
        """Those of one's own applications, and those that one decides."""
        return (
            selectors.requests_visible_to(self.request.user)
            .select_related("application__tenant", "api", "plan", "requested_by", "decided_by")
            .prefetch_related("comments__author")
        )

    def answer(self, changed: AccessRequest, status: int = 200) -> Response:
        """The request as it stands now, with what was said."""
        return super().answer(self.get_queryset().get(pk=changed.pk), status)

    @verb()
    def submit(self, request: Request, pk: str) -> Response:
        """Hand it in, for the first time or after a question."""
        asked = self.get_object()
        return self.answer(services.request_submit(actor=self.actor, access_request=asked, comment=self.comment()))

    @verb(request=serializers.NeededCommentSerializer)
    def ask(self, request: Request, pk: str) -> Response:
        """Ask the applicant back."""
        asked = self.get_object()
        told = self.body(serializers.NeededCommentSerializer)
        return self.answer(services.request_ask(actor=self.actor, access_request=asked, **told))

    @verb(request=serializers.ApprovalSerializer)
    def approve(self, request: Request, pk: str) -> Response:
        """Grant it; the gateways let its calls through as the receipt says."""
        asked = self.get_object()
        told = self.body(serializers.ApprovalSerializer)
        return self.answer(services.request_approve(actor=self.actor, access_request=asked, **told))

    @verb(request=serializers.NeededCommentSerializer)
    def reject(self, request: Request, pk: str) -> Response:
        """Refuse it."""
        asked = self.get_object()
        told = self.body(serializers.NeededCommentSerializer)
        return self.answer(services.request_reject(actor=self.actor, access_request=asked, **told))

    @verb()
    def cancel(self, request: Request, pk: str) -> Response:
        """Take it back."""
        asked = self.get_object()
        return self.answer(services.request_cancel(actor=self.actor, access_request=asked, comment=self.comment()))


class SubscriptionViewSet(Creatable, Updatable):
    """Which application may call which API under which plan."""

    serializer_class = serializers.SubscriptionSerializer
    filterset_class = filtersets.SubscriptionFilter
    lookup_value_regex = r"\d{1,18}"

    def get_queryset(self) -> QuerySet[Subscription]:
        """Those of one's own applications, and those of one's own APIs."""
        return selectors.subscriptions_visible_to(self.request.user).select_related(
            "application__tenant", "api", "plan"
        )

    @verb()
    def suspend(self, request: Request, pk: str) -> Response:
        """Let no call through until it is resumed."""
        found = self.get_object()
        return self.answer(services.subscription_suspend(actor=self.actor, subscription=found, comment=self.comment()))

    @verb()
    def resume(self, request: Request, pk: str) -> Response:
        """Let calls through again."""
        found = self.get_object()
        return self.answer(services.subscription_resume(actor=self.actor, subscription=found, comment=self.comment()))

    @verb()
    def revoke(self, request: Request, pk: str) -> Response:
        """End it for good."""
        found = self.get_object()
        return self.answer(services.subscription_revoke(actor=self.actor, subscription=found, comment=self.comment()))
