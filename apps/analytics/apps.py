"""The app's place in Django's registry."""

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """Learn: call records, roll-ups, dashboards' figures, explanations."""

    name = "apps.analytics"
