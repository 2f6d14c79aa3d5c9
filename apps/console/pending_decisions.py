"""What waits for the reader's decision."""

from django.db.models import QuerySet

from apps.access.choices import RequestState
from apps.access.models import AccessRequest
from apps.access.selectors import requests_decidable_by
from apps.tenants.models import User


def waiting_for(user: User) -> QuerySet[AccessRequest]:
    """Submitted requests that the reader may decide, the oldest first."""
    return requests_decidable_by(user).filter(state=RequestState.SUBMITTED).order_by("submitted_at")
