"""Routes of webhooks, signed messages and CDNs."""

from typing import cast

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.invalidation import message_inbox, policies, services
from apps.invalidation.api import serializers
from apps.invalidation.api.authentication import SignatureAuthentication, SignedMessage
from apps.invalidation.choices import MessageSource
from apps.invalidation.models import CDN, PurgeWebhook, RefusedMessage
from apps.rest.views import Creatable, Deletable, Resource, Updatable, ViaAPI


class WebhookViewSet(Creatable, Deletable):
    """Which APIs take signed messages. POST makes the secret, or a new one; the one before holds a day longer."""

    serializer_class = serializers.WebhookSerializer
    lookup_field = "api__slug"
    lookup_url_kwarg = "api"
    heard_by_gateways = False

    def get_queryset(self) -> QuerySet[PurgeWebhook]:
        """Those of one's own tenants' APIs."""
        return policies.webhooks_visible_to(self.request.user).order_by("api__slug")

    def remove(self, found: PurgeWebhook) -> None:
        """Take no more messages."""
        services.webhook_remove(actor=self.actor, api=found.api)


class CDNViewSet(Creatable, Updatable, Deletable):
    """Caches in front of the gateways, to which purges are forwarded."""

    serializer_class = serializers.CDNSerializer
    lookup_field = "api__slug"
    lookup_url_kwarg = "api"
    heard_by_gateways = False

    def get_queryset(self) -> QuerySet[CDN]:
        """Those of one's own tenants' APIs."""
        return policies.cdns_visible_to(self.request.user).order_by("api__slug")

    def remove(self, found: CDN) -> None:
        """Forward no more."""
        services.cdn_remove(actor=self.actor, api=found.api)


class RefusedMessageViewSet(Resource):
    """Messages of queue and webhooks that could not be taken, newest first; for administrators."""

    serializer_class = serializers.RefusedMessageSerializer
    http_method_names = ["get", "head", "options"]

    def get_queryset(self) -> QuerySet[RefusedMessage]:
        """All of them, or none."""
        return policies.refused_messages_visible_to(self.request.user)


class _Unparsed(BaseParser):
    """The signature was computed over the bytes: they are read before any parser."""

    media_type = "*/*"


class MessagesView(ViaAPI):
    """Signed messages of an API's origin, which end what they name."""

    authentication_classes = [SignatureAuthentication]
    permission_classes = [AllowAny]  # whose signature is good may; the rest was refused with 401
    parser_classes = [_Unparsed]

    @extend_schema(
        request=serializers.ItemSerializer,
        responses={200: serializers.TakenSerializer, 400: serializers.TakenSerializer},
    )
    def post(self, request: Request, api: str) -> Response:
        """Purge what the message names. 400 where nothing of it could be taken; otherwise 200, with what could not."""
        signed = cast(SignedMessage, request.auth)
        taken = message_inbox.take(
            signed.body, source=MessageSource.WEBHOOK, api=signed.api, signature=signed.digest[:64]
        )
        said = {
            "purged": len(taken.purges),
            "duplicates": taken.duplicates,
            "refused": {str(index): detail for index, detail in sorted(taken.refused.items())},
            "clock": max((purge.clock for purge in taken.purges), default=None),
        }
        return Response(said, 400 if taken.nothing else 200)
