"""Addresses of dashboards, the call log, and one call explained."""

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
