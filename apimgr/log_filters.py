"""What the log leaves out."""

import logging
from http import HTTPStatus


class ServerErrors(logging.Filter):
    """Keeps Django's log records about responses only where the status is 500 or more.

    Django logs every refusal (4xx) as a warning, some with a traceback, so that any client could fill the log.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is about no response, or about one with a status of 500 or more."""
        return getattr(record, "status_code", HTTPStatus.INTERNAL_SERVER_ERROR) >= HTTPStatus.INTERNAL_SERVER_ERROR
