"""The cache policy editor's form: the policy in sentences, the least first, the rest with a line of help each."""

from collections.abc import Mapping
from typing import Any

from django import forms

from apps.caching.choices import BodyKey, CacheMode, ClientDirectives, QueryMode, Scope, Sensitivity, SurrogateControl
from apps.caching.document import DEFAULT_METHODS
from apps.caching.models import CachePolicy
from apps.catalog.models import API
from apps.console.forms.fields import (
    ConsoleForm,
    DurationField,
    LinesField,
    PercentField,
    SizeField,
    WordsField,
    helped,
)

METHODS = [(method, method) for method in ("GET", "HEAD", "POST", "QUERY")]
DOWNSTREAM = [
    ("pass", "What the origin said"),
    ("private", "That only the caller's own cache may keep it"),
    ("no-store", "That nobody may keep it"),
    ("for", "To keep it for so long"),
]

IN_SENTENCES = {
    *("mode", "ttl", "stale_while_revalidate", "stale_if_error", "query_mode", "query_names", "headers"),
    *("scope", "sensitivity", "client_directives", "comment", "expected_revision", "__all__"),
}


class PolicyForm(ConsoleForm):
    """How one API's answers are cached. The fields are the model's, but for those that ``fields_of`` puts together."""

    # in the sentences
    mode = forms.ChoiceField(choices=CacheMode.choices, label="Who decides the lifetime")
    ttl = DurationField(label="TTL")
    stale_while_revalidate = DurationField(label="Stale while one call refreshes")
    stale_if_error = DurationField(required=False, label="Stale when the upstream fails")
    query_mode = forms.ChoiceField(choices=QueryMode.choices, label="Query parameters in the key")
    query_names = WordsField(label="Names of query parameters")
    headers = WordsField(label="Request headers in the key")
    scope = forms.ChoiceField(choices=Scope.choices, label="Shared among")
    sensitivity = forms.ChoiceField(choices=Sensitivity.choices, label="Sensitivity")
    client_directives = forms.ChoiceField(choices=ClientDirectives.choices, label="A caller's Cache-Control")
    # keys
    query_sorted = helped(
        forms.BooleanField(
            required=False,
            label="The order of query parameters doesn't count",
            help_text="They are keyed, and forwarded, in the order of their names.",
        ),
        "query-sorted",
    )
    methods = helped(
        forms.MultipleChoiceField(
            choices=METHODS,
            required=False,
            widget=forms.CheckboxSelectMultiple,
            label="Methods whose answers are kept",
            help_text="POST and QUERY only where they change nothing: such a call no longer ends what is stored.",
        ),
        "methods",
    )
    body = helped(
        forms.ChoiceField(
            choices=BodyKey.choices,
            label="Bodies of such calls",
            help_text="How a body enters the key of a POST or QUERY.",
        ),
        "body",
    )
    # lifetimes
    negative_ttl = helped(
        DurationField(
            required=False, label="Errors", help_text="How long a 404 or the like is kept. Empty: like any answer."
        ),
        "negative-ttl",
    )
    jitter = helped(
        PercentField(most=50, label="Jitter", help_text="Lifetimes end up to so much earlier, at random."),
        "jitter",
    )
    origin_stale_beside_s_maxage = helped(
        forms.BooleanField(
            required=False,
            label="The origin's own stale-while-revalidate counts beside s-maxage",
            help_text="RFC 9111 lets s-maxage forbid stale answers; many origins that send both mean otherwise.",
        ),
        "stale-beside-s-maxage",
    )
    # limits
    max_body = helped(
        SizeField(label="Largest answer", help_text="Larger ones are not stored. Like 8MiB."), "cache-limits"
    )
    max_variants = helped(
        forms.IntegerField(
            min_value=1, max_value=10_000, label="Variants of a URL", help_text="One more forgets the oldest."
        ),
        "cache-limits",
    )
    max_size = helped(
        SizeField(required=False, label="All answers", help_text="In each tier. Empty: the tenant's share."),
        "cache-limits",
    )
    # caches behind the gateway
    downstream = helped(
        forms.ChoiceField(
            choices=DOWNSTREAM, label="Caches behind the gateway are told", help_text="Browsers and CDNs, that is."
        ),
        "downstream",
    )
    downstream_for = DurationField(required=False, label="For how long", help_text="Sent as max-age, like 60s.")
    surrogate_control = helped(
        forms.ChoiceField(
            choices=SurrogateControl.choices,
            label="Surrogate-Control and CDN-Cache-Control",
            help_text="What an origin says to caches like this one.",
        ),
        "surrogate-control",
    )
    # tags
    entity_tags = helped(
        LinesField(
            label="Entities in JSON bodies",
            help_text="A path and a prefix on each line: items[*].id item: tags an answer with item:7 and item:8.",
        ),
        "entity-tags",
    )
    collections = helped(
        forms.BooleanField(
            required=False,
            label="A write to an item ends its collection too",
            help_text="PUT /items/7 ends /items, where the imported operations have both.",
        ),
        "collections",
    )
    # credentials
    store_set_cookie = helped(
        forms.BooleanField(
            required=False,
            label="Store answers that set cookies, without the cookies",
            help_text="Otherwise such an answer is not stored.",
        ),
        "set-cookie",
    )
    share_with_credentials = helped(
        forms.BooleanField(
            required=False,
            label="Share answers to calls with credentials without the origin's permission",
            help_text="Every caller in the scope may get what the origin made for one who was signed in.",
        ),
        "share-with-credentials",
    )
    share_confirmed = forms.BooleanField(
        required=False, label="I know that its answers don't depend on who is signed in"
    )
    comment = forms.CharField(
        required=False, max_length=300, label="What changes, and why", help_text="For the audit log."
    )
    expected_revision = forms.IntegerField(widget=forms.HiddenInput)

    #: fields of the form that are no field of the model, or part of one
    OWN = ("comment", "share_confirmed", "downstream_for", "expected_revision")
    #: a model's field -> the form's, for refusals
    NAMES: Mapping[str, str] = {}

    def __init__(self, *args: Any, shared_already: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shared_already = shared_already

    @property
    def more_refused(self) -> bool:
        """Whether something below the sentences is."""
        return bool(self.errors.keys() - IN_SENTENCES)

    @classmethod
    def of(cls, api: API, data: Any = None) -> "PolicyForm":
        """The form that shows the policy of ``api``, or what was typed over it."""
        policy = api.cache_policy
        shown = shown_of(policy_values(policy)) | {"expected_revision": api.revision}
        return cls(data, initial=shown, shared_already=policy.share_with_credentials)

    def clean_query_names(self) -> list[str]:
        """Names mean nothing when all parameters count: forget them rather than refuse."""
        names: list[str] = self.cleaned_data["query_names"]
        return [] if self.cleaned_data.get("query_mode") == QueryMode.ALL else names

    def clean(self) -> dict[str, Any]:
        """What needs two fields."""
        data = self.cleaned_data
        if data.get("share_with_credentials") and not self.shared_already and not data.get("share_confirmed"):
            self.add_error("share_confirmed", "Confirm this, or leave the switch off.")
        if (
            data.get("downstream") == "for"
            and data.get("downstream_for") is None
            and "downstream_for" not in self.errors
        ):
            self.add_error("downstream_for", "Say for how long, like 60s.")
        return data

    def policy_fields(self) -> dict[str, Any]:
        """What ``policy_update`` gets, besides the comment."""
        return fields_of(self.cleaned_data)


def policy_values(policy: CachePolicy) -> dict[str, Any]:
    """The fields of ``policy`` that the form has, as the model holds them."""
    return {name: getattr(policy, name) for name in PolicyForm.base_fields if name not in PolicyForm.OWN}


def shown_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a policy, whole or in part, as the form shows them."""
    shown = dict(values)
    if "methods" in shown:
        shown["methods"] = shown["methods"] or list(DEFAULT_METHODS)
    if "entity_tags" in shown:
        shown["entity_tags"] = [f"{each['json']} {each['tag']}" for each in shown["entity_tags"]]
    if shown.get("downstream", "").isdecimal():
        shown["downstream_for"] = float(shown["downstream"])
        shown["downstream"] = "for"
    return shown


def fields_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed, whole or in part, as the fields of a policy."""
    fields = {name: value for name, value in data.items() if name not in PolicyForm.OWN}
    if "entity_tags" in fields:
        lines = [line.rsplit(None, 1) for line in fields["entity_tags"]]
        fields["entity_tags"] = [{"json": line[0], "tag": line[1] if len(line) > 1 else ""} for line in lines]
    if fields.get("downstream") == "for":
        fields["downstream"] = f"{data['downstream_for']:.15g}"  # never 1e+06
    return fields
