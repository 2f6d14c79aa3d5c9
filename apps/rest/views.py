"""What every view of the REST API does, and the documentation page."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.views.generic import TemplateView
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from apps.foundation.via import coming_by
from apps.rest.receipts import with_receipt
from apps.rest.serializers import CommentSerializer


class ViaAPI(APIView):
    """A view whose changes are witnessed as coming in by the REST API."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """As usual; the audit log records the way in."""
        with coming_by("api"):
            return super().dispatch(request, *args, **kwargs)


class Resource(ViaAPI, mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet):
    """One kind of object: listed, read, and changed through services. ``get_queryset`` is scoped to who asks.

    What one may not see answers 404; what one sees and may not change, 403, from the service.
    """

    http_method_names = ["get", "post", "patch", "delete", "head", "options"]
    heard_by_gateways = True  # its changes are answered with a receipt

    @property
    def actor(self) -> Any:
        """The signed-in user: authentication lets no other caller in."""
        return self.request.user

    def body(self, kind: type[BaseSerializer]) -> dict[str, Any]:
        """The request's body, checked; raises ``ValidationError`` by field."""
        serializer = kind(data=self.request.data, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data

    def comment(self) -> str:
        """What was said with a decision."""
        return self.body(CommentSerializer)["comment"]

    def page(self, kind: type[BaseSerializer], rows: QuerySet) -> Response:
        """A page of ``rows`` that belong to the object of the address."""
        found = self.paginate_queryset(rows)
        return self.get_paginated_response(kind(found, many=True, context=self.get_serializer_context()).data)

    def answer(self, changed: Any, status: int = 200) -> Response:
        """The object after its change, with its receipt."""
        if self.heard_by_gateways:
            with_receipt(changed)
        return Response(self.get_serializer(changed).data, status=status)


class Creatable(Resource):
    """POST to the list makes one, by the serializer's ``create``."""

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make one."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return self.answer(serializer.save(), 201)


class Updatable(Resource):
    """PATCH changes what it names, by the serializer's ``update``."""

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change what the body names."""
        serializer = self.get_serializer(self.get_object(), data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        return self.answer(serializer.save())


class Deletable(Resource):
    """DELETE removes one, by the service that ``remove`` calls."""

    def remove(self, found: Any) -> None:
        """Have the service remove it."""
        raise NotImplementedError

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Remove it. The response comes when the gateways know, 5 s later at most."""
        found = self.get_object()
        self.remove(found)
        if self.heard_by_gateways:
            with_receipt(found)
        return Response(status=204)


def verb(
    request: type[BaseSerializer] | None = CommentSerializer, **options: Any
) -> Callable[[Callable[..., Response]], Any]:
    """An action of an object: POST to a sub-path of the method's name, whose body is a ``request``."""

    def decorate(method: Callable[..., Response]) -> Any:
        described = extend_schema(request=request, responses=options.pop("responses", None))(method)
        return action(detail=True, methods=["post"], **options)(described)

    return decorate


class DocsView(TemplateView):
    """The schema as pages to read and try, with a script of our own because the policy forbids inline ones."""

    template_name = "api/docs.html"
