"""Who takes how much of a tier.

What is stored is charged to an *account*: the tenant that owns the API, the API, and the tenant whose call had it
stored. So the memory is divided twice: among the owners of APIs, and within an API among its callers; neither an API
with endless responses nor a caller with endless query strings can push out what others have there.

The largest share gives first: of the tenants the largest, of its APIs the largest, of that one's callers the largest.
That is max-min fairness (as "longest queue drop" has it for buffers of packets): one active tenant may fill the whole
tier, and one that takes less than an equal part of it loses nothing to others. No part has to be reserved or computed.
"""

from typing import NamedTuple, Self


class Account(NamedTuple):
    """To whom an entry is charged, by slugs. ``caller`` is empty for anonymous calls and for what was pushed."""

    tenant: str
    api: str
    caller: str


UNCHARGED = Account("", "", "")


class Share:
    """What one part of a tree takes, in bytes; the root's children are tenants, then APIs, then callers.

    A share that takes something is among its parent's children; one that takes nothing is forgotten. Children are
    kept in classes of about equal size (an eighth of an octave), so that finding a largest one costs the same with
    ten or ten thousand of them; so "largest" means "within 12.5 % of it".
    """

    __slots__ = ("_children", "_class", "_classes", "_name", "_parent", "bytes")

    _parent: Self | None

    def __init__(self, name: str = "", parent: Self | None = None) -> None:
        self.bytes = 0
        self._name = name
        self._parent = parent
        self._class = 0
        self._children: dict[str, Self] = {}
        self._classes: dict[int, dict[Self, None]] = {}

    def child(self, name: str) -> Self:
        """The child of this name; a new one is kept when something is charged to it."""
        known = self._children.get(name)
        return type(self)(name, self) if known is None else known

    def charge(self: Self, size: int) -> None:
        """Adds ``size`` bytes, which may be negative, here and to everything above."""
        self.bytes += size
        if self._parent is not None:
            self._parent._classify(self)
            self._parent.charge(size)

    def largest(self) -> Self:
        """The leaf that gives first: of the largest child the largest child, and so on; itself when it has none."""
        share = self
        while share._children:
            share = share.largest_child()
        return share

    def largest_child(self) -> Self:
        """A largest child. Raises ``ValueError`` without any."""
        return next(iter(self._classes[max(self._classes)]))

    def _classify(self, child: Self) -> None:
        octave = child.bytes.bit_length()
        size_class = octave * 8 + (child.bytes >> octave - 4 & 7) if octave > 3 else child.bytes
        if size_class == child._class:
            return
        if child._class:
            peers = self._classes[child._class]
            del peers[child]
            if not peers:
                del self._classes[child._class]
        child._class = size_class
        if size_class:
            self._classes.setdefault(size_class, {})[child] = None
            self._children[child._name] = child
        else:
            del self._children[child._name]

    def __len__(self) -> int:
        return len(self._children)
