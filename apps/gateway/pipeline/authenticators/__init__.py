"""The ways in which callers say who they are, one module and one class each; ``table`` lists them. A way is a word in an API's
``authentication``, and all that knows one way from another is here: the stage, what never reaches an upstream, what the console
offers, the calls that it shows and makes, and what explains a call go by these methods.

A way says where in a head something stands, and by what the record of the caller is known, which the control plane keeps. For most
that is a secret; a way that has to ask another server first says so with ``Need``, as stages do. Ways hold nothing themselves: what
a worker has and remembers for them is in its ``sources``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from apps.gateway.call.call import Call
from apps.gateway.call.problems import Problem
from apps.gateway.pipeline.authenticators.sources import Sources
from apps.gateway.pipeline.stages import FOREVER, Need
from apps.httpcache.messages import Headers
from apps.wire.snapshot import API, Credential

AUTHORIZATION = b"authorization"
"""The field that several ways share, each under a scheme of its own (RFC 9110 §11.6.2)."""


@dataclass(slots=True, frozen=True)
class Presented:
    """What a caller says of itself. ``secret`` is ``None`` where it can't be read, or is there more than once."""

    secret: bytes | None
    user: bytes = b""
    """Whose secret it is, where the way has a place for that."""
    digests: Mapping[str, bytes] = field(default_factory=dict)
    """By algorithm what the body of the call has to hash to, where that is part of it."""


@dataclass(slots=True, frozen=True)
class Identified:
    """Whose it is. ``by`` is what the record is known by, 16 to 512 bytes of an API key, of which the control plane keeps the HMAC;
    of another ``kind`` (a client ID, a fingerprint, a signing key's ID) in a ``namespace``. ``until`` is how long (Unix seconds)
    the same head says the same, where a clock has a say in it. ``subject`` tells apart those who call with one credential.
    """

    by: bytes
    until: float = FOREVER
    kind: str = "api_key"
    namespace: str = ""
    subject: str = ""


@dataclass(slots=True, frozen=True)
class Refused:
    """Why it isn't known whose it is. ``why`` is the code of a closed list, for the call's trace; ``detail`` what the caller reads
    instead of the problem's own; ``challenge`` what ``WWW-Authenticate`` says instead of the way's own.
    """

    problem: Problem
    why: str = ""
    detail: str | None = None
    challenge: bytes = b""
    retry_after: int = 5
    """Seconds after which a call may be made again that can't be decided now (503), or came too often (429)."""
    passes: bool = False
    """Another way that the API takes may know it."""


class Authenticator:
    """A way. Asked on every call whose head isn't remembered."""

    word: str
    """What an API's ``authentication`` calls it."""
    label: str
    """What the console calls it."""

    usual: frozenset[bytes]
    """The request fields (in lower case) in which it stands unless an API says otherwise."""

    secret_is_key = True
    """Whether its secrets are keys of the platform, which no upstream may see, also where an API doesn't take this way."""

    def fields(self, key_header: str, basic_user: bool) -> frozenset[bytes]:
        """Those in which it stands at an API with this header for keys, and perhaps keys as the user of ``Basic``. They never
        reach the upstreams of one that takes it.
        """
        return self.usual

    def secret_in(self, value: bytes) -> bytes | None:
        """The secret that a value of such a field holds; ``None``: it can hold none. Where an API doesn't take this way, the
        field goes on unless that is a key of the platform.
        """
        raise NotImplementedError

    def find_in(self, x: Call) -> Presented | None:
        """What the caller says of itself in a call; ``None``: nothing. For ways that look at more than fields."""
        return self.find(x.api, x.headers)

    def find(self, api: API, headers: Headers) -> Presented | None:
        """The same of the call's fields."""
        fields = self.fields(api.api_key_header, api.api_key_basic_user)
        values = [value for name, value in headers if name in fields]
        return self.read(values) if values else None

    def read(self, values: list[bytes]) -> Presented | None:
        """The same of the values of its fields, of which there is one at least. Ways may share a field: ``None`` where this
        one isn't spoken in it.
        """
        return Presented(self.secret_in(values[0]) if len(values) == 1 else None)

    def identify(self, x: Call, presented: Presented, sources: Sources) -> Identified | Need | Refused:
        """Whose it is. After ``Need`` it is asked again."""
        return Refused(Problem.INVALID_CREDENTIAL) if presented.secret is None else Identified(presented.secret)

    def is_whose(self, presented: Presented, credential: Credential) -> bool:
        """Whether the record of the secret is that of whom the caller says to be. Asked with nothing that a caller can time."""
        return True

    def is_used(self, x: Call, presented: Presented, sources: Sources) -> bool:
        """Whether another call was let in by it, where it is good for one. Asked of what is right in all else, perhaps more than
        once for a call.
        """
        return False

    def challenge(self, api: API) -> bytes:
        """What ``WWW-Authenticate`` says of it."""
        raise NotImplementedError

    def example(self, key_header: str, application: str, secret: str) -> tuple[str, str]:
        """The request field of a call with a secret of an application (``tenant/application``)."""
        raise NotImplementedError

    def curl(self, key_header: str, application: str, secret: str) -> list[str]:
        """The same as arguments of ``curl``, in which a reader can put values of their own."""
        return ["-H", ": ".join(self.example(key_header, application, secret))]
