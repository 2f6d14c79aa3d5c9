"""What the OpenAPI schema can't read from the code by itself."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema


class SignatureScheme(OpenApiAuthenticationExtension):
    """How the schema names the signature of messages."""

    target_class = "apps.invalidation.api.authentication.SignatureAuthentication"
    name = "signature"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """An OpenAPI security scheme."""
        return {"type": "apiKey", "in": "header", "name": "X-Apimgr-Signature"}
