"""Plans, applications, keys, access requests and subscriptions as the REST API shows and takes them."""

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ValidationError
from rest_framework import serializers

from apps.access import selectors, services
from apps.access.choices import CredentialKind
from apps.access.document import plan_document, read_plan
from apps.access.models import AccessRequest, Application, Credential, Plan, RequestComment, Subscription
from apps.access.policies import can_manage_plans
from apps.access.services.key_bounds import BOUNDS
from apps.catalog.selectors import apis_visible_to
from apps.foundation import field_names
from apps.rest.fields import ApplicationField, NameField, PersonField, application_name
from apps.rest.receipts import ReceiptSerializer, WithReceipt
from apps.rest.serializers import CommentSerializer, DocumentWords, ObjectWords, Words
from apps.tenants.selectors import tenants_visible_to


class PlanSerializer(WithReceipt, DocumentWords):
    """A plan in the words of the declarative file. The fields are for the schema; ``apps.access.document`` reads."""

    fixed = frozenset({"slug"})
    slug = serializers.SlugField(max_length=64, help_text="Set at creation; never changes.")
    name = serializers.CharField(required=False)
    description = serializers.CharField(required=False)
    rate_limit = serializers.CharField(required=False, allow_null=True, help_text="Like 100/s or 1000/h.")
    burst = serializers.IntegerField(required=False, allow_null=True, help_text="Calls at once.")
    quota = serializers.CharField(required=False, allow_null=True, help_text="Like 1000000/month.")
    charge_failures = serializers.BooleanField(required=False)
    trust_lease = serializers.CharField(
        required=False, allow_null=True, help_text="How long known keys work while Redis is away; null: the default."
    )
    tenants = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="Slugs of the only tenants that may ask for it; empty: all. Administrators alone see them.",
    )

    def to_representation(self, instance: Plan) -> dict[str, Any]:
        """Its document. Whom a plan is for is no business of the others whom it is for."""
        document = plan_document(instance)
        if not can_manage_plans(self.caller):
            del document["tenants"]
        if hasattr(instance, "receipt"):
            document["receipt"] = ReceiptSerializer(instance.receipt).data
        return document

    def to_internal_value(self, data: Any) -> Any:
        """The plan's fields that the body names."""
        told, fields, errors = self.take(data)
        try:
            fields |= read_plan(told)
        except ValidationError as refusal:
            errors |= refusal.message_dict
        if errors:
            raise serializers.ValidationError(errors)
        return fields

    def create(self, validated_data: dict[str, Any]) -> Plan:
        """A new plan."""
        return services.plan_create(actor=self.caller, **({"name": validated_data["slug"]} | validated_data))

    def update(self, instance: Plan, validated_data: dict[str, Any]) -> Plan:
        """Change what is named, for everybody who has this plan."""
        return services.plan_update(actor=self.caller, plan=instance, **validated_data)


class ApplicationSerializer(WithReceipt, ObjectWords):
    """A program of a tenant; ``id`` is what other objects name it by."""

    fixed = frozenset({"tenant", "slug"})
    id = serializers.SerializerMethodField()
    tenant = NameField(visible=tenants_visible_to)

    class Meta:
        model = Application
        fields = ["id", "tenant", "slug", "name", "description", "created_at", "receipt"]

    def get_id(self, application: Application) -> str:
        """``acme/bot``."""
        return application_name(application)

    def create(self, validated_data: dict[str, Any]) -> Application:
        """A new application."""
        return services.application_create(actor=self.caller, **validated_data)

    def update(self, instance: Application, validated_data: dict[str, Any]) -> Application:
        """Another name or description."""
        return services.application_update(actor=self.caller, application=instance, **validated_data)


class KeyOperationSerializer(Words):
    """Calls that a key is good for."""

    path = serializers.CharField(max_length=500, help_text="Below the listen path, like /items/{id} or /items/**.")
    methods = serializers.ListField(
        child=serializers.CharField(max_length=16), required=False, help_text="Without them: all."
    )


class KeySerializer(WithReceipt, ObjectWords):
    """What an application is known by: an API key, or by ``kind`` a client ID in tokens, a certificate, a key that signs requests.
    ``secret`` is in the response to a key's creation and nowhere else, ever.
    """

    fixed = frozenset(
        {"application", "kind", "name", "identifier", "issuer", "introspection", "expires_at", "secret", "certificate"}
    )
    application = ApplicationField(visible=selectors.applications_visible_to)
    kind = serializers.ChoiceField(CredentialKind.choices, required=False, default=CredentialKind.API_KEY)
    name = serializers.CharField(max_length=64, required=False, help_text="Needed of a key; a client ID has its own.")
    issuer = NameField(
        visible=selectors.issuers_visible_to,
        required=False,
        allow_null=True,
        help_text="Of a client ID: the tenant's issuer that knows it; null: the platform's issuers.",
    )
    introspection = NameField(
        visible=selectors.introspections_visible_to,
        required=False,
        allow_null=True,
        help_text="Of a client ID: the tenant's introspection server that knows it, in place of an issuer.",
    )
    api = NameField(allow_null=True)
    apis = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        allow_null=True,
        help_text="Slugs of the only APIs that it is good for; null: all that its application may call.",
    )
    methods = serializers.ListField(
        child=serializers.CharField(max_length=16),
        required=False,
        allow_null=True,
        help_text="The only methods that it is good for, like GET; null: any.",
    )
    operations = KeyOperationSerializer(
        many=True,
        required=False,
        allow_null=True,
        help_text="The only operations that it is good for; null: any.",
    )
    addresses = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        allow_null=True,
        help_text="Networks of the only clients that may use it, like 10.0.0.0/8; null: any.",
    )
    successor = serializers.IntegerField(
        source="successor_id", read_only=True, allow_null=True, help_text="The key that replaces it."
    )
    secret = serializers.CharField(
        source="shown_secret",  # never the column, which holds what signing keys are checked with
        required=False,
        trim_whitespace=False,
        help_text="Leave it out and one is made, which is better. A given one is taken as it is.",
    )

    certificate = serializers.CharField(
        write_only=True, required=False, help_text="Of a certificate: itself, in PEM. What is kept is its fingerprint."
    )

    class Meta:
        model = Credential
        fields = [
            "id",
            "application",
            "kind",
            "name",
            "prefix",
            "identifier",
            "issuer",
            "introspection",
            "state",
            "api",
            *BOUNDS,
            "successor",
            "created_at",
            "expires_at",
            "revoked_at",
            "last_used_at",
            "secret",
            "certificate",
            "receipt",
        ]
        read_only_fields = ["prefix", "state", "revoked_at", "last_used_at"]

    def create(self, validated_data: dict[str, Any]) -> Credential:
        """A new one of its kind, or the given one."""
        make = _MAKERS[validated_data.pop("kind")]
        if "shown_secret" in validated_data:
            validated_data["secret"] = validated_data.pop("shown_secret")
        return make(self.caller, validated_data)

    def update(self, instance: Credential, validated_data: dict[str, Any]) -> Credential:
        """What it is good for."""
        bounds = {name: validated_data[name] for name in BOUNDS if name in validated_data}
        return services.key_update(actor=self.caller, key=instance, **bounds)


def _make_key(actor: Any, fields: dict[str, Any]) -> Credential:
    _check_fields(fields, {"name"}, {"identifier", "issuer", "introspection", "certificate"})
    if "secret" not in fields:
        return shown_once(*services.key_create(actor=actor, **fields))
    return shown_once(services.key_import(actor=actor, **fields), fields["secret"])


def _add_client_id(actor: Any, fields: dict[str, Any]) -> Credential:
    _check_fields(fields, {"identifier"}, {"name", "secret", "certificate"})
    with _identifier_for("client_id"):
        return services.client_id_add(actor=actor, client_id=fields.pop("identifier"), **fields)


def _add_certificate(actor: Any, fields: dict[str, Any]) -> Credential:
    foreign = {"identifier", "issuer", "introspection", "secret", "expires_at"}
    _check_fields(fields, {"name", "certificate"}, foreign)
    return services.certificate_add(actor=actor, **fields)


def _make_signing_key(actor: Any, fields: dict[str, Any]) -> Credential:
    given = {"identifier", "secret"} & fields.keys()
    needed = {"name", "identifier", "secret"} if given else {"name"}
    _check_fields(fields, needed, {"issuer", "introspection", "certificate"})
    if not given:
        return shown_once(*services.signing_key_create(actor=actor, **fields))
    with _identifier_for("key_id"):
        imported = services.signing_key_import(actor=actor, key_id=fields.pop("identifier"), **fields)
    return shown_once(imported, fields["secret"])


@contextmanager
def _identifier_for(word: str) -> Iterator[None]:
    """Errors of what a service calls ``word`` under the field that it came in."""
    try:
        yield
    except ValidationError as refusal:
        found = {"identifier" if name == word else name: told for name, told in refusal.message_dict.items()}
        raise ValidationError(found) from None


def _check_fields(fields: Mapping[str, Any], needed: Set[str], foreign: Set[str]) -> None:
    """Refuse a body without what a kind of credential needs, or with what is another kind's."""
    errors = {name: ["This field is required."] for name in sorted(needed - fields.keys())}
    errors |= {name: ["This kind of credential has none."] for name in sorted(foreign & fields.keys())}
    if errors:
        raise serializers.ValidationError(errors)


_MAKERS: dict[str, Callable[[Any, dict[str, Any]], Credential]] = {
    CredentialKind.API_KEY: _make_key,
    CredentialKind.CLIENT_ID: _add_client_id,
    CredentialKind.CERTIFICATE: _add_certificate,
    CredentialKind.SIGNING_KEY: _make_signing_key,
}


def shown_once(key: Credential, secret: str) -> Credential:
    """The key with its secret on it, for the one response that shows it. What the row itself holds is never shown."""
    vars(key)["shown_secret"] = secret
    return key


class RotateSerializer(Words):
    """How a key is rotated."""

    overlap = serializers.CharField(required=False, default="24h", help_text="How long the old key works on, like 24h.")

    def validate_overlap(self, value: str) -> float:
        """In seconds."""
        try:
            return field_names.duration(value)
        except ValueError as refusal:
            raise serializers.ValidationError(str(refusal)) from None


class RequestCommentSerializer(serializers.ModelSerializer):
    """What was said with a step of an access request."""

    author = PersonField(allow_null=True)

    class Meta:
        model = RequestComment
        fields = ["author", "verb", "text", "created_at"]


class AccessRequestSerializer(WithReceipt, ObjectWords):
    """An application asks to call an API under a plan, or to change the plan of a running subscription."""

    fixed = frozenset({"application", "api", "submit"})
    application = ApplicationField(visible=selectors.applications_visible_to)
    api = NameField(visible=apis_visible_to)
    plan = NameField(visible=selectors.plans_visible_to)
    requested_by = PersonField(allow_null=True)
    decided_by = PersonField(allow_null=True)
    subscription = serializers.IntegerField(
        source="subscription_id",
        read_only=True,
        allow_null=True,
        help_text="The one it would change, or the one it led to.",
    )
    comments = RequestCommentSerializer(many=True, read_only=True)
    submit = serializers.BooleanField(write_only=True, required=False, default=True, help_text="False: a draft.")

    class Meta:
        model = AccessRequest
        fields = [
            "id",
            "application",
            "api",
            "plan",
            "reason",
            "state",
            "subscription",
            "requested_by",
            "decided_by",
            "created_at",
            "submitted_at",
            "decided_at",
            "expires_at",
            "comments",
            "submit",
            "receipt",
        ]
        read_only_fields = ["state", "submitted_at", "decided_at", "expires_at"]

    def create(self, validated_data: dict[str, Any]) -> AccessRequest:
        """Ask. An API that approves automatically has granted it when this returns."""
        return services.request_create(actor=self.caller, **validated_data)

    def update(self, instance: AccessRequest, validated_data: dict[str, Any]) -> AccessRequest:
        """Another reason or plan, while no decision is under way."""
        return services.request_update(actor=self.caller, access_request=instance, **validated_data)


class ApprovalSerializer(CommentSerializer):
    """What is said with an approval, and when the subscription ends."""

    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    submitted_at = serializers.DateTimeField(
        required=False,
        allow_null=True,
        default=None,
        help_text="That of the request as it was read: 409 if it was changed and handed in anew since then.",
    )


class NeededCommentSerializer(Words):
    """What is said with a decision that has to be explained."""

    comment = serializers.CharField(max_length=10_000, help_text="What the applicant reads.")


class SubscriptionSerializer(WithReceipt, ObjectWords):
    """An application's right to call an API under a plan."""

    fixed = frozenset({"application", "api", "expires_at"})
    application = ApplicationField(visible=selectors.applications_visible_to)
    api = NameField(visible=apis_visible_to)
    plan = NameField(visible=selectors.plans_visible_to)

    class Meta:
        model = Subscription
        fields = [
            "id",
            "application",
            "api",
            "plan",
            "state",
            "comment",
            "created_at",
            "changed_at",
            "expires_at",
            "receipt",
        ]
        read_only_fields = ["state", "comment"]

    def create(self, validated_data: dict[str, Any]) -> Subscription:
        """Grant access without a request: for those who decide requests."""
        return services.subscription_create(actor=self.caller, **validated_data)

    def update(self, instance: Subscription, validated_data: dict[str, Any]) -> Subscription:
        """Change the plan."""
        plan = validated_data.get("plan", instance.plan)
        return services.subscription_change_plan(actor=self.caller, subscription=instance, plan=plan)
