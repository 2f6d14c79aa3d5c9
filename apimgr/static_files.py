"""Scripts, styles and images of the console, served by the console itself."""

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """WhiteNoise whose responses are whole: the files are small, and under ASGI Django would join its parts and warn of that."""

    @staticmethod
    def serve(static_file: StaticFile, request: HttpRequest) -> HttpResponse:
        """The response with a file, or that the client's copy is still good."""
        parts = WhiteNoiseMiddleware.serve(static_file, request)
        whole = HttpResponse(parts.getvalue(), status=parts.status_code)
        del whole["content-type"]
        for name, value in parts.items():
            whole[name] = value
        parts.close()
        return whole
