"""Routes of egress rules: of the installation, and of one tenant. For platform administrators."""

from collections.abc import Callable
from types import SimpleNamespace

from django.conf import settings
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.rest.receipts import with_receipt
from apps.rest.views import ViaAPI
from apps.tenants.api.serializers import EgressSerializer
from apps.tenants.egress import administrators_rules, allowed_to_all, egress_update, tenant_egress_update
from apps.tenants.models import Tenant
from apps.tenants.policies import is_administrator
from apps.tenants.services import allow as permit


def _permit(request: Request) -> None:
    permit(is_administrator(request.user), "Only a platform administrator may see where calls may lead.")


def _changed(request: Request, inherited: Callable[[], list[str]], save: Callable[[list[str]], list[str]]) -> Response:
    body = EgressSerializer(data=request.data, context={"request": request})
    body.is_valid(raise_exception=True)
    kept = save(body.validated_data["allow"])
    found = with_receipt(SimpleNamespace(allow=kept, inherited=inherited()))
    return Response(EgressSerializer(found, context={"request": request}).data)


class EgressView(ViaAPI):
    """Where calls of all tenants may lead beside public addresses."""

    @extend_schema(operation_id="egress_retrieve", responses=EgressSerializer)
    def get(self, request: Request) -> Response:
        """The rules that administrators set, and those of the environment."""
        _permit(request)
        found = SimpleNamespace(allow=administrators_rules(), inherited=list(settings.EGRESS_ALLOW))
        return Response(EgressSerializer(found).data)

    @extend_schema(operation_id="egress_update", request=EgressSerializer, responses=EgressSerializer)
    def patch(self, request: Request) -> Response:
        """Set the administrators' rules. In force as the receipt says, for connections that are open too."""
        _permit(request)
        return _changed(
            request,
            lambda: list(settings.EGRESS_ALLOW),
            lambda allow: egress_update(actor=request.user, allow=allow),
        )


class TenantEgressView(ViaAPI):
    """Where calls of one tenant's APIs may lead beside what all may."""

    @extend_schema(operation_id="tenants_egress_retrieve", responses=EgressSerializer)
    def get(self, request: Request, tenant: str) -> Response:
        """The tenant's rules, and those of the installation."""
        _permit(request)
        found = get_object_or_404(Tenant, slug=tenant)
        return Response(EgressSerializer(SimpleNamespace(allow=found.egress, inherited=allowed_to_all())).data)

    @extend_schema(operation_id="tenants_egress_update", request=EgressSerializer, responses=EgressSerializer)
    def patch(self, request: Request, tenant: str) -> Response:
        """Set the tenant's rules. In force as the receipt says, for connections that are open too."""
        _permit(request)
        found = get_object_or_404(Tenant, slug=tenant)
        return _changed(
            request,
            allowed_to_all,
            lambda allow: tenant_egress_update(actor=request.user, tenant=found, allow=allow),
        )
