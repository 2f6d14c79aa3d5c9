"""Which path of ``/api/v1/`` belongs to which view set: the plural nouns of the contract."""

from rest_framework.routers import SimpleRouter

from apps.platform.api import schema

__all__ = ["router", "schema"]

router = SimpleRouter()
