"""Messages are let in by their signature: the sender has no account here."""

import time
from dataclasses import dataclass
from typing import IO, cast

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.catalog.models import API
from apps.invalidation.messages import LARGEST
from apps.invalidation.services import secrets_of
from apps.invalidation.signatures import HEADER, BadSignature, check
from apps.rest.parsers import read_bounded
from apps.tenants.actors import PLATFORM, Platform


@dataclass(frozen=True)
class SignedMessage:
    """A message whose signature is good."""

    api: API
    body: bytes
    digest: str


class SignatureAuthentication(BaseAuthentication):
    """``X-Apimgr-Signature``, by the secret of the API that the address names."""

    def authenticate(self, request: Request) -> tuple[Platform, SignedMessage]:
        """The platform, which acts on the message. Raises ``AuthenticationFailed``.

        An API that isn't there, or has no webhook, is answered like a wrong signature: who can't sign learns nothing.
        """
        body = read_bounded(cast(IO[bytes], request._request), LARGEST)
        slug = cast(dict[str, str], request.parser_context["kwargs"])["api"]
        api, secrets = secrets_of(slug, timezone.now())
        try:
            # Something is compared in any case: the time that it takes tells nothing either.
            digest = check(request.headers.get(HEADER, ""), body, secrets or [""], time.time())
        except BadSignature as error:
            raise AuthenticationFailed(str(error)) from None
        if api is None:
            raise AuthenticationFailed("The signature is not of this body, time and API.")
        return PLATFORM, SignedMessage(api, body, digest)

    def authenticate_header(self, request: Request) -> str:
        """``WWW-Authenticate`` of a 401."""
        return 'Signature realm="apimgr"'
