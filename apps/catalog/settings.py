"""The settings of an API, each declared once with its column: the declarative file, REST, the console's form, the checks and the
compiler go by that. What gateways read of one is the field of the same name of ``wire.snapshot.API``.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import models

from apps.catalog import field_checks
from apps.catalog.choices import AUTHENTICATION as WAYS
from apps.catalog.choices import UPSTREAM_HOST, Approval, DebugHeaders, Reported, RequestValidation
from apps.catalog.rewrites import check_rewrite, compile_rewrite
from apps.catalog.token_rules import (
    check_token_rules,
    compile_token_rules,
    no_token_rules,
    read_token_rules,
    write_token_rules,
)
from apps.foundation import declared_settings, field_names
from apps.foundation.declared_settings import CHOICE, COUNT, DURATION, SWITCH, Between, Kind
from apps.foundation.secrets import EncryptedJSONField
from apps.gateway.call.keyed_body import KEYED_BYTES
from apps.gateway.pipeline.authenticators.api_key import APIKeys
from apps.wire.snapshot import HeaderRules

__all__ = [
    "AUTHENTICATION",
    "CHOICE",
    "COUNT",
    "DURATION",
    "HEADER_RULES",
    "PLANS",
    "REWRITES",
    "SWITCH",
    "TEXT",
    "TEXTS",
    "TOKEN_RULES",
    "WORDS",
    "APISetting",
    "APISettings",
    "Tab",
]


def key_only() -> list[str]:
    """The default of ``API.authentication``."""
    return [APIKeys.word]


def no_header_rules() -> dict[str, Any]:
    """The default of ``API.request_headers`` and ``API.response_headers``."""
    return {"set": {}, "remove": []}


def _pairs(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError("Expected an object of header names and values.")
    return {field_names.text(name): field_names.text(item) for name, item in value.items()}


def _read_header_rules(value: object) -> dict[str, Any]:
    found = field_names.read(value, {"set": _pairs, "remove": field_names.many(field_names.text)})
    return no_header_rules() | found


def _compile_header_rules(rules: Mapping[str, Any]) -> HeaderRules:
    return HeaderRules(
        set=tuple((name.lower(), value) for name, value in rules.get("set", {}).items()),
        remove=tuple(name.lower() for name in rules.get("remove", [])),
    )


class Tab(enum.Enum):
    """On which tab of an API a setting stands."""

    SETTINGS = "settings"
    DOCUMENTATION = "documentation"
    TRAFFIC = "traffic"


TEXT = Kind(field_names.text)
TEXTS = Kind(field_names.many(field_names.text), list, compiled=tuple)
"""A list of names or the like, which have no spaces."""
WORDS = Kind(field_names.many(field_names.text), list)
"""The same where they may have some."""
PLANS = Kind(field_names.many(field_names.text), list, field_checks.check_plans)
"""A list of plans, by slug."""
AUTHENTICATION = Kind(
    field_names.many(field_names.one_of(list(WAYS))),
    list,
    field_checks.check_authentication,
    tuple,
)
REWRITES = Kind(
    field_names.many(lambda value: field_names.read(value, {"from": field_names.text, "to": field_names.text})),
    list,
    check_rewrite,
    compile_rewrite,
)
"""A list of rules for paths."""
TOKEN_RULES = Kind(read_token_rules, write_token_rules, check_token_rules, compile_token_rules)
"""What is demanded of tokens."""
HEADER_RULES = Kind(_read_header_rules, check=field_checks.check_header_rules, compiled=_compile_header_rules)


@dataclass(eq=False, kw_only=True)
class APISetting(declared_settings.Setting):
    """A setting of an API."""

    in_catalogue: bool = False
    """Whether it is for everyone who may ask for access; the rest is configuration."""
    younger: bool = False
    """Whether there are revisions from before it: rolling back to one gives it its default."""


class APISettings(models.Model):
    """The columns of an API's settings, in the file's order."""

    name = APISetting(TEXT, Tab.SETTINGS, "Name", help="What its callers know it by.", in_catalogue=True).of(
        models.CharField(max_length=120)
    )
    summary = APISetting(TEXT, Tab.SETTINGS, "Summary", help="One line for the catalogue.", in_catalogue=True).of(
        models.CharField(max_length=200, blank=True)
    )
    documentation = APISetting(
        TEXT,
        Tab.DOCUMENTATION,
        "Documentation",
        help="Plain text, with blank lines between paragraphs.",
        in_catalogue=True,
    ).of(models.TextField(blank=True, help_text="For its callers, as plain text with blank lines between paragraphs."))
    tags = APISetting(
        WORDS,
        Tab.SETTINGS,
        "Tags",
        help="Separated by commas.",
        own_check=field_checks.check_tags,
        in_catalogue=True,
    ).of(models.JSONField(default=list, blank=True))
    listen_path = APISetting(
        TEXT,
        Tab.SETTINGS,
        "Listen path",
        help="Where the gateway serves it: /products/, or /graphql without a slash at the end, which is an endpoint itself.",
        description="Where the gateway serves it: /products/, or /graphql for an endpoint without a slash at its end.",
        anchor="listen-path",
        own_check=field_checks.check_listen_path,
        in_catalogue=True,
    ).of(
        models.CharField(max_length=200, help_text="Where the gateway serves it: /products/. The longest prefix wins.")
    )
    hosts = APISetting(
        TEXTS,
        Tab.SETTINGS,
        "Hosts",
        help="Only these Host names; *.example.com: any one label in front of .example.com. Empty: any.",
        anchor="hosts",
        own_check=field_checks.check_hosts,
        in_catalogue=True,
    ).of(models.JSONField(default=list, blank=True, help_text="Only these Host names; empty: any."))
    strip_listen_path = APISetting(
        SWITCH,
        Tab.SETTINGS,
        "Leave the listen path out of the upstream's address",
        help="Otherwise the whole path is appended.",
        anchor="strip-listen-path",
    ).of(models.BooleanField(default=True))
    rewrite = APISetting(
        REWRITES,
        Tab.SETTINGS,
        "Other paths for the upstream",
        help="One rule per line, like /old/{id} -> /new/{id} or /v1/** -> /v2/**; the first that fits counts.",
        description="Rules {from, to}: paths that upstreams get in place of the callers'.",
        anchor="rewrite",
        younger=True,
    ).of(models.JSONField(default=list, blank=True, help_text="Rules {from, to}, paths below the listen path."))
    host_header = APISetting(
        TEXT,
        Tab.SETTINGS,
        "Host of calls to the upstream",
        help="upstream: that of its address; preserve: the caller's; or a name.",
        description="Host of calls to upstreams: upstream (of its URL), preserve (the caller's), or a name.",
        anchor="host-header",
        own_check=field_checks.check_host_header,
        younger=True,
    ).of(
        models.CharField(
            max_length=260, default=UPSTREAM_HOST, help_text="Of calls to upstreams: upstream, preserve, or a name."
        )
    )
    authentication = APISetting(
        AUTHENTICATION,
        Tab.SETTINGS,
        "Callers",
        help="How they say who they are. Of several ways, the first that a call has something for decides.",
        anchor="authentication",
        in_catalogue=True,
    ).of(models.JSONField(default=key_only))
    jwt = APISetting(
        TOKEN_RULES,
        Tab.SETTINGS,
        "Tokens",
        help="Whose tokens are taken, and which scopes and claims they need.",
        description="Issuers of the tokens that it takes, and the scopes and claims that a token needs.",
        anchor="authentication",
        in_catalogue=True,
        younger=True,
    ).of(
        models.JSONField(
            default=no_token_rules,
            blank=True,
            help_text="Issuers of the tokens that it takes, and the scopes and claims that a token needs.",
        )
    )
    introspection = APISetting(
        TEXT,
        Tab.SETTINGS,
        "Introspection server",
        help="Which server is asked about opaque tokens.",
        description="Slug of the introspection server that is asked about opaque tokens; empty: none.",
        anchor="authentication",
        younger=True,
    ).of(
        models.CharField(
            max_length=64, blank=True, help_text="Slug of the server that is asked about opaque tokens; empty: none."
        )
    )
    api_key_header = APISetting(
        TEXT,
        Tab.SETTINGS,
        "Header of the key",
        help="Where callers put their key.",
        own_check=field_checks.check_key_header,
        in_catalogue=True,
    ).of(models.CharField(max_length=64, default="X-API-Key"))
    api_key_query = APISetting(
        TEXT,
        Tab.SETTINGS,
        "Query parameter of the key",
        help="Also here, where the header has none: for callers that can set none. Empty: not there.",
        description="Query parameter in which keys may stand too; empty: none.",
        anchor="places-of-keys",
        own_check=field_checks.check_key_parameter,
        in_catalogue=True,
        younger=True,
    ).of(models.CharField(max_length=64, blank=True, help_text="Query parameter in which keys may stand; empty: none."))
    api_key_cookie = APISetting(
        TEXT,
        Tab.SETTINGS,
        "Cookie of the key",
        help="Also here, where neither header nor query has one. Empty: not there.",
        description="Cookie in which keys may stand too; empty: none.",
        anchor="places-of-keys",
        own_check=field_checks.check_key_cookie,
        in_catalogue=True,
        younger=True,
    ).of(models.CharField(max_length=64, blank=True, help_text="Cookie in which keys may stand; empty: none."))
    api_key_basic_user = APISetting(
        SWITCH,
        Tab.SETTINGS,
        "The key as the user of Basic, without a password",
        help="As some client libraries send it.",
        description="Whether keys may be the user of Authorization: Basic, with an empty password.",
        anchor="places-of-keys",
        in_catalogue=True,
        younger=True,
    ).of(
        models.BooleanField(
            default=False, help_text="Keys may be the user of Authorization: Basic, with an empty password."
        )
    )
    forward_credential = APISetting(
        SWITCH,
        Tab.SETTINGS,
        "Forward callers' own X-API-Key to the upstream",
        help="Set by platform administrators. The platform's keys are never forwarded; answers are cached per caller.",
        description="X-API-Key goes on where it holds none of this platform's keys. Administrators switch it on.",
        anchor="forward-credential",
    ).of(
        models.BooleanField(
            default=False,
            help_text="Send X-API-Key on where it holds none of this platform's keys. Administrators decide.",
        )
    )
    underscore_headers = APISetting(
        TEXTS,
        Tab.SETTINGS,
        "Headers with underscores",
        help="Left out on the way to the upstream unless they are named here; each is part of the cache key.",
        description="Request headers that go on although their names have underscores or the like.",
        anchor="underscore-headers",
        own_check=field_checks.check_underscore_headers,
        younger=True,
    ).of(
        models.JSONField(
            default=list,
            blank=True,
            help_text="Request headers that go on although their names have underscores or the like.",
        )
    )
    credential_headers = APISetting(
        TEXTS,
        Tab.SETTINGS,
        "Headers that tell who calls",
        help="Besides Authorization, Cookie and the like: what depends on them is kept for one caller alone.",
        description="Request headers that count as credentials, besides those known by name.",
        anchor="credential-headers",
        own_check=field_checks.check_credential_headers,
        younger=True,
    ).of(
        models.JSONField(
            default=list,
            blank=True,
            help_text="Request headers that count as credentials, besides those known by name.",
        )
    )
    approval = APISetting(
        CHOICE,
        Tab.SETTINGS,
        "Access requests",
        help="Who decides when a tenant asks.",
        description="manual or automatic.",
        anchor="approval",
        in_catalogue=True,
    ).of(models.CharField(max_length=12, choices=Approval.choices, default=Approval.MANUAL))
    plans = APISetting(
        PLANS,
        Tab.SETTINGS,
        "Plans",
        help="Those that tenants may ask for. None chosen: all.",
        description="Slugs of the plans that may be asked for; empty: all.",
        anchor="plans",
        younger=True,
    ).of(models.JSONField(default=list, blank=True, help_text="Slugs of the plans that may be asked for; empty: all."))
    automatic_plans = APISetting(
        PLANS,
        Tab.SETTINGS,
        "Plans that are granted automatically",
        help="Where access is granted automatically: those for which nobody decides. None chosen: all that have a limit.",
        description="Slugs of the plans that automatic approval grants; empty: all that have a limit.",
        anchor="plans",
        younger=True,
    ).of(
        models.JSONField(
            default=list,
            blank=True,
            help_text="Slugs of the plans that automatic approval grants; empty: all that have a limit.",
        )
    )
    connect_timeout = APISetting(
        DURATION,
        Tab.TRAFFIC,
        "Connect timeout",
        help="Then the next upstream is tried, or callers get 502.",
        description="Like 2s, or a number of seconds.",
        anchor="timeouts",
        word="timeouts.connect",
        own_check=field_checks.check_timeout,
    ).of(models.FloatField(default=2.0, help_text="Seconds."))
    read_timeout = APISetting(
        DURATION,
        Tab.TRAFFIC,
        "Read timeout",
        help="After this long without a byte from the upstream callers get 504.",
        anchor="timeouts",
        word="timeouts.read",
        own_check=field_checks.check_timeout,
    ).of(models.FloatField(default=30.0, help_text="Seconds without a byte from the upstream."))
    retries = APISetting(
        COUNT,
        Tab.TRAFFIC,
        "Retries",
        help="What surely wasn't sent is sent elsewhere whatever its method, the rest for idempotent methods only.",
        anchor="retries",
        own_check=Between(0, 10, "Between 0 and 10."),
    ).of(
        models.PositiveSmallIntegerField(
            default=1,
            help_text="Of what surely wasn't sent, and for idempotent methods before any byte of a response.",
        )
    )
    concurrent_calls = APISetting(
        COUNT,
        Tab.TRAFFIC,
        "Concurrent calls",
        help="To the upstreams, from each gateway worker.",
        description="At once, in each worker.",
        anchor="concurrency",
        word="concurrency.calls",
        own_check=Between(1, 10_000, "Between 1 and 10,000."),
    ).of(
        models.PositiveIntegerField(
            default=512, help_text="Calls to its upstreams that each gateway worker makes at once."
        )
    )
    queued_calls = APISetting(
        COUNT,
        Tab.TRAFFIC,
        "Queued calls",
        help="Beyond these, callers get 503 at once.",
        description="How many more wait for one of these to end.",
        anchor="concurrency",
        word="concurrency.queue",
        own_check=Between(0, 10_000, "Between 0 and 10,000."),
    ).of(models.PositiveIntegerField(default=512, help_text="How many more wait for one of these to end."))
    queue_wait = APISetting(
        DURATION,
        Tab.TRAFFIC,
        "Queue wait",
        help="After this long callers get 503, or a stale response.",
        description="How long one waits: like 2s, or a number of seconds.",
        anchor="concurrency",
        word="concurrency.wait",
        own_check=Between(0, 60, "Between 0 and 60 seconds."),
    ).of(models.FloatField(default=2.0, help_text="Seconds that a call waits at most."))
    body_limit = APISetting(
        COUNT,
        Tab.TRAFFIC,
        "Largest request body",
        help="In MiB; larger ones are answered with 413.",
        description="Largest request body, in bytes.",
        own_check=Between(0, 2**40, "Between 0 and 1 TiB, in bytes."),
    ).of(models.PositiveBigIntegerField(default=10 * 2**20, help_text="Largest request body, in bytes."))
    validate_requests = APISetting(
        CHOICE,
        Tab.TRAFFIC,
        "Calls that the OpenAPI document doesn't allow",
        help="Parameters, content types and JSON bodies are checked. Reported calls pass.",
        description="off, report or block: what is done about calls that the OpenAPI document doesn't allow.",
        anchor="validation",
        word="validation.request",
        younger=True,
    ).of(
        models.CharField(
            max_length=8,
            choices=RequestValidation.choices,
            default=RequestValidation.OFF,
            help_text="What is done about calls that the OpenAPI document doesn't allow.",
        )
    )
    validate_responses = APISetting(
        CHOICE,
        Tab.TRAFFIC,
        "Responses that it doesn't allow",
        help="Some of the upstream's responses are checked once they are sent.",
        description="off or report: whether responses that the OpenAPI document doesn't allow are reported.",
        anchor="validation",
        word="validation.response",
        younger=True,
    ).of(
        models.CharField(
            max_length=8,
            choices=Reported.choices,
            default=Reported.OFF,
            help_text="Whether responses that the OpenAPI document doesn't allow are reported.",
        )
    )
    report_injections = APISetting(
        CHOICE,
        Tab.TRAFFIC,
        "Texts that look like an attack",
        help="Of SQL, scripts, paths or templates, in the strings of JSON bodies. Such calls pass.",
        description="off or report: whether strings of JSON bodies that look like an attack are reported.",
        anchor="validation",
        word="validation.injections",
        younger=True,
    ).of(
        models.CharField(
            max_length=8,
            choices=Reported.choices,
            default=Reported.OFF,
            help_text="Whether strings of JSON bodies that look like an attack are reported.",
        )
    )
    json_bytes = APISetting(
        COUNT,
        Tab.TRAFFIC,
        "Bytes of a JSON body",
        help="Longer ones can't be checked, and count as not allowed.",
        description="Largest JSON body that is validated, in bytes.",
        anchor="validation",
        word="validation.body",
        own_check=Between(1, KEYED_BYTES, f"Between 1 and {KEYED_BYTES:,} bytes."),
        younger=True,
    ).of(models.PositiveIntegerField(default=2**20, help_text="Largest JSON body that is validated, in bytes."))
    json_depth = APISetting(
        COUNT,
        Tab.TRAFFIC,
        "Levels",
        help="Objects and lists inside each other.",
        description="Objects and lists inside each other in a JSON body.",
        anchor="validation",
        word="validation.depth",
        own_check=Between(1, 64, "Between 1 and 64."),
        younger=True,
    ).of(models.PositiveSmallIntegerField(default=32, help_text="Levels of a JSON body."))
    json_names = APISetting(
        COUNT,
        Tab.TRAFFIC,
        "Names",
        help="In all objects together.",
        description="Names in all objects of a JSON body together.",
        anchor="validation",
        word="validation.names",
        own_check=Between(0, 1_000_000, "Between 0 and 1,000,000."),
        younger=True,
    ).of(models.PositiveIntegerField(default=10_000, help_text="Names in all objects of a JSON body together."))
    json_items = APISetting(
        COUNT,
        Tab.TRAFFIC,
        "Items of a list",
        description="Items of a list in a JSON body.",
        anchor="validation",
        word="validation.items",
        own_check=Between(0, 1_000_000, "Between 0 and 1,000,000."),
        younger=True,
    ).of(models.PositiveIntegerField(default=10_000, help_text="Items of a list in a JSON body."))
    json_text = APISetting(
        COUNT,
        Tab.TRAFFIC,
        "Bytes of a string",
        description="Bytes of a string in a JSON body, as they came.",
        anchor="validation",
        word="validation.text",
        own_check=Between(0, KEYED_BYTES, f"Between 0 and {KEYED_BYTES:,}."),
        younger=True,
    ).of(models.PositiveIntegerField(default=100_000, help_text="Bytes of a string in a JSON body."))
    debug_headers = APISetting(
        CHOICE,
        Tab.SETTINGS,
        "Cache-Status details",
        help="Who sees the cache key and the reason in each response.",
        description="none, subscribers or all.",
        anchor="debug-headers",
    ).of(models.CharField(max_length=12, choices=DebugHeaders.choices, default=DebugHeaders.SUBSCRIBERS))
    # Their values are often credentials for the upstream.
    request_headers = APISetting(HEADER_RULES, Tab.TRAFFIC, "On the way to the upstream").of(
        EncryptedJSONField(row=["slug"], default=no_header_rules, blank=True)
    )
    response_headers = APISetting(HEADER_RULES, Tab.TRAFFIC, "On responses").of(
        EncryptedJSONField(row=["slug"], default=no_header_rules, blank=True)
    )

    class Meta:
        abstract = True
