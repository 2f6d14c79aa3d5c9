"""APIs as the REST API shows and takes them: in the declarative file's words, by the code that ``apply`` reads with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.caching.api.words import CacheWords
from apps.catalog import document, hosts, services
from apps.catalog import settings as kinds
from apps.catalog.choices import SERVED, APIState, Transition
from apps.catalog.document import Parsed
from apps.catalog.models import API, SETTINGS, HostName, Operation, Revision, Upstream
from apps.catalog.selectors import apis_configured_by, revision_document_for
from apps.catalog.services.revisions import private_upstreams
from apps.foundation.declared_settings import Kind
from apps.rest.fields import NameField, PersonField
from apps.rest.receipts import WithReceipt
from apps.rest.serializers import CommentSerializer, DocumentWords, ObjectWords
from apps.tenants.selectors import tenants_visible_to
from apps.wire.host_names import is_wildcard
from apps.wire.snapshot import PROOF_PATH

#: What users who may ask for access see of an API; the rest is its configuration.
CATALOGUE = {"slug", "tenant", "published", "deprecated"} | {
    name for name, setting in SETTINGS.items() if setting.in_catalogue
}


class UpstreamWords(serializers.Serializer):
    """One address that answers for an API."""

    url = serializers.CharField()
    weight = serializers.IntegerField(required=False, default=1, min_value=0)
    ca = serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="Certificates in PEM that alone vouch for it; without: the usual ones.",
    )


class HeaderWords(serializers.Serializer):
    """Headers to set and to remove."""

    set = serializers.DictField(child=serializers.CharField(), required=False)
    remove = serializers.ListField(child=serializers.CharField(), required=False)


class OperationScopesWords(serializers.Serializer):
    """Scopes that a token needs for some calls, besides the API's own."""

    methods = serializers.ListField(child=serializers.CharField(), required=False, help_text="None: all.")
    path = serializers.CharField(help_text="Below the listen path, like /items/{id} or /admin/**.")
    required_scopes = serializers.ListField(child=serializers.CharField())


class TokenRulesWords(serializers.Serializer):
    """Which tokens are taken. Meant whole: what it doesn't name is empty."""

    issuers = serializers.ListField(child=serializers.CharField(), required=False, help_text="Slugs of issuers.")
    required_scopes = serializers.ListField(child=serializers.CharField(), required=False, help_text="All of them.")
    required_claims = serializers.DictField(
        child=serializers.ListField(child=serializers.JSONField()),
        required=False,
        help_text="By name of a claim, the values of which a token has one.",
    )
    operations = OperationScopesWords(many=True, required=False)


def _texts(**options: Any) -> serializers.Field:
    return serializers.ListField(child=serializers.CharField(), **options)


def _rules(**options: Any) -> serializers.Field:
    return serializers.ListField(child=serializers.DictField(child=serializers.CharField()), **options)


#: kind of setting -> its field of the schema
_FIELDS: dict[Kind, Callable[..., serializers.Field]] = {
    kinds.TEXT: serializers.CharField,
    kinds.CHOICE: serializers.CharField,
    kinds.DURATION: serializers.CharField,
    kinds.SWITCH: serializers.BooleanField,
    kinds.COUNT: serializers.IntegerField,
    kinds.TEXTS: _texts,
    kinds.WORDS: _texts,
    kinds.PLANS: _texts,
    kinds.AUTHENTICATION: _texts,
    kinds.HEADER_RULES: HeaderWords,
    kinds.REWRITES: _rules,
    kinds.TOKEN_RULES: TokenRulesWords,
}


def _fields(inside: str) -> dict[str, serializers.Field]:
    """A field of the schema for each setting, or for those of an object in the document."""
    fields = {}
    for name, setting in SETTINGS.items():
        head, _, word = setting.path.rpartition(".")
        if head == inside:
            required = not (inside or setting.column.has_default() or setting.column.blank or name == "name")
            options = {"help_text": setting.description} if setting.description else {}
            fields[word] = _FIELDS[setting.kind](required=required, **options)
    return fields


class _Words(serializers.Serializer):
    """Settings that stand in an object of the document."""

    inside = ""

    def get_fields(self) -> dict[str, serializers.Field]:
        """One for each."""
        return _fields(self.inside)


class TimeoutWords(_Words):
    """How long the gateway waits for an upstream."""

    inside = "timeouts"


class ConcurrencyWords(_Words):
    """How many calls to its upstreams each gateway worker makes at once."""

    inside = "concurrency"


class ValidationWords(_Words):
    """How calls are held against the OpenAPI document, and the bounds of JSON bodies then."""

    inside = "validation"


class APISerializer(WithReceipt, DocumentWords):
    """An API in the words of the declarative file. The fields below are for the schema; ``apps.catalog.document`` reads."""

    fixed = frozenset({"slug", "tenant"})
    slug = serializers.SlugField(max_length=64, help_text="Set at creation; never changes.")
    tenant = serializers.SlugField(help_text="Who owns it. Set at creation.")
    published = serializers.BooleanField(required=False)
    deprecated = serializers.BooleanField(required=False)
    upstreams = UpstreamWords(many=True, required=False)
    timeouts = TimeoutWords(required=False)
    concurrency = ConcurrencyWords(required=False)
    validation = ValidationWords(required=False)
    cache = CacheWords(required=False)
    sensitivity = serializers.CharField(required=False, help_text="public, internal, personal or secret.")
    comment = serializers.CharField(write_only=True, required=False, help_text="Said with this change.")
    expected_revision = serializers.IntegerField(
        write_only=True, required=False, help_text="409 unless this is the newest revision still."
    )
    state = serializers.ChoiceField(APIState.choices, read_only=True)
    revision = serializers.IntegerField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)
    published_at = serializers.DateTimeField(read_only=True, allow_null=True)

    OWN = ("state", "revision", "created_at", "updated_at", "published_at")

    def get_fields(self) -> dict[str, serializers.Field]:
        """Those below, and one for each setting."""
        return super().get_fields() | _fields("")

    def to_representation(self, instance: API) -> dict[str, Any]:
        """Its document, or what the catalogue tells of it, and where it is in its life."""
        words = document.to_document(instance)
        if not getattr(instance, "configurable", False):
            words = {name: value for name, value in words.items() if name in CATALOGUE}
        elif not getattr(instance, "editable", False):
            words = document.without_secrets(words)
        own = {name: self.fields[name] for name in (*self.OWN, "receipt") if hasattr(instance, name)}
        for name, field in own.items():
            value = getattr(instance, name)
            words[name] = None if value is None else field.to_representation(value)
        return words

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """The document that the body is, and what stands beside one."""
        told, found, errors = self.take(data)
        for name in ("comment", "expected_revision"):
            if name in told:
                try:
                    found[name] = self.fields[name].run_validation(told.pop(name))
                except serializers.ValidationError as refusal:
                    errors[name] = refusal.detail
        if "tenant" in found:
            slug = found["tenant"]
            found["tenant"] = tenants_visible_to(self.caller).filter(slug=slug).first()
            if found["tenant"] is None:
                errors["tenant"] = [f"There is no {slug!r}, or you may not see it."]
        try:
            found["document"] = document.read_document(told)
        except ValidationError as refusal:
            errors |= refusal.message_dict
        if errors:
            raise serializers.ValidationError(errors)
        return found

    def create(self, validated_data: dict[str, Any]) -> API:
        """A new API, published too if the document says so; or nothing of it."""
        parsed: Parsed = validated_data.pop("document")
        validated_data.pop("expected_revision", None)
        private = private_upstreams(self.caller, validated_data["tenant"], parsed.upstreams)
        with in_document_words(), transaction.atomic():
            api = services.api_create(
                actor=self.caller,
                upstreams=parsed.upstreams or [],
                policy=parsed.policy,
                private=private,
                **validated_data,
                **parsed.fields,
            )
            return self._live(api, parsed, validated_data.get("comment", ""))

    def update(self, instance: API, validated_data: dict[str, Any]) -> API:
        """Change what the document names, in one."""
        parsed: Parsed = validated_data.pop("document")
        private = private_upstreams(self.caller, instance.tenant, parsed.upstreams, instance)
        with in_document_words(), transaction.atomic():
            api = services.api_update(
                actor=self.caller,
                api=instance,
                upstreams=parsed.upstreams,
                policy=parsed.policy,
                private=private,
                **validated_data,
                **parsed.fields,
            )
            return self._live(api, parsed, validated_data.get("comment", ""))

    def _live(self, api: API, parsed: Parsed, comment: str) -> API:
        """Take the API to where the document wants it in its life."""
        for step in steps_towards(APIState(api.state), published=parsed.published, deprecated=parsed.deprecated):
            api = services.api_transition(actor=self.caller, api=api, transition=step, comment=comment)
        return api


def steps_towards(state: APIState, *, published: bool | None, deprecated: bool | None) -> list[Transition]:
    """What takes an API from ``state`` to what a document says; ``None``: it doesn't say."""
    if published is False:
        return [Transition.UNPUBLISH] if state in SERVED else []
    steps = []
    if (published and state not in SERVED) or (deprecated is False and state == APIState.DEPRECATED):
        steps.append(Transition.PUBLISH)
        state = APIState.PUBLISHED
    if deprecated and state == APIState.PUBLISHED:
        steps.append(Transition.DEPRECATE)
    return steps


@contextmanager
def in_document_words() -> Iterator[None]:
    """Have a service's errors name the words of the document rather than the model's fields."""
    try:
        yield
    except ValidationError as refusal:
        raise document.in_document_words(refusal) from None


class UpstreamSerializer(WithReceipt, ObjectWords):
    """One address that answers for an API; ``weight`` is its share of the calls."""

    fixed = frozenset({"api"})
    api = NameField(visible=apis_configured_by)

    class Meta:
        model = Upstream
        fields = ["id", "api", "url", "weight", "ca", "receipt"]

    def create(self, validated_data: dict[str, Any]) -> Upstream:
        """One more."""
        return services.upstream_add(actor=self.caller, **validated_data)

    def update(self, instance: Upstream, validated_data: dict[str, Any]) -> Upstream:
        """Another address or share, or other certificates."""
        return services.upstream_update(actor=self.caller, upstream=instance, **validated_data)


class OperationSerializer(serializers.ModelSerializer):
    """A method and path template of an API."""

    class Meta:
        model = Operation
        fields = ["method", "path", "operation_id", "summary", "description", "deprecated", "parameters"]


class RevisionSerializer(serializers.ModelSerializer):
    """A saved configuration of an API."""

    author = PersonField(allow_null=True)
    document = serializers.SerializerMethodField()

    class Meta:
        model = Revision
        fields = ["number", "document", "comment", "author", "created_at"]

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_document(self, revision: Revision) -> dict[str, Any]:
        """The values of header rules are for those who may change the API."""
        return revision_document_for(self.context["request"].user, revision)


class RollBackSerializer(CommentSerializer):
    """Which revision to take up again, as a new one."""

    number = serializers.IntegerField(min_value=1)


class WarningSerializer(serializers.Serializer):
    """What of a document isn't as OpenAPI has it. It was imported all the same."""

    message = serializers.CharField()
    pointer = serializers.CharField(help_text="JSON Pointer into the document, like #/paths/~1items/get.")
    line = serializers.IntegerField(allow_null=True, help_text="In its text, from 1.")
    column = serializers.IntegerField(allow_null=True, help_text="From 1.")


class ImportedSerializer(WithReceipt, serializers.Serializer):
    """What an OpenAPI document described."""

    operations = serializers.IntegerField(help_text="One per path and method.")
    added = serializers.IntegerField()
    removed = serializers.IntegerField()
    warnings = WarningSerializer(many=True, help_text="At most 100, and a last one that says so where there are more.")


class HostRecordSerializer(serializers.Serializer):
    """The DNS record that proves a host name."""

    type = serializers.CharField()
    name = serializers.CharField()
    value = serializers.CharField()


class HostFileSerializer(serializers.Serializer):
    """The file that proves one, on the host itself."""

    path = serializers.CharField()
    line = serializers.CharField()


class HostSerializer(WithReceipt, ObjectWords):
    """A host name of a tenant, and what proves it while it is pending."""

    tenant = NameField(visible=tenants_visible_to)
    record = serializers.SerializerMethodField()
    file = serializers.SerializerMethodField()

    class Meta:
        model = HostName
        fields = [
            "id",
            "host",
            "tenant",
            "state",
            "method",
            "record",
            "file",
            "created_at",
            "proved_at",
            "checked_at",
            "finding",
        ]
        fields += ["receipt"]
        read_only_fields = ["state", "method", "created_at", "proved_at", "checked_at", "finding"]

    @extend_schema_field(HostRecordSerializer)
    def get_record(self, name: HostName) -> dict[str, str]:
        """What to put into the DNS."""
        return {"type": "TXT", "name": hosts.record_name(name.host), "value": hosts.proof(name.tenant, name.host)}

    @extend_schema_field(HostFileSerializer(allow_null=True))
    def get_file(self, name: HostName) -> dict[str, str] | None:
        """Or what to serve there; not for a wildcard, which only the record proves."""
        if is_wildcard(name.host):
            return None
        return {"path": PROOF_PATH, "line": hosts.proof(name.tenant, name.host)}

    def create(self, validated_data: dict[str, Any]) -> HostName:
        """Claim it."""
        return services.host_claim(actor=self.caller, **validated_data)


class GrantSerializer(CommentSerializer):
    """Which host name a tenant gets without a proof."""

    host = serializers.CharField(max_length=253)
    tenant = NameField(visible=tenants_visible_to)
