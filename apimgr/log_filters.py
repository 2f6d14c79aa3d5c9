"""What the log leaves out."""

import logging
from http import HTTPStatus


class ServerErrors(logging.Filter):
    """Of what Django says of responses, only those that tell of a fault of ours: the client of any other was told already.

    Django logs each with a ``status_code``, refusals as warnings and some with a traceback: anybody could fill a log with them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is about no response, or about one with a status of 500 or more."""
        return getattr(record, "status_code", HTTPStatus.INTERNAL_SERVER_ERROR) >= HTTPStatus.INTERNAL_SERVER_ERROR
