"""Cache policies and purges, as administrators see them."""

from collections.abc import Mapping
from typing import Any

from django.db import models

from apps.caching.choices import (
    BodyKey,
    CacheMode,
    CacheScope,
    ClientDirectives,
    PurgeKind,
    QueryMode,
    Sensitivity,
    SurrogateControl,
)
from apps.caching.settings import (
    CHOICE,
    COUNT,
    DOWNSTREAM,
    DURATION,
    ENTITY_TAGS,
    METHODS,
    NAMES,
    RATIO,
    SIZE,
    SWITCH,
    Between,
    PolicySetting,
    SettingGroup,
    check_headers,
    check_parameters,
    settings_in,
)
from apps.foundation.constraints import known, not_negative


class CachePolicy(models.Model):
    """How one API's responses are cached: the ``cache`` and ``sensitivity`` fields of the declarative file. Durations in seconds.

    Each setting is declared here and nowhere else, in the order in which the file has them. What the gateways read of it is the
    field of the same name of ``httpcache.Policy``.
    """

    mode = PolicySetting(CHOICE, SettingGroup.SENTENCES, "Who decides the lifetime").of(
        models.CharField(max_length=12, choices=CacheMode.choices, default=CacheMode.ORIGIN)
    )
    ttl = PolicySetting(DURATION, SettingGroup.SENTENCES, "TTL").of(models.FloatField(default=60.0))
    stale_while_revalidate = PolicySetting(DURATION, SettingGroup.SENTENCES, "Stale while one call refreshes").of(
        models.FloatField(default=0.0)
    )
    stale_if_error = PolicySetting(DURATION, SettingGroup.SENTENCES, "Stale when the upstream fails").of(
        models.FloatField(
            null=True, blank=True, help_text="Empty: 60 s when the upstream can't be reached, nothing for a 5xx."
        )
    )
    negative_ttl = PolicySetting(
        DURATION,
        SettingGroup.LIFETIMES,
        "Errors",
        help="How long a 404 or the like is kept. Empty: like any response.",
        description="Lifetime of errors that have none of their own.",
        anchor="negative-ttl",
        placeholder="like any response",
    ).of(
        models.FloatField(
            null=True, blank=True, help_text="Of errors without a lifetime of their own. Empty: like any other answer."
        )
    )
    jitter = PolicySetting(
        RATIO,
        SettingGroup.LIFETIMES,
        "Jitter",
        help="Lifetimes end up to so much earlier, at random.",
        description="0 to 0.5: by how much a lifetime may be cut short.",
        anchor="jitter",
        own_check=Between(0, 0.5, "Between 0 (off) and 0.5, the part of a lifetime that may be cut off."),
        decisive=False,
    ).of(models.FloatField(default=0.1, help_text="0 to 0.5: by how much of it a lifetime may be cut short."))
    methods = PolicySetting(
        METHODS,
        SettingGroup.KEYS,
        "Methods whose responses are kept",
        help="POST and QUERY only where they change nothing: such a call no longer ends what is stored.",
        description="GET, HEAD; POST and QUERY where they only read.",
        anchor="methods",
        decisive=False,  # it decides which calls look at all
    ).of(models.JSONField(default=list, blank=True, help_text="Empty: GET and HEAD."))
    body = PolicySetting(
        CHOICE,
        SettingGroup.KEYS,
        "Bodies of such calls",
        help="How a body enters the key of a POST or QUERY.",
        anchor="body",
    ).of(models.CharField(max_length=8, choices=BodyKey.choices, default=BodyKey.JSON))
    query_mode = PolicySetting(CHOICE, SettingGroup.SENTENCES, "Query parameters in the key", word="query.mode").of(
        models.CharField(max_length=8, choices=QueryMode.choices, default=QueryMode.ALL)
    )
    query_names = PolicySetting(
        NAMES,
        SettingGroup.SENTENCES,
        "Names of query parameters",
        word="query.names",
        own_check=check_parameters,
        left_out=True,
    ).of(models.JSONField(default=list, blank=True))
    query_sorted = PolicySetting(
        SWITCH,
        SettingGroup.KEYS,
        "The order of query parameters doesn't count",
        help="They are keyed, and forwarded, in the order of their names.",
        description="Keyed and forwarded in the order of their names.",
        anchor="query-sorted",
        word="query.sorted",
        left_out=True,
    ).of(models.BooleanField(default=False))
    headers = PolicySetting(
        NAMES,
        SettingGroup.SENTENCES,
        "Request headers in the key",
        own_check=check_headers,
        decisive=False,  # they stand in the key by name
    ).of(models.JSONField(default=list, blank=True, help_text="Request headers in the key besides what Vary names."))
    scope = PolicySetting(CHOICE, SettingGroup.SENTENCES, "Shared among").of(
        models.CharField(max_length=12, choices=CacheScope.choices, default=CacheScope.AUTO)
    )
    share_with_credentials = PolicySetting(
        SWITCH,
        SettingGroup.CREDENTIALS,
        "Share responses to calls with credentials without the origin's permission",
        help="Every caller in the scope may get what the origin made for one who was signed in.",
        description="Responses to calls with credentials are shared without the origin's permission.",
        anchor="share-with-credentials",
        sentence="Responses to calls with credentials are shared without the origin's permission.",
    ).of(models.BooleanField(default=False))
    client_directives = PolicySetting(CHOICE, SettingGroup.SENTENCES, "A caller's Cache-Control", decisive=False).of(
        models.CharField(max_length=8, choices=ClientDirectives.choices, default=ClientDirectives.BOUNDED)
    )
    store_set_cookie = PolicySetting(
        SWITCH,
        SettingGroup.CREDENTIALS,
        "Store responses that set cookies, without the cookies",
        help="Otherwise such a response is not stored.",
        anchor="set-cookie",
        sentence="Responses that set cookies are stored too.",
    ).of(models.BooleanField(default=False))
    origin_stale_beside_s_maxage = PolicySetting(
        SWITCH,
        SettingGroup.LIFETIMES,
        "The origin's own stale-while-revalidate counts beside s-maxage",
        help="RFC 9111 lets s-maxage forbid stale responses; many origins that send both mean otherwise.",
        description="The origin's own stale-... count although it sends s-maxage.",
        anchor="stale-beside-s-maxage",
        sentence="The origin's own stale times count beside s-maxage.",
    ).of(models.BooleanField(default=False))
    max_body = PolicySetting(
        SIZE,
        SettingGroup.LIMITS,
        "Largest response",
        help="Larger ones are not stored. Like 8MiB.",
        description="Like 8MiB, or a number of bytes; more is not stored.",
        anchor="cache-limits",
        word="limits.body",
        own_check=Between(0, 64 * 2**20, "Between 0 bytes and 64 MiB."),
        decisive=False,
    ).of(models.PositiveBigIntegerField(default=8 * 2**20, help_text="Bytes; a larger answer is not stored."))
    max_variants = PolicySetting(
        COUNT,
        SettingGroup.LIMITS,
        "Variants of a URL",
        help="One more forgets the oldest.",
        description="Stored variants of one URL.",
        anchor="cache-limits",
        word="limits.variants",
        own_check=Between(1, 1000, "Between 1 and 1,000."),
        decisive=False,
    ).of(models.PositiveIntegerField(default=64, help_text="Stored variants of one URL."))
    entity_tags = PolicySetting(
        ENTITY_TAGS,
        SettingGroup.ENTITY_TAGS,
        "Entities in JSON bodies",
        help="A path and a prefix on each line: items[*].id item: tags a response with item:7 and item:8.",
        description="Where JSON bodies name the entities that they show, and a prefix that makes tags of them.",
        anchor="entity-tags",
        placeholder="items[*].id item:",
        left_out=True,
        sentence="Responses are tagged by what they show: {}.",
    ).of(models.JSONField(default=list, blank=True, help_text="Objects with a path (json) and a prefix (tag)."))
    collections = PolicySetting(
        SWITCH,
        SettingGroup.ENTITY_TAGS,
        "A write to an item ends its collection too",
        help="PUT /items/7 ends /items, where the imported operations have both.",
        description="A write to an item ends its collection too.",
        anchor="collections",
        decisive=False,
    ).of(models.BooleanField(default=True))
    downstream = PolicySetting(
        DOWNSTREAM,
        SettingGroup.DOWNSTREAM,
        "Caches behind the gateway may keep",
        help="Browsers and CDNs, that is.",
        description="pass, private, no-store, or a duration.",
        anchor="downstream",
        word="downstream.cache_control",
    ).of(models.CharField(max_length=20, default="pass", help_text="pass, private, no-store, or seconds for max-age."))
    surrogate_control = PolicySetting(
        CHOICE,
        SettingGroup.DOWNSTREAM,
        "Surrogate-Control and CDN-Cache-Control",
        help="What an origin says to caches like this one.",
        anchor="surrogate-control",
        word="downstream.surrogate_control",
    ).of(models.CharField(max_length=8, choices=SurrogateControl.choices, default=SurrogateControl.REMOVE))
    max_size = PolicySetting(
        SIZE,
        SettingGroup.LIMITS,
        "All responses",
        help="In each tier. Empty: the tenant's share.",
        description="Of all that is stored of the API, in each tier, like 500MB.",
        anchor="cache-limits",
        placeholder="the share",
        word="limits.size",
        own_check=Between(0, 2**50, "Between 0 bytes and 1 PiB."),
        of_operation=False,
        decisive=False,
        sentence="All of them together take {} at most in each tier.",
    ).of(
        models.PositiveBigIntegerField(
            null=True, blank=True, help_text="Bytes in each tier. Empty: the tenant's share is the only bound."
        )
    )
    sensitivity = PolicySetting(CHOICE, SettingGroup.SENTENCES, "Sensitivity", of_operation=False).of(
        models.CharField(max_length=8, choices=Sensitivity.choices, default=Sensitivity.INTERNAL)
    )
    operations = models.JSONField(
        default=list, blank=True, help_text="Policies of some calls: a path, methods, and the fields that differ."
    )
    warm_up = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name_plural = "cache policies"
        constraints = [
            known("mode", CacheMode),
            known("query_mode", QueryMode),
            known("scope", CacheScope),
            known("client_directives", ClientDirectives),
            known("sensitivity", Sensitivity),
            known("body", BodyKey),
            known("surrogate_control", SurrogateControl),
            not_negative("ttl", "stale_while_revalidate", "stale_if_error", "negative_ttl", "jitter"),
        ]

    def __str__(self) -> str:
        return f"{self.mode}, {self.ttl:g} s"

    def put(self, values: Mapping[str, Any]) -> None:
        """Set these settings, ``operations`` or ``warm_up``. Raises ``TypeError`` for what a policy doesn't have."""
        if unknown := values.keys() - POLICY_FIELDS:
            raise TypeError(f"A cache policy has no {', '.join(sorted(unknown))}.")
        for name, value in values.items():
            setattr(self, name, value)


SETTINGS: Mapping[str, PolicySetting] = settings_in(CachePolicy)
"""By name, in the file's order."""

POLICY_FIELDS = frozenset(SETTINGS) | {"operations", "warm_up"}
"""What a policy is made of."""


class Purge(models.Model):
    """A purge that was asked for, and its receipt: on how many workers it was in force, and when the last one followed."""

    api_slug = models.SlugField(max_length=64, db_index=True)
    kind = models.CharField(max_length=12, choices=PurgeKind.choices)
    value = models.CharField(max_length=2000, blank=True, help_text="What of its kind; empty for the whole API.")
    soft = models.BooleanField(default=False, help_text="Entries become stale rather than dead.")
    clock = models.PositiveBigIntegerField(help_text="The installation's purge clock after this purge.")
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor_email = models.CharField(max_length=254, blank=True)
    workers = models.PositiveIntegerField(default=0)
    in_force = models.PositiveIntegerField(default=0)
    slowest_ms = models.FloatField(null=True)

    class Meta:
        ordering = ["-at"]
        constraints = [known("kind", PurgeKind)]

    def __str__(self) -> str:
        return f"{self.kind} {self.value} of {self.api_slug}"
