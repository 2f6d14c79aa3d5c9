"""The shape of a cache policy's words, for the schema. ``apps.caching.document`` reads them."""

from rest_framework import serializers


class QueryWords(serializers.Serializer):
    """Which query parameters are part of the cache key; what isn't keyed isn't forwarded."""

    mode = serializers.CharField(required=False, help_text="all, include or exclude.")
    names = serializers.ListField(child=serializers.CharField(), required=False)
    sorted = serializers.BooleanField(required=False, help_text="Keyed and forwarded in the order of their names.")


class OperationLimitsWords(serializers.Serializer):
    """How much is stored, in bytes of body and in variants."""

    body = serializers.CharField(required=False, help_text="Like 8MiB, or a number of bytes; more is not stored.")
    variants = serializers.IntegerField(required=False, help_text="Stored variants of one URL.")


class LimitsWords(OperationLimitsWords):
    """How much is stored, the API as a whole too."""

    size = serializers.CharField(
        required=False, allow_null=True, help_text="Of all that is stored of the API, in each tier, like 500MB."
    )


class EntityTagWords(serializers.Serializer):
    """Where a JSON body names the entities that it shows, and the prefix that makes tags of them."""

    json = serializers.CharField(help_text="A path like items[*].id.")
    tag = serializers.CharField(help_text="A prefix like item:.")


class DownstreamWords(serializers.Serializer):
    """What caches behind the gateway are told."""

    cache_control = serializers.CharField(required=False, help_text="pass, private, no-store, or a duration.")
    surrogate_control = serializers.CharField(required=False, help_text="remove or pass.")


class SharedWords(serializers.Serializer):
    """What an API's policy and that of one of its operations both have."""

    mode = serializers.CharField(required=False, help_text="origin, ttl, override or off.")
    ttl = serializers.CharField(required=False, help_text="Like 60s, or a number of seconds.")
    stale_while_revalidate = serializers.CharField(required=False)
    stale_if_error = serializers.CharField(required=False, allow_null=True)
    negative_ttl = serializers.CharField(
        required=False, allow_null=True, help_text="Lifetime of errors that have none of their own."
    )
    jitter = serializers.FloatField(required=False, help_text="0 to 0.5: by how much a lifetime may be cut short.")
    methods = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="GET, HEAD; POST and QUERY where they only read."
    )
    body = serializers.CharField(required=False, help_text="raw, json or graphql: how a body enters the key.")
    query = QueryWords(required=False)
    headers = serializers.ListField(child=serializers.CharField(), required=False)
    scope = serializers.CharField(required=False, help_text="auto, shared, tenant, application or subject.")
    share_with_credentials = serializers.BooleanField(
        required=False, help_text="Answers to calls with credentials are shared without the origin's permission."
    )
    client_directives = serializers.CharField(required=False, help_text="honour, bounded or ignore.")
    store_set_cookie = serializers.BooleanField(required=False)
    origin_stale_beside_s_maxage = serializers.BooleanField(
        required=False, help_text="The origin's own stale-... count although it sends s-maxage."
    )
    limits = OperationLimitsWords(required=False)
    entity_tags = EntityTagWords(many=True, required=False)
    collections = serializers.BooleanField(required=False, help_text="A write to an item ends its collection too.")
    downstream = DownstreamWords(required=False)


class OperationWords(SharedWords):
    """The policy of some calls: those whose path and method fit. What it doesn't say is the API's own."""

    path = serializers.CharField(help_text="Like /items/{id} or /reports/**.")


class CacheWords(SharedWords):
    """How an API's answers are cached."""

    limits = LimitsWords(required=False)
    operations = OperationWords(many=True, required=False, help_text="The first that fits a call counts.")
    warm_up = serializers.DictField(required=False, help_text="What is fetched before anyone asks, and when.")
