"""For scanners of repositories and the like: which of some texts are keys of this platform that live."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.access.services.leaked_keys import MOST, FoundText, LeakVerdict, leaked_keys_check
from apps.rest.dataclass_serializers import serializer_of
from apps.rest.serializers import Words
from apps.rest.views import ViaAPI
from apps.tenants.choices import TokenScope


class FoundTextSerializer(Words):
    """What may be a key, and where it was found."""

    token = serializers.CharField(max_length=4096, trim_whitespace=False, help_text="The whole of what may be a key.")
    url = serializers.CharField(
        max_length=500, default="", allow_blank=True, help_text="Where it was found: its people read that."
    )


class LeakedKeysSerializer(Words):
    """Texts that were found, in whose order the response has its verdicts."""

    found = FoundTextSerializer(many=True, help_text=f"At most {MOST}.")
    revoke = serializers.BooleanField(default=False, help_text="Revoke those that live, where one may do that.")

    def validate_found(self, value: list[dict[str, Any]]) -> list[FoundText]:
        """As the service takes them."""
        if not 0 < len(value) <= MOST:
            raise serializers.ValidationError(f"Between 1 and {MOST} texts.")
        return [FoundText(**each) for each in value]


class LeakedKeysView(ViaAPI):
    """Which texts are keys that live, and the end of these. Needs the scope ``scan`` alone, which does nothing else."""

    http_method_names = ["post", "options"]
    scopes: ClassVar[dict[str, TokenScope]] = {"POST": TokenScope.SCAN}

    @extend_schema(request=LeakedKeysSerializer, responses=serializer_of(LeakVerdict)(many=True))
    def post(self, request: Request) -> Response:
        """Look each of them up; people of the keys that live are notified."""
        words = LeakedKeysSerializer(data=request.data, context={"request": request})
        words.is_valid(raise_exception=True)
        verdicts = leaked_keys_check(actor=request.user, **words.validated_data)
        return Response(serializer_of(LeakVerdict)(verdicts, many=True).data)
