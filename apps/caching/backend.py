"""The shared tier of cached responses behind Django's cache API."""

from django_redis.cache import RedisCache


class ResponsesCache(RedisCache):
    """django-redis's cache for cached responses."""
