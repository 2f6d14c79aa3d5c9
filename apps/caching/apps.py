"""The app's place in Django's registry."""

from django.apps import AppConfig


class CachingConfig(AppConfig):
    """Remember: cache policies and purges, the RFC 9111 core and the two tiers of stored responses."""

    name = "apps.caching"
