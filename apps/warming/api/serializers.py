"""Pushed entries and warm-ups as the REST API shows and takes them."""

import base64
import re
from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.caching import warm_up
from apps.catalog.selectors import apis_configured_by
from apps.httpcache import Headers
from apps.rest.fields import NameField
from apps.rest.receipts import ReceiptSerializer
from apps.rest.serializers import ObjectWords, Words
from apps.warming import services
from apps.warming.models import WarmUp

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LINES = {"type": "array", "items": {"type": "string"}}


@extend_schema_field({"type": "object", "additionalProperties": {"oneOf": [{"type": "string"}, _LINES]}})
class HeaderLines(serializers.Field):
    """Header fields by name; a list has a line for each of its values. Becomes the core's pairs, names in lower case."""

    default_error_messages = {
        "form": "Write an object of header names, each with its value or a list of values.",
        "name": "{name!r} is not the name of a header.",
        "value": "The value of {name} holds a line break or another control character.",
        "size": "At most 100 lines and 32 KiB in all.",
    }

    def to_internal_value(self, data: Any) -> Headers:
        """The lines, in their order."""
        if not isinstance(data, Mapping):
            self.fail("form")
        lines: list[tuple[bytes, bytes]] = []
        for name, said in data.items():
            if not isinstance(name, str) or not _TOKEN.match(name):
                self.fail("name", name=str(name)[:100])
            for value in said if isinstance(said, list) else [said]:
                if not isinstance(value, str):
                    self.fail("form")
                if _CONTROL.search(value):
                    self.fail("value", name=name)
                lines.append((name.lower().encode(), value.strip(" \t").encode()))
        if len(lines) > 100 or sum(len(name) + len(value) for name, value in lines) > 32 * 1024:
            self.fail("size")
        return tuple(lines)

    def to_representation(self, value: Any) -> Any:
        """Never read back: what is stored is read from the gateway."""
        return dict(value)


class PushSerializer(Words):
    """A representation to store ahead of demand. It is judged like an upstream's response."""

    api = NameField(visible=apis_configured_by)
    url = serializers.CharField(
        max_length=2000,
        help_text="A path like /items/1?lang=en, for each of the API's hosts but wildcards; or a whole URL.",
    )
    status = serializers.IntegerField(min_value=200, max_value=599, required=False, default=200)
    headers = HeaderLines(required=False, default=(), help_text="The response's: Cache-Control, ETag, Surrogate-Key …")
    body = serializers.CharField(
        required=False, allow_blank=True, trim_whitespace=False, help_text="As text, sent in UTF-8."
    )
    body_base64 = serializers.CharField(required=False, allow_blank=True, help_text="Or as bytes, in base64.")
    request_headers = HeaderLines(
        required=False, default=(), help_text="Those of the call that Vary or the policy's key name: Accept-Language …"
    )

    def validate_request_headers(self, value: Headers) -> Headers:
        """Those that a call for everybody's response may have."""
        try:
            warm_up.headers({name.decode(): line.decode() for name, line in value})
        except ValueError as refusal:
            raise serializers.ValidationError(str(refusal)) from None
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One body at most, as bytes."""
        text, coded = attrs.pop("body", None), attrs.pop("body_base64", None)
        if text is not None and coded is not None:
            raise serializers.ValidationError({"body_base64": ["Give body or body_base64, not both."]})
        try:
            attrs["body"] = (text or "").encode() if coded is None else base64.b64decode(coded, validate=True)
        except ValueError:
            raise serializers.ValidationError({"body_base64": ["This is not base64."]}) from None
        return attrs


class PushedSerializer(serializers.Serializer):
    """What is stored of a push."""

    api = serializers.CharField()
    urls = serializers.ListField(child=serializers.CharField())
    keys = serializers.ListField(child=serializers.CharField(), help_text="As Cache-Status shows them.")
    reason = serializers.CharField(help_text="Why it is kept as long as it is: a code of the cache's decisions.")
    sentence = serializers.CharField()
    fresh_until = serializers.DateTimeField()
    keep_until = serializers.DateTimeField(help_text="Until then it may be served stale, or confirmed by the origin.")
    tags = serializers.ListField(child=serializers.CharField(), help_text="What ends it, besides its path and its API.")
    receipt = ReceiptSerializer(help_text="On how many workers older copies are gone.")


class WarmUpWords(Words):
    """What to warm up. Without ``urls`` and ``top``: what the API's policy says, else its hundred most called URLs."""

    urls = serializers.ListField(
        child=serializers.CharField(max_length=2000),
        required=False,
        max_length=1000,
        help_text="Paths like /items/1?lang=en, below the listen path or with it; or whole URLs as callers write them.",
    )
    top = serializers.IntegerField(
        required=False, min_value=0, help_text="So many of the last day's most called URLs, without their queries."
    )
    rate = serializers.CharField(required=False, help_text="Calls at most, like 10/s or 30/m.")
    headers = serializers.DictField(
        child=serializers.CharField(), required=False, help_text="Request headers to send, by name."
    )


class WarmUpSerializer(WarmUpWords, ObjectWords):
    """A warm-up and how far it is."""

    api = serializers.CharField(source="api_slug", read_only=True)
    rate = serializers.CharField(required=False, help_text="Calls at most, like 10/s or 30/m.")
    actor = serializers.CharField(source="actor_email", read_only=True)
    problems = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField()),
        read_only=True,
        help_text="[URL, why it isn't stored] of the first of them.",
    )
    percent = serializers.IntegerField(read_only=True)
    is_over = serializers.BooleanField(read_only=True)
    sentence = serializers.CharField(read_only=True)

    class Meta:
        model = WarmUp
        fields = (
            *("id", "api", "cause", "urls", "top", "rate", "headers", "state", "percent", "is_over", "sentence"),
            *("total", "done", "stored", "fresh", "passed", "failed", "problems", "note"),
            *("actor", "created_at", "started_at", "ended_at"),
        )
        read_only_fields = (
            *("cause", "state", "total", "done", "stored", "fresh", "passed", "failed", "note"),
            *("created_at", "started_at", "ended_at"),
        )

    def to_representation(self, instance: WarmUp) -> dict[str, Any]:
        """As it stands; the rate in the form in which it is written."""
        shown = super().to_representation(instance)
        return shown | {"rate": instance.pace}

    def create(self, validated_data: dict[str, Any]) -> WarmUp:
        """Queue it; a worker begins within seconds."""
        return services.warm_up_start(actor=self.caller, api=self.context["api"], **validated_data)
