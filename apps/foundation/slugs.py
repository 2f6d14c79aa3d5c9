"""Short names that new objects get: made of a name, free, and none of the words that addresses need.

A slug stands in addresses, where ``/apis/import/`` is a page of its own and would hide an API ``import``. So such words are refused
when something is made. What had one before keeps it: REST and the declarative file know it by it, and nothing of it has to move.
"""

from collections.abc import Mapping

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.text import slugify

LONGEST = 64

#: kind of object -> what stands in the place of its slug in addresses of the console or of the REST API
RESERVED: Mapping[str, frozenset[str]] = {
    "api": frozenset({"import", "register"}),
    "application": frozenset(),
    "introspection": frozenset({"new"}),
    "issuer": frozenset({"new"}),
    "plan": frozenset({"new"}),
    "tenant": frozenset({"new"}),
}

_LETTERS = str.maketrans(
    {
        "ß": "ss",
        "æ": "ae",
        "Æ": "ae",
        "œ": "oe",
        "Œ": "oe",
        "ø": "o",
        "Ø": "o",
        "đ": "d",
        "Đ": "d",
        "ł": "l",
        "Ł": "l",
        "ı": "i",
    }
)
"""Latin letters that have no accent to take away."""


class SlugTaken(ValidationError):
    """A slug that wasn't typed can't be had; ``free`` is one that can, to offer in its field."""

    def __init__(self, message: str, free: str) -> None:
        super().__init__({"slug": message})
        self.free = free


def refuse_reserved(row: models.Model) -> None:
    """For ``clean()`` of a model with a slug. Raises ``ValidationError`` on a new row with a reserved one."""
    kind, slug = str(row._meta.model_name), getattr(row, "slug", "")
    if row._state.adding and slug in RESERVED[kind]:
        raise ValidationError(
            {"slug": f"{slug} is a word of the addresses of {row._meta.verbose_name_plural}: choose another."}
        )


def slug_of(name: str) -> str:
    """What can be made of ``name``: nothing of one in another script."""
    return slugify(name.translate(_LETTERS))[:LONGEST].strip("-_")


def free_slug(name: str, others: models.QuerySet) -> str:
    """``slug_of`` a new object's ``name``, which none of ``others`` has. Raises ``SlugTaken`` with the next one that is free where
    that can't be had.
    """
    kind = str(others.model._meta.model_name)
    wanted = slug_of(name)
    base = wanted or f"{kind}-1"
    stem = kind if not wanted else wanted[: LONGEST - 5]
    had = {*others.filter(slug__startswith=stem).values_list("slug", flat=True), *RESERVED[kind]}
    if wanted and wanted not in had:
        return wanted
    candidates = [base, *(f"{stem}-{number}" for number in range(2, len(had) + 3))]
    free = next(candidate for candidate in candidates if candidate not in had)
    if not wanted:
        raise SlugTaken(f"No short name can be made of this name: {free} is free.", free)
    why = "is a word of addresses" if wanted in RESERVED[kind] else "is there already"
    raise SlugTaken(f"{wanted} {why}: {free} is free.", free)


def named(name: str, slug: str) -> str:
    """What tells an object from others of its name: with the slug in parentheses, unless that is the name's own."""
    return name if slug_of(name) == slug else f"{name} ({slug})"
