"""How sign-in behaves: accounts are made by administrators and owners, not by strangers."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.decorators import reauthentication_required
from allauth.account.signals import password_reset
from allauth.core.exceptions import ReauthenticationRequired
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare

from apps.foundation.secrets import ring
from apps.foundation.via import coming_by
from apps.tenants import sign_in_log, throttle
from apps.tenants.models import User
from apps.tenants.services import user_set_password

TOO_OFTEN = (
    "Too many failed attempts. Wait five minutes, use a browser in which you have signed in before, "
    "or ask for a link by \u201cForgot your password?\u201d."
)

_SECOND_FACTOR = b"second factor"
_BEGUN_WITH = "signing in began with"


class AccountAdapter(DefaultAccountAdapter):
    """No public sign-up; and guesses are counted so that they lock no other user out."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "too_many_login_attempts": TOO_OFTEN,
        "password_changed": "Sign in again: the password was changed.",
    }
    _attempt: throttle.Attempt | None = None

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Raises ``ValidationError`` for one guess too many."""
        self._attempt = throttle.password_attempt(request, credentials.get("email", ""))
        if self._attempt is None:
            sign_in_log.failed(request, credentials.get("email", ""), "Too many failed attempts")
            raise self.validation_error("too_many_login_attempts")

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """A wrong password, or an account that isn't there: the audit log tells no difference."""
        sign_in_log.failed(request, credentials.get("email", ""), "Wrong password")

    def _rollback_login_failed_rl_usage(self) -> None:
        if self._attempt is not None:
            self._attempt.succeeded()

    def pre_login(self, request: HttpRequest, user: User, **details: Any) -> HttpResponse | None:
        """Signing in begins: the password is right, or the key of a link. What steps follow may come minutes later."""
        request.session[_BEGUN_WITH] = user.get_session_auth_hash()
        response: HttpResponse | None = super().pre_login(request, user, **details)
        return response

    def post_login(self, request: HttpRequest, user: User, **details: Any) -> HttpResponse:
        """Where signing in, with all its steps, leads to."""
        response: HttpResponse = super().post_login(request, user, **details)
        throttle.remember(request, response, user.email)
        return response

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Refused: a platform's users are invited."""
        return False

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Refused: what people who aren't signed in can have sent is in ``emails``, with the installation's own addresses. Those
        that allauth makes name the host and port that the request named, and the server there would get a link's key.
        """
        raise ValueError(f"There is no letter {template_prefix}.")

    def set_password(self, user: User, password: str) -> None:
        """Through the service, so that the audit log has it. The forms have asked for the old one, or for the key of a link."""
        with coming_by("console"):
            user_set_password(actor=user, user=user, password=password)


@receiver(password_reset)
def _forgive(request: HttpRequest, user: User, **kwargs: Any) -> None:
    """A password that was reset by the link of an e-mail: who did that reads the account's mail."""
    throttle.forgive(request, user.email)


def began_with_todays_password(request: HttpRequest, user: User) -> bool:
    """Whether signing in, which waits for its second factor, began with the password that the account has now."""
    return constant_time_compare(request.session.get(_BEGUN_WITH, ""), user.get_session_auth_hash())


def has_confirmed(request: HttpRequest) -> bool:
    """Whether the person in this session gave their password or a second factor again, within the last five minutes."""
    try:
        reauthentication_required(lambda _: HttpResponse())(request)
    except ReauthenticationRequired:
        return False
    return True


class MFAAdapter(DefaultMFAAdapter):
    """The secrets of second factors are encrypted in the database."""

    def encrypt(self, text: str) -> str:
        """As the database holds it."""
        return ring().encrypt(text.encode(), _SECOND_FACTOR)

    def decrypt(self, encrypted_text: str) -> str:
        """What ``encrypt`` was given. Raises ``Undecipherable``."""
        return ring().decrypt(encrypted_text, _SECOND_FACTOR).decode()


def reencrypt_second_factors() -> int:
    """Have the first of FIELD_KEYS encrypt what an older one did; how many rows that were. Raises ``Undecipherable``."""
    adapter, count = MFAAdapter(), 0
    for pk in Authenticator.objects.values_list("pk", flat=True):
        with transaction.atomic():
            row = Authenticator.objects.select_for_update().filter(pk=pk).first()
            old = {} if row is None else {word: row.data[word] for word in ("secret", "seed") if word in row.data}
            if row is None or all(ring().is_current(text) for text in old.values()):
                continue
            row.data |= {word: adapter.encrypt(adapter.decrypt(text)) for word, text in old.items()}
            row.save(update_fields=["data"])
            count += 1
    return count
