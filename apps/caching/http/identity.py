"""Among whom an answer may be shared, and under which rule (RFC 9111 §3.5, §7.3).

What counts is what the upstream saw. The credential that the gateway itself checked is removed before forwarding, so it is
no credential here: the upstream could not have made its answer depend on it.
"""

from dataclasses import dataclass
from enum import IntEnum


class Scope(IntEnum):
    """Who may be served a stored answer; a larger number is narrower."""

    SHARED = 0
    TENANT = 1
    APPLICATION = 2
    SUBJECT = 3


@dataclass(slots=True)
class Identity:
    """Who calls, as the gateway knows it. Empty text: not known.

    ``told`` is the narrowest of these that the gateway tells the upstream by headers of its own.
    """

    tenant: str = ""
    application: str = ""
    subject: str = ""
    told: Scope = Scope.SHARED


ANONYMOUS = Identity()
