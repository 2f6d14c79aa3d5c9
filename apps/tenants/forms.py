"""allauth's forms where ours do it in another way: letters to strangers, and second factors with our count of guesses."""

from typing import Any

from allauth.account.forms import ResetPasswordForm as AnyResetPasswordForm
from allauth.account.internal.stagekit import clear_login
from allauth.core import context
from allauth.mfa.base import forms
from django.http import HttpRequest

from apps.tenants import emails, sign_in_log, throttle
from apps.tenants.sign_in import AccountAdapter, began_with_todays_password


class ResetPasswordForm(AnyResetPasswordForm):
    """*Forgot your password?* allauth looks for the account before it answers, and does more where there is one."""

    def clean_email(self) -> str:
        """The address, whichever user has it."""
        return AccountAdapter().clean_email(self.cleaned_data["email"].lower())

    def save(self, request: HttpRequest, **kwargs: Any) -> str:
        """Send the letter."""
        address: str = self.cleaned_data["email"]
        emails.forgotten(address)
        return address


class _Counted(forms.BaseAuthenticateForm):
    def clean_code(self) -> str:
        """The code, if it is right. Raises ``ValidationError`` for a wrong one, and for one guess too many."""
        attempt = throttle.code_attempt(context.request, self.user.email)
        if attempt is None:
            sign_in_log.failed(context.request, self.user.email, "Too many wrong codes of the second factor")
            raise AccountAdapter().validation_error("too_many_login_attempts")
        code: str = super().clean_code()
        attempt.succeeded()
        return code


class AuthenticateForm(_Counted, forms.AuthenticateForm):
    """The second step of signing in."""

    def clean_code(self) -> str:
        """The code, as above. Raises ``ValidationError`` too when the first step was taken with a password of before."""
        if not began_with_todays_password(context.request, self.user):
            clear_login(context.request)  # so that the page for signing in doesn't lead back here
            raise AccountAdapter().validation_error("password_changed")
        return super().clean_code()


class ReauthenticateForm(_Counted, forms.ReauthenticateForm):
    """The same before something that matters."""
