"""Cookies on their way in and out of the console, before and after everything else."""

from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin


class SecureCookies(MiddlewareMixin):
    """Cookies that leave over HTTPS are never sent back over HTTP: those of sessions, of CSRF, and every other.

    Whether a call came over HTTPS, a proxy that ``TRUSTED_PROXIES`` names says by ``X-Forwarded-Proto``. To be the first
    middleware, so that it sees what all others set. With ``SECURE_COOKIES`` they are so on every call.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """The answer, its cookies marked."""
        if request.is_secure():
            for cookie in response.cookies.values():
                cookie["secure"] = True
        return response


class PlainCookies(MiddlewareMixin):
    """Leaves out cookies with a backslash before anything reads them: none of ours has one, and Python up to 3.11.9 and
    3.12.5 takes quadratic time to read many (CVE-2024-7592): one call of a stranger's held the console for seconds.
    """

    def process_request(self, request: HttpRequest) -> None:
        """The call, with the cookies that may be read."""
        sent = request.META.get("HTTP_COOKIE", "")
        if "\\" in sent:
            request.META["HTTP_COOKIE"] = ";".join([each for each in sent.split(";") if "\\" not in each])
