"""Forms about APIs."""

from typing import Any

from django import forms
from django.db.models import QuerySet

from apps.access.models import Introspection, Issuer, Plan
from apps.caching.choices import CacheMode, PurgeKind
from apps.catalog import settings as kinds
from apps.catalog.choices import AUTHENTICATION, Approval
from apps.catalog.models import API, SETTINGS
from apps.catalog.settings import APISetting, Tab
from apps.console.call_examples import TOKENS
from apps.console.forms.declared import USUAL, FieldsByKind, field_of
from apps.console.forms.fields import (
    APIField,
    ClaimsField,
    ConsoleForm,
    DurationField,
    HeadersField,
    NamedForm,
    OperationScopesField,
    OrderedField,
    RewritesField,
    SluggedForm,
    WordsField,
    by_name,
    helped,
    needed,
    text_area,
)
from apps.gateway.pipeline.authenticators.api_key import APIKeys
from apps.tenants.models import Tenant

LARGEST_DOCUMENT = 5 * 2**20
MIB = 2**20


class TenantField(forms.ModelChoiceField):
    """Which of the reader's tenants; the only one is chosen already."""

    def __init__(self, **options: Any) -> None:
        super().__init__(queryset=Tenant.objects.none(), to_field_name="slug", empty_label="Choose a tenant", **options)

    def offer(self, tenants: QuerySet[Tenant]) -> None:
        """Let the reader choose from these."""
        self.queryset = tenants
        found = list(tenants[:2])
        if len(found) == 1:
            self.initial = found[0].slug
            self.empty_label = None


def with_slashes(typed: str) -> str:
    """A listen path as it was meant: a word alone is between slashes, and what begins with one is as it was written."""
    return typed if typed.startswith("/") else f"/{typed.strip('/')}/".replace("//", "/")


class RegisterForm(NamedForm):
    """The least that makes an API, the rest with good defaults."""

    field_order = ["name", "listen_path", "upstream_url", "tenant", "slug"]

    name = forms.CharField(max_length=120, help_text="What its callers know it by.")
    listen_path = helped(
        forms.CharField(
            max_length=200,
            help_text="Where the gateway serves it, like /products/, or /graphql for an endpoint. The longest prefix wins.",
        ),
        "listen-path",
    )
    upstream_url = helped(
        forms.CharField(
            max_length=500,
            label="Upstream",
            help_text="The http(s) address that answers. What follows the listen path is appended.",
        ),
        "upstream",
    )
    tenant = TenantField(label="Owner", help_text="The tenant whose members look after it.")
    summary = forms.CharField(required=False, max_length=200, help_text="One line for the catalogue.")
    tags = WordsField(separators=",", help_text="Separated by commas.")
    authentication = helped(
        forms.ChoiceField(
            choices=[(word, label) for word, label in AUTHENTICATION.items() if word not in TOKENS],
            initial=APIKeys.word,
            label="Callers",
            help_text="How they say who they are. Tokens, and several ways: in its settings.",
        ),
        "authentication",
    )
    approval = helped(
        forms.ChoiceField(
            choices=Approval.choices,
            initial=Approval.MANUAL,
            label="Access requests",
            help_text="Who decides when a tenant asks for access.",
        ),
        "approval",
    )
    mode = helped(
        forms.ChoiceField(
            choices=CacheMode.choices,
            initial=CacheMode.ORIGIN,
            label="Cache",
            help_text="Who decides how long a response is fresh.",
        ),
        "cache-mode",
    )
    ttl = DurationField(initial=60.0, label="TTL", help_text="Used where the choice above says so, like 60s or 15m.")

    def __init__(self, *args: Any, tenants: QuerySet[Tenant], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tenant"].offer(tenants)  # type: ignore[attr-defined]

    def others(self) -> QuerySet:
        """All APIs."""
        return API.objects.all()

    def clean_listen_path(self) -> str:
        """With the slashes that people leave out."""
        return with_slashes(self.cleaned_data["listen_path"])


def _text(setting: APISetting, **options: Any) -> forms.Field:
    return forms.CharField(max_length=setting.column.max_length, **options)


def _authentication(_: APISetting, **options: Any) -> forms.Field:
    return OrderedField(choices=[*AUTHENTICATION.items()], **options)


#: kind of setting -> its field. Header rules have fields of their own.
_FIELDS: FieldsByKind = {
    **USUAL,
    kinds.TEXT: _text,
    kinds.TEXTS: lambda _, **options: WordsField(**options),
    kinds.WORDS: lambda _, **options: WordsField(separators=",", **options),
    kinds.PLANS: lambda _, **options: forms.MultipleChoiceField(widget=forms.CheckboxSelectMultiple, **options),
    kinds.AUTHENTICATION: _authentication,
    kinds.REWRITES: lambda _, **options: RewritesField(**options),
}


def _fields(tab: Tab) -> dict[str, forms.Field]:
    """The fields of the settings that stand on a tab."""
    settings = [each for each in SETTINGS.values() if each.group is tab and each.kind in _FIELDS]
    return {each.name: field_of(each, _FIELDS) for each in settings}


class RevisionForm(ConsoleForm):
    """What makes a new revision of an API: some of its settings, and why they change."""

    comment = forms.CharField(
        required=False, max_length=300, label="What changes, and why", help_text="For the revision."
    )
    expected_revision = forms.IntegerField(widget=forms.HiddenInput)

    @classmethod
    def initial_of(cls, api: API) -> dict[str, Any]:
        """What the form shows of ``api``."""
        shown = {name: getattr(api, name) for name in SETTINGS.keys() & cls.base_fields.keys()}
        return shown | {"expected_revision": api.revision}


class SettingsForm(RevisionForm):
    """What an API is, and who may call it how."""

    token_issuers = helped(
        forms.MultipleChoiceField(
            required=False,
            label="Issuers",
            widget=forms.CheckboxSelectMultiple,
            help_text="Whose tokens are taken.",
        ),
        "token-rules",
    )
    token_scopes = WordsField(label="Scopes", help_text="A token needs all of them. Separated by commas or spaces.")
    token_claims = ClaimsField(
        label="Claims", help_text="One per line, like tier: gold, silver; a token needs one of the values of each."
    )
    token_operations = OperationScopesField(
        label="Scopes of operations",
        help_text="One rule per line, like POST, PUT /orders/** -> orders.write: needed for these calls besides.",
    )

    introspection = helped(
        forms.ChoiceField(
            required=False, label="Introspection server", help_text="Which server is asked about opaque tokens."
        ),
        "introspection",
    )

    #: where what the service refuses stands in the form
    PLACES = {
        "jwt.issuers": "token_issuers",
        "jwt.required_scopes": "token_scopes",
        "jwt.required_claims": "token_claims",
        "jwt.operations": "token_operations",
        "jwt": "token_issuers",
    }

    def __init__(
        self,
        *args: Any,
        may_forward: bool,
        plans: QuerySet[Plan],
        issuers: QuerySet[Issuer],
        introspections: QuerySet[Introspection],
        **kwargs: Any,
    ) -> None:
        """``plans``, ``issuers`` and ``introspections`` are those that the API may name; what is chosen already stays a choice."""
        super().__init__(*args, **kwargs)
        self.fields["forward_credential"].disabled = not may_forward
        for name in ("plans", "automatic_plans"):
            self._offer(name, {plan.slug: str(plan) for plan in plans})
        self._offer("token_issuers", {each.slug: f"{each.slug}: {each.issuer}" for each in issuers})
        self._offer("introspection", {each.slug: each.slug for each in introspections}, none="None")

    def _offer(self, name: str, known: dict[str, str], none: str = "") -> None:
        chosen = self.initial.get(name) or ()
        others = {slug: slug for slug in ((chosen,) if isinstance(chosen, str) else chosen) if slug not in known}
        field: Any = self.fields[name]
        field.choices = [*([("", none)] if none else ()), *(known | others).items()]

    @classmethod
    def initial_of(cls, api: API) -> dict[str, Any]:
        """What the form shows of ``api``."""
        rules = api.jwt
        return super().initial_of(api) | {
            "token_issuers": rules["issuers"],
            "token_scopes": rules["required_scopes"],
            "token_claims": rules["required_claims"],
            "token_operations": rules["operations"],
        }

    def arguments(self) -> dict[str, Any]:
        """What ``api_update`` gets."""
        data = dict(self.cleaned_data)
        data["jwt"] = {
            "issuers": data.pop("token_issuers"),
            "required_scopes": data.pop("token_scopes"),
            "required_claims": data.pop("token_claims"),
            "operations": data.pop("token_operations"),
        }
        return data

    def took(self, name: str, errors: list[str]) -> bool:
        """Put what the service refuses of the token rules, like ``jwt.operations.0.path``, beside the field that it is in."""
        for place, field in self.PLACES.items():
            if name == place or name.startswith(f"{place}."):
                inside = name.removeprefix(place).strip(".").partition(".")[0]
                where = f"Line {int(inside) + 1}: " if inside.isdecimal() else f"{inside}: " if inside else ""
                self.add_error(field, [f"{where}{error}" for error in errors])
                return True
        return False


SettingsForm.base_fields = _fields(Tab.SETTINGS) | SettingsForm.base_fields


class TrafficForm(RevisionForm):
    """How calls reach the upstreams."""

    body_mib = forms.FloatField(min_value=0, label=SETTINGS["body_limit"].label, help_text=SETTINGS["body_limit"].help)
    set_request_headers = HeadersField(
        label="Set on the way to the upstream", help_text="One Name: value per line; replaces what the caller sent."
    )
    remove_request_headers = WordsField(label="Remove from requests", help_text="Names, separated by commas.")
    set_response_headers = HeadersField(label="Set on responses", help_text="One Name: value per line.")
    remove_response_headers = WordsField(label="Remove from responses", help_text="Names, separated by commas.")

    #: a service's field -> the form's
    NAMES = {
        "body_limit": "body_mib",
        "request_headers": "set_request_headers",
        "response_headers": "set_response_headers",
    }

    @classmethod
    def shown_of(cls, api: API, document: dict[str, Any]) -> dict[str, Any]:
        """What the form shows of ``api``; its header rules as the reader may see them, from ``document_for``."""
        requests, answers = document["request_headers"], document["response_headers"]
        return cls.initial_of(api) | {
            "body_mib": f"{api.body_limit / MIB:g}",
            "set_request_headers": requests["set"],
            "remove_request_headers": requests["remove"],
            "set_response_headers": answers["set"],
            "remove_response_headers": answers["remove"],
        }

    def arguments(self) -> dict[str, Any]:
        """What ``api_update`` gets."""
        data = self.cleaned_data
        own = {name: value for name, value in data.items() if name in RevisionForm.base_fields or name in SETTINGS}
        return own | {
            "body_limit": round(data["body_mib"] * MIB),
            "request_headers": {"set": data["set_request_headers"], "remove": data["remove_request_headers"]},
            "response_headers": {"set": data["set_response_headers"], "remove": data["remove_response_headers"]},
        }


TrafficForm.base_fields = {
    name: field for name, field in _fields(Tab.TRAFFIC).items() if name != "body_limit"
} | TrafficForm.base_fields


class UpstreamForm(ConsoleForm):
    """One upstream of several; an empty row is none."""

    url = forms.CharField(
        required=False, max_length=500, label="Address", widget=forms.TextInput({"spellcheck": "false"})
    )
    weight = forms.IntegerField(required=False, min_value=1, max_value=1000, initial=1, label="Share")
    ca = forms.CharField(
        required=False,
        label="Certificates",
        help_text="In PEM. Only these vouch for it then, in place of the authorities that the gateways trust.",
        widget=text_area(6),
    )


UpstreamFormSet = forms.formset_factory(UpstreamForm, extra=2, max_num=100)


class DocumentationForm(RevisionForm):
    """What callers read."""

    documentation = forms.CharField(required=False, widget=text_area(14), help_text=SETTINGS["documentation"].help)


class DocumentForm(ConsoleForm):
    """An OpenAPI document to read."""

    document = forms.FileField(
        label="OpenAPI document",
        help_text="OpenAPI 3 or Swagger 2, as JSON or YAML, up to 5 MiB. References outside it are not followed.",
        widget=forms.ClearableFileInput({"accept": ".json,.yaml,.yml,application/json,application/yaml"}),
    )

    def clean_document(self) -> bytes:
        """The file's bytes."""
        uploaded = self.cleaned_data["document"]
        if uploaded.size > LARGEST_DOCUMENT:
            raise forms.ValidationError("This file is larger than 5 MiB.")
        return bytes(uploaded.read())


class NewFromDocumentForm(SluggedForm, DocumentForm):
    """A new API out of an OpenAPI document, whose title the service makes its slug of."""

    field_order = ["document", "tenant", "slug", "listen_path", "upstream_url"]

    tenant = TenantField(label="Owner", help_text="The tenant whose members look after it.")
    listen_path = forms.CharField(
        required=False, max_length=200, help_text="Where the gateway serves it; made of the title if empty."
    )
    upstream_url = forms.CharField(
        required=False,
        max_length=500,
        label="Upstream",
        help_text="The document's first server if empty. The path of one without a host, like /v3, is added.",
    )

    def __init__(self, *args: Any, tenants: QuerySet[Tenant], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tenant"].offer(tenants)  # type: ignore[attr-defined]
        self.fields["slug"].help_text = "For addresses and files; made of the title if empty."

    def clean_listen_path(self) -> str | None:
        """With the slashes that people leave out."""
        typed = self.cleaned_data["listen_path"]
        return with_slashes(typed) if typed.strip("/") else None


class CommentForm(ConsoleForm):
    """A step with a word about it. ``readers``: whom a notification brings it to, beside the audit log."""

    comment = forms.CharField(required=False, max_length=300, label="Why", help_text="For the audit log.")

    def __init__(self, *args: Any, readers: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if readers:
            self.fields["comment"].help_text = f"For the audit log, and for {readers}, who are notified."


class ConfirmForm(ConsoleForm):
    """A step that can't be undone: the thing's name is typed."""

    confirm = forms.CharField(label="Name")

    def __init__(self, *args: Any, name: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = name
        self.fields["confirm"].label = f"Type {name} to go on"

    def clean_confirm(self) -> str:
        """The same name."""
        if self.cleaned_data["confirm"].strip() != self.name:
            raise forms.ValidationError(f"Type {self.name}, exactly.")
        return self.name

    def arguments(self) -> dict[str, Any]:
        """The name was for us."""
        return {}


class PurgeForm(ConsoleForm):
    """What to purge of one API."""

    kind = forms.ChoiceField(choices=PurgeKind.choices, label="What", widget=forms.RadioSelect, initial=PurgeKind.API)
    value = needed(
        forms.CharField(
            required=False,
            max_length=2000,
            label="Path, prefix or tag",
            help_text="Like /items/7 (below the listen path), a tag, GET /items/{id}, the tenant acme or the application acme/bot.",
        ),
        "needed, but for the whole API",
    )
    soft = forms.BooleanField(
        required=False,
        label="Soft",
        help_text="Entries become stale rather than dead: they may stand in while one call refreshes.",
    )
    warm_up = helped(
        forms.BooleanField(
            required=False,
            label="Warm up afterwards",
            help_text="Fetch what the policy names, else the most called URLs, before callers ask again.",
        ),
        "warm-up",
    )

    def arguments(self) -> dict[str, Any]:
        """Of the purge alone."""
        return {name: value for name, value in self.cleaned_data.items() if name != "warm_up"}


class PurgeAnyForm(PurgeForm):
    """What to purge, of which API."""

    api = APIField(API.objects.none(), empty_label="Choose an API")
    field_order = ["api", "kind", "value", "soft", "warm_up"]

    def __init__(self, *args: Any, apis: QuerySet[API], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["api"].queryset = by_name(apis)  # type: ignore[attr-defined]
