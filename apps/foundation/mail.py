"""Letters to people: sent after the commit, and a mail server that fails or hangs never fails the change that they tell of."""

import logging
from collections.abc import Callable, Iterable

from django.core.mail import EmailMessage, get_connection
from django.db import transaction

logger = logging.getLogger(__name__)

TIMEOUT = 5.0
"""Seconds that a mail server may take: a user waits for their page."""


def post(recipients: Iterable[str], subject: str, body: str | Callable[[], str]) -> None:
    """Send one plain-text letter to each of ``recipients`` once the present transaction is committed.

    ``body`` may be a function, called at that time.
    """
    addresses = sorted(set(filter(None, recipients)))

    def send() -> None:
        text = body() if callable(body) else body
        one_line = " ".join(subject.split())
        letters = [EmailMessage(subject=one_line, body=text, to=[address]) for address in addresses]
        get_connection(timeout=TIMEOUT).send_messages(letters)

    def send_or_log() -> None:
        try:
            send()
        except Exception:
            logger.exception("A letter about %r was not sent", subject)

    if addresses:
        transaction.on_commit(send_or_log)
