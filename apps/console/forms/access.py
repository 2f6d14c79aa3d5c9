"""Forms about applications, keys, plans, requests and subscriptions."""

from datetime import timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.utils import timezone

from apps.access.choices import QuotaPeriod
from apps.access.models import Application, Plan
from apps.access.offers import is_granted_automatically
from apps.access.services.key_bounds import operation_text
from apps.catalog.choices import Approval
from apps.catalog.models import API
from apps.console.forms.apis import TenantField
from apps.console.forms.fields import (
    ConsoleForm,
    DurationField,
    LinesField,
    MomentField,
    NamedForm,
    WordsField,
    helped,
    text_area,
)
from apps.tenants.models import Tenant


class ApplicationForm(ConsoleForm):
    """A program of a tenant."""

    name = forms.CharField(max_length=120, help_text="The program that will call APIs, like “Mobile shop”.")
    description = forms.CharField(required=False, widget=text_area(2))


class NewApplicationForm(NamedForm, ApplicationForm):
    """The same with what never changes afterwards."""

    tenant = TenantField()
    field_order = ["name", "tenant", "description", "slug"]

    def __init__(self, *args: Any, tenants: QuerySet[Tenant], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tenant"].offer(tenants)  # type: ignore[attr-defined]

    def others(self) -> QuerySet:
        """Those of the tenant."""
        return Application.objects.filter(tenant=self.cleaned_data.get("tenant"))


class KeyAPIsField(forms.ModelMultipleChoiceField):
    """The only APIs that a key is good for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            queryset=API.objects.none(),
            to_field_name="slug",
            required=False,
            label="Good for these APIs alone",
            help_text="None chosen: all that the application may call. A key that gets lost then opens no more than it must.",
            widget=forms.CheckboxSelectMultiple,
            **options,
        )


class KeyOperationsField(LinesField):
    """Operations, a line like ``GET,HEAD /items/{id}`` for each, or the path alone; its value is a list of ``{path, methods}``."""

    def prepare_value(self, value: Any) -> Any:
        """The operations, a line for each."""
        if not isinstance(value, list):
            return super().prepare_value(value)
        return super().prepare_value([operation_text(each) for each in value])

    def to_python(self, value: Any) -> Any:
        """The operations."""
        lines = [line.rpartition(" ") for line in super().to_python(value)]
        return [
            {"path": path} | ({"methods": methods.replace(",", " ").split()} if methods else {})
            for methods, _, path in lines
        ]


class KeyLimitsForm(ConsoleForm):
    """What a key is good for."""

    apis = KeyAPIsField()
    methods = WordsField(label="For these methods alone", help_text="Separated by commas, like GET, POST. Empty: any.")
    operations = KeyOperationsField(
        label="For these operations alone",
        help_text="A line for each, like GET /items/{id} or /search/**, below the listen path. Empty: any.",
    )
    addresses = WordsField(
        label="From these networks alone", help_text="Clients' addresses, like 10.0.0.0/8 or 192.0.2.7. Empty: any."
    )

    def __init__(self, *args: Any, apis: QuerySet[API], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["apis"]
        field.queryset = apis  # type: ignore[attr-defined]
        if not apis.exists():
            field.help_text = "The application may call no API yet: ask for access first, then limit the key."

    def clean_apis(self) -> list[str] | None:
        """Their slugs; ``None``: all."""
        return [api.slug for api in self.cleaned_data["apis"]] or None

    def clean_methods(self) -> list[str] | None:
        """``None``: any."""
        return self.cleaned_data["methods"] or None

    def clean_operations(self) -> list[dict[str, Any]] | None:
        """``None``: any."""
        return self.cleaned_data["operations"] or None

    def clean_addresses(self) -> list[str] | None:
        """``None``: any."""
        return self.cleaned_data["addresses"] or None


class KeyForm(KeyLimitsForm):
    """A new key."""

    name = forms.CharField(max_length=64, help_text="Where it is used, like “ci” or “production”.")
    expires_at = MomentField(label="Good until", help_text="In UTC. Empty: until it is revoked.")
    field_order = ["name", "expires_at", "apis", "methods", "operations", "addresses"]

    def clean_expires_at(self) -> Any:
        """In the future."""
        return in_the_future(self.cleaned_data["expires_at"])


class CertificateForm(ConsoleForm):
    """A client certificate."""

    name = forms.CharField(max_length=64, help_text="Where it is used, like “ci” or “production”.")
    certificate = forms.CharField(
        widget=forms.Textarea({"rows": 6, "spellcheck": "false", "placeholder": "-----BEGIN CERTIFICATE-----"}),
        help_text="The client's own, in PEM, without its chain and without its private key. Its fingerprint is kept.",
    )


class SigningKeyForm(ConsoleForm):
    """A key that signs requests."""

    name = forms.CharField(max_length=64, help_text="Where it is used, like “ci” or “production”.")
    expires_at = MomentField(label="Good until", help_text="In UTC. Empty: until it is revoked.")

    def clean_expires_at(self) -> Any:
        """In the future."""
        return in_the_future(self.cleaned_data["expires_at"])


class RotateForm(ConsoleForm):
    """A key's successor."""

    overlap = DurationField(
        initial=24 * 3600.0,
        label="The old key works for",
        help_text="Time to put the new one in place, like 24h. 0s ends it at once.",
    )

    def clean_overlap(self) -> timedelta:
        """As a span."""
        return timedelta(seconds=self.cleaned_data["overlap"])


class PlanForm(ConsoleForm):
    """How much a subscription may call."""

    name = forms.CharField(max_length=120)
    description = forms.CharField(required=False, widget=text_area(2), help_text="For those who choose a plan.")
    rate_calls = helped(
        forms.IntegerField(required=False, min_value=1, label="Calls", help_text="Empty: no limit of the rate."), "rate"
    )
    rate_period = DurationField(initial=1.0, label="in each", help_text="Like 1s or 1m.")
    burst = helped(
        forms.IntegerField(
            required=False, min_value=1, label="At once", help_text="Size of the bucket; empty: as many as the rate."
        ),
        "burst",
    )
    quota = forms.IntegerField(required=False, min_value=1, help_text="Calls per period; empty: no quota.")
    quota_period = forms.ChoiceField(
        choices=QuotaPeriod.choices, initial=QuotaPeriod.MONTH, help_text="Calendar periods, in UTC."
    )
    charge_failures = forms.BooleanField(
        required=False, initial=True, label="A call that the upstream failed counts against the quota"
    )
    trust_lease = helped(
        DurationField(
            required=False,
            label="Trust lease",
            help_text="How long known keys work while Redis is away. Empty: as the installation says; 0s: not at all.",
        ),
        "trust-lease",
    )
    tenants = helped(
        forms.ModelMultipleChoiceField(
            queryset=Tenant.objects.all(),
            to_field_name="slug",
            required=False,
            label="Only for",
            help_text="The tenants that may ask for it. None chosen: all.",
            widget=forms.CheckboxSelectMultiple,
        ),
        "plans",
    )

    def clean_tenants(self) -> list[str]:
        """Their slugs."""
        return [tenant.slug for tenant in self.cleaned_data["tenants"]]

    @staticmethod
    def initial_of(plan: Plan) -> dict[str, Any]:
        """What the form shows of ``plan``."""
        return {name: getattr(plan, name) for name in PlanForm.base_fields}


class NewPlanForm(NamedForm, PlanForm):
    """The same with what never changes afterwards."""

    def others(self) -> QuerySet:
        """All plans."""
        return Plan.objects.all()


def plan_in_words(plan: Plan) -> str:
    """Its name and its limits, for those who choose or decide."""
    return f"{plan}: {render_to_string('access/plan_line.html', {'plan': plan}).strip()}"


class PlanField(forms.ModelChoiceField):
    """One of the plans that may be asked for, with what it allows; the only one is chosen already."""

    def __init__(self, **options: Any) -> None:
        super().__init__(queryset=Plan.objects.none(), to_field_name="slug", empty_label="Choose a plan", **options)
        self.api: API | None = None

    def offer(self, plans: QuerySet[Plan], api: API | None = None) -> None:
        """Let the reader choose from these; those of an ``api`` that approves automatically say whether it does."""
        self.queryset, self.api = plans, api
        if len(found := list(plans[:2])) == 1:
            self.initial, self.empty_label = found[0].slug, None

    def label_from_instance(self, plan: Plan) -> str:
        """Its name and its limits."""
        said = plan_in_words(plan)
        if self.api is None or self.api.approval != Approval.AUTOMATIC:
            return said
        return f"{said}; {'granted at once' if is_granted_automatically(plan, self.api) else 'somebody decides'}"


class AskForm(ConsoleForm):
    """A request for access."""

    application = forms.ModelChoiceField(
        queryset=Application.objects.none(),
        empty_label="Choose an application",
        help_text="The program that will call.",
    )
    plan = PlanField(help_text="How much it may call.")
    reason = forms.CharField(widget=text_area(3), help_text="What for, and how much: it helps the approver.")

    def __init__(
        self, *args: Any, applications: QuerySet[Application], plans: QuerySet[Plan], api: API, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.fields["plan"].offer(plans, api)  # type: ignore[attr-defined]
        field = self.fields["application"]
        field.queryset = applications  # type: ignore[attr-defined]
        if len(found := list(applications[:2])) == 1:
            field.initial, field.empty_label = found[0].pk, None  # type: ignore[attr-defined]


class EditRequestForm(ConsoleForm):
    """What may still be changed of a request, and an answer to a question."""

    plan = PlanField()
    reason = forms.CharField(widget=text_area(3))
    comment = forms.CharField(required=False, widget=text_area(3), label="Your answer")

    def __init__(self, *args: Any, plans: QuerySet[Plan], api: API, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["plan"].offer(plans, api)  # type: ignore[attr-defined]


class ApproveForm(ConsoleForm):
    """Yes, perhaps until some day."""

    comment = forms.CharField(required=False, widget=text_area(2), help_text="Reaches the applicant.")
    expires_at = MomentField(label="Good until", help_text="In UTC. Empty: no end.")
    submitted_at = MomentField(widget=forms.HiddenInput)

    def clean_expires_at(self) -> Any:
        """In the future."""
        return in_the_future(self.cleaned_data["expires_at"])


class ReplyForm(ConsoleForm):
    """A step that needs a word to the applicant."""

    comment = forms.CharField(widget=text_area(3), help_text="Reaches the applicant in the console and by e-mail.")


class WordForm(ConsoleForm):
    """A step with a word, if wanted."""

    comment = forms.CharField(required=False, widget=text_area(2), help_text="Both sides see it.")


class ChangePlanForm(ConsoleForm):
    """Another plan for a running subscription."""

    plan = PlanField()

    def __init__(self, *args: Any, plans: QuerySet[Plan], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["plan"].offer(plans)  # type: ignore[attr-defined]


def in_the_future(moment: Any) -> Any:
    """``moment``, which must lie ahead where there is one."""
    if moment is not None and moment <= timezone.now():
        raise forms.ValidationError("This time has passed.")
    return moment
