"""Filters of warm-ups."""

import django_filters

from apps.rest.filters import StrictFilterSet
from apps.warming.choices import WarmUpCause, WarmUpState


class WarmUpFilter(StrictFilterSet):
    """Of an API's warm-ups."""

    state = django_filters.ChoiceFilter(choices=WarmUpState.choices)
    cause = django_filters.ChoiceFilter(choices=WarmUpCause.choices)
    ordering = django_filters.OrderingFilter(fields=["id"])
