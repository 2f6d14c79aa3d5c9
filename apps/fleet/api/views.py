"""Routes of the gateways: read only, for platform administrators."""

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from apps.fleet.selectors import GatewayWorker, gateways
from apps.rest.dataclass_serializers import serializer_of
from apps.rest.views import ViaAPI
from apps.tenants.policies import is_administrator

GatewaySerializer = serializer_of(GatewayWorker)


class GatewayViewSet(ViaAPI, GenericViewSet):
    """Gateway workers that are alive; none while Redis is away."""

    serializer_class = GatewaySerializer
    filter_backends = []
    lookup_field = "worker"
    lookup_value_regex = "[^/]+"

    def alive(self, request: Request) -> list[GatewayWorker]:
        """All of them, for an administrator."""
        if not is_administrator(request.user):
            raise PermissionDenied("Only platform administrators see the gateways.")
        return gateways()

    @extend_schema(responses=GatewaySerializer(many=True))
    def list(self, request: Request) -> Response:
        """Who is alive, at which epoch, with how long a lease."""
        page = self.paginate_queryset(self.alive(request))
        return self.get_paginated_response(GatewaySerializer(page, many=True).data)

    def retrieve(self, request: Request, worker: str) -> Response:
        """One of them."""
        for gateway in self.alive(request):
            if gateway.worker == worker:
                return Response(GatewaySerializer(gateway).data)
        raise Http404
