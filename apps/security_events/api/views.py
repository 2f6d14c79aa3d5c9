"""Push delivery of security event tokens (RFC 8935)."""

from typing import IO, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.fleet.issuer_keys import KeysAway
from apps.rest.parsers import read_bounded
from apps.rest.views import ViaAPI
from apps.security_events.events import Refused
from apps.security_events.inbox import take

MEDIA_TYPE = "application/secevent+jwt"

LARGEST = 2**16
"""Bytes of a body that are read."""


class RefusalSerializer(serializers.Serializer):
    """Why a token wasn't taken (RFC 8935 §2.4)."""

    err = serializers.CharField()
    description = serializers.CharField()


class _Unparsed(BaseParser):
    """The signature was computed over the bytes."""

    media_type = "*/*"


class SecurityEventsView(ViaAPI):
    """What an issuer says of its subjects: after some events, none of their tokens is good."""

    authentication_classes = ()
    permission_classes = (AllowAny,)  # the token's signature says whose it is
    parser_classes = (_Unparsed,)

    @extend_schema(
        request={MEDIA_TYPE: OpenApiTypes.STR},
        responses={202: None, 400: RefusalSerializer, 503: RefusalSerializer},
        auth=[],
    )
    def post(self, request: Request, slug: str) -> Response:
        """Take one token. 202 when it is taken, also for the second time; 503 while the issuer's keys can't be had."""
        body = read_bounded(cast(IO[bytes], request._request), LARGEST)
        try:
            if request.content_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
                raise Refused("invalid_request", f"The body is to be of the type {MEDIA_TYPE}.")
            take(slug, body)
        except Refused as refused:
            return Response({"err": refused.code, "description": str(refused)}, 400)
        except KeysAway:
            said = {"err": "invalid_key", "description": "The issuer's keys can't be had at the moment."}
            return Response(said, 503, headers={"Retry-After": "30"})
        return Response(status=202)
