"""Who acts: a signed-in user, or the platform itself."""

from typing import Final

from django.contrib.auth.models import AnonymousUser

from apps.tenants.models import User


class Platform:
    """The platform as the author of a change: management commands, the schedule, automatic approval. May do everything."""

    email: Final = ""
    is_active: Final = True
    administrates: Final = True
    is_authenticated: Final = True

    def __str__(self) -> str:
        return "the platform"


PLATFORM: Final = Platform()

Actor = User | Platform | AnonymousUser


def user_of(actor: Actor) -> User | None:
    """The row to note as an author; ``None`` for the platform."""
    return actor if isinstance(actor, User) else None
