"""The words of cache policies and purges. Their meaning is the contract's: see docs/declarative-file.md."""

from django.db import models


class CacheMode(models.TextChoices):
    """Who decides how long a response is fresh."""

    ORIGIN = "origin", "What the origin's headers say"
    TTL = "ttl", "The TTL, where the origin gives no lifetime"
    OVERRIDE = "override", "The TTL, whatever lifetime the origin gives"
    OFF = "off", "Nothing is cached"


class QueryMode(models.TextChoices):
    """Which query parameters are part of the key, and so are forwarded."""

    ALL = "all", "All"
    INCLUDE = "include", "Only those named"
    EXCLUDE = "exclude", "All but those named"


class CacheScope(models.TextChoices):
    """Among whom a stored response may be shared."""

    AUTO = "auto", "As narrow as what the upstream was told"
    SHARED = "shared", "Every caller"
    TENANT = "tenant", "The caller's tenant"
    APPLICATION = "application", "The caller's application"
    SUBJECT = "subject", "The one caller"


class ClientDirectives(models.TextChoices):
    """What becomes of a caller's Cache-Control."""

    HONOUR = "honour", "Obeyed"
    BOUNDED = "bounded", "Obeyed, with one collapsed revalidation a second per key"
    IGNORE = "ignore", "Ignored"


class Sensitivity(models.TextChoices):
    """A cap on how responses may be kept."""

    PUBLIC = "public"
    INTERNAL = "internal"
    PERSONAL = "personal"
    SECRET = "secret"


class BodyKey(models.TextChoices):
    """How the body of a read-only POST or QUERY enters the key."""

    RAW = "raw", "Byte by byte"
    JSON = "json", "JSON in one form, whatever its spaces and the order of its names"
    GRAPHQL = "graphql", "A GraphQL query in one form, with its variables"


class SurrogateControl(models.TextChoices):
    """What becomes of Surrogate-Control and targeted fields on the way to caches behind the gateway."""

    REMOVE = "remove", "Removed: they were for this cache"
    PASS = "pass", "Passed on"


class PurgeKind(models.TextChoices):
    """What a purge names."""

    API = "api", "The whole API"
    PATH = "path", "One path, with every variant"
    PREFIX = "prefix", "A path prefix"
    TAG = "tag", "A tag"
    OPERATION = "operation", "An operation"
    TENANT = "tenant", "What is a tenant's own"
    APPLICATION = "application", "What is an application's own"
