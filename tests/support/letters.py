"""The letters about what people were notified of, which the schedule sends."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.notifications.tasks import send

Sent = Callable[[], list[Any]]


@pytest.fixture
def sent(mailoutbox: list[Any], django_capture_on_commit_callbacks: Any) -> Sent:
    """``sent()``: the letters that are due now."""

    def letters() -> list[Any]:
        mailoutbox.clear()
        with django_capture_on_commit_callbacks(execute=True):
            send()
        return list(mailoutbox)

    return letters
