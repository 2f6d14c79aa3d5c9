"""Cache policies and purges, as administrators see them."""

from django.db import models

from apps.caching.choices import (
    BodyKey,
    CacheMode,
    ClientDirectives,
    PurgeKind,
    QueryMode,
    Scope,
    Sensitivity,
    SurrogateControl,
)


class CachePolicy(models.Model):
    """How one API's answers are cached: the ``cache`` and ``sensitivity`` fields of the declarative file. Durations in seconds."""

    mode = models.CharField(max_length=12, choices=CacheMode.choices, default=CacheMode.ORIGIN)
    ttl = models.FloatField(default=60.0)
    stale_while_revalidate = models.FloatField(default=0.0)
    stale_if_error = models.FloatField(
        null=True, blank=True, help_text="Empty: 60 s when the upstream can't be reached, nothing for a 5xx."
    )
    methods = models.JSONField(default=list, blank=True, help_text="Empty: GET and HEAD.")
    query_mode = models.CharField(max_length=8, choices=QueryMode.choices, default=QueryMode.ALL)
    query_names = models.JSONField(default=list, blank=True)
    headers = models.JSONField(
        default=list, blank=True, help_text="Request headers in the key besides what Vary names."
    )
    scope = models.CharField(max_length=12, choices=Scope.choices, default=Scope.AUTO)
    client_directives = models.CharField(
        max_length=8, choices=ClientDirectives.choices, default=ClientDirectives.BOUNDED
    )
    store_set_cookie = models.BooleanField(default=False)
    sensitivity = models.CharField(max_length=8, choices=Sensitivity.choices, default=Sensitivity.INTERNAL)
    body = models.CharField(max_length=8, choices=BodyKey.choices, default=BodyKey.JSON)
    query_sorted = models.BooleanField(default=False)
    negative_ttl = models.FloatField(
        null=True, blank=True, help_text="Of errors without a lifetime of their own. Empty: like any other answer."
    )
    jitter = models.FloatField(default=0.1, help_text="0 to 0.5: by how much of it a lifetime may be cut short.")
    max_body = models.PositiveBigIntegerField(default=8 * 2**20, help_text="Bytes; a larger answer is not stored.")
    max_variants = models.PositiveIntegerField(default=64, help_text="Stored variants of one URL.")
    max_size = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Bytes in each tier. Empty: the tenant's share is the only bound."
    )
    entity_tags = models.JSONField(default=list, blank=True, help_text="Objects with a path (json) and a prefix (tag).")
    collections = models.BooleanField(default=True)
    share_with_credentials = models.BooleanField(default=False)
    origin_stale_beside_s_maxage = models.BooleanField(default=False)
    downstream = models.CharField(
        max_length=20, default="pass", help_text="pass, private, no-store, or seconds for max-age."
    )
    surrogate_control = models.CharField(
        max_length=8, choices=SurrogateControl.choices, default=SurrogateControl.REMOVE
    )
    operations = models.JSONField(
        default=list, blank=True, help_text="Policies of some calls: a path, methods, and the fields that differ."
    )
    warm_up = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name_plural = "cache policies"

    def __str__(self) -> str:
        return f"{self.mode}, {self.ttl:g} s"


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

    def __str__(self) -> str:
        return f"{self.kind} {self.value} of {self.api_slug}"
