"""A plan in words, for those who choose or decide."""

from django.template.loader import render_to_string

from apps.access.models import Plan


def plan_in_words(plan: Plan) -> str:
    """Its name and its limits."""
    return f"{plan}: {render_to_string('access/plan_line.html', {'plan': plan}).strip()}"
