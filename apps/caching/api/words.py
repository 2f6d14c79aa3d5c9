"""The shape of a cache policy's words, for the schema. ``apps.caching.document`` reads them."""

from rest_framework import serializers


class QueryWords(serializers.Serializer):
    """Which query parameters are part of the cache key; what isn't keyed isn't forwarded."""

    mode = serializers.CharField(required=False, help_text="all, include or exclude.")
    names = serializers.ListField(child=serializers.CharField(), required=False)


class CacheWords(serializers.Serializer):
    """How an API's answers are cached."""

    mode = serializers.CharField(required=False, help_text="origin, ttl, override or off.")
    ttl = serializers.CharField(required=False, help_text="Like 60s, or a number of seconds.")
    stale_while_revalidate = serializers.CharField(required=False)
    stale_if_error = serializers.CharField(required=False, allow_null=True)
    methods = serializers.ListField(child=serializers.CharField(), required=False)
    query = QueryWords(required=False)
    headers = serializers.ListField(child=serializers.CharField(), required=False)
    scope = serializers.CharField(required=False, help_text="auto, shared, tenant, application or subject.")
    client_directives = serializers.CharField(required=False, help_text="honour, bounded or ignore.")
    store_set_cookie = serializers.BooleanField(required=False)
