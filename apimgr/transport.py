"""What the console tells browsers about how its answers travel."""

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
