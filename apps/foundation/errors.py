"""What services raise besides Django's own ``PermissionDenied`` and ``ValidationError`` (by field, the model's field names)."""


class Conflict(Exception):
    """The change came too late: another change moved the object first, or it is no longer in a state that allows this.

    The message is for the person who asked; it says who was first where that is known.
    """


class Unavailable(Exception):
    """A part that the change needs is away: nothing was changed, and trying again later may help."""
