"""Second factors, with our way of counting guesses in place of allauth's."""

from allauth.core import context
from allauth.mfa.base import forms

from apps.tenants import throttle
from apps.tenants.adapter import AccountAdapter


class _Counted(forms.BaseAuthenticateForm):
    def clean_code(self) -> str:
        """The code, if it is right. Raises ``ValidationError`` for a wrong one, and for one guess too many."""
        attempt = throttle.code_attempt(context.request, self.user.email)
        if attempt is None:
            raise AccountAdapter().validation_error("too_many_login_attempts")
        code: str = super().clean_code()
        attempt.succeeded()
        return code


class AuthenticateForm(_Counted, forms.AuthenticateForm):
    """The second step of signing in."""


class ReauthenticateForm(_Counted, forms.ReauthenticateForm):
    """The same before something that matters."""
