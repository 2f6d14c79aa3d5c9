"""The words of the catalogue, and the lifecycle of an API as a table."""

from django.db import models

from apps.gateway.pipeline.authenticators.table import AUTHENTICATORS, OPEN


class APIState(models.TextChoices):
    """Where an API is in its life. Gateways serve published and deprecated ones."""

    DRAFT = "draft"
    PUBLISHED = "published"
    DEPRECATED = "deprecated"
    RETIRED = "retired"


class Transition(models.TextChoices):
    """What moves an API from one state to another."""

    PUBLISH = "publish"
    UNPUBLISH = "unpublish"
    DEPRECATE = "deprecate"
    RETIRE = "retire"


#: transition -> (states it may start from, the state it leads to)
LIFECYCLE: dict[Transition, tuple[tuple[APIState, ...], APIState]] = {
    Transition.PUBLISH: ((APIState.DRAFT, APIState.DEPRECATED, APIState.RETIRED), APIState.PUBLISHED),
    Transition.UNPUBLISH: ((APIState.PUBLISHED, APIState.DEPRECATED), APIState.DRAFT),
    Transition.DEPRECATE: ((APIState.PUBLISHED,), APIState.DEPRECATED),
    Transition.RETIRE: ((APIState.DRAFT, APIState.PUBLISHED, APIState.DEPRECATED), APIState.RETIRED),
}

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
"""Of operations."""

SERVED = (APIState.PUBLISHED, APIState.DEPRECATED)


class HostState(models.TextChoices):
    """Whether a host name belongs to the tenant that says so. A name is proved for one tenant at most."""

    PENDING = "pending"
    PROVED = "proved"


class HostMethod(models.TextChoices):
    """How a host name came to its tenant."""

    DNS = "dns", "A DNS record"
    FILE = "file", "A file on the host"
    ADMINISTRATOR = "administrator", "An administrator's decision"
    IN_USE = "in_use", "In use before names were proved"


AUTHENTICATION: dict[str, str] = {
    OPEN: "No credential",
    **{each.word: each.label for each in AUTHENTICATORS},
}
"""How callers of an API say who they are: the words, and what the console calls each."""


class Approval(models.TextChoices):
    """Who decides an access request."""

    MANUAL = "manual", "A person decides"
    AUTOMATIC = "automatic", "Granted at once"


UPSTREAM_HOST = "upstream"
"""The value of ``host_header`` that sends the host of the upstream's URL."""


class RequestValidation(models.TextChoices):
    """What is done about calls that the OpenAPI document doesn't allow."""

    OFF = "off", "Nothing"
    REPORT = "report", "Report them"
    BLOCK = "block", "Refuse them"


class Reported(models.TextChoices):
    """Whether something is looked for and reported."""

    OFF = "off", "Not looked for"
    REPORT = "report", "Reported"


class DebugHeaders(models.TextChoices):
    """Who sees key and detail in Cache-Status."""

    NONE = "none", "Nobody"
    SUBSCRIBERS = "subscribers", "Callers with a subscription"
    ALL = "all", "Everybody"
