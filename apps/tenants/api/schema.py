"""What the OpenAPI schema can't read from the code by itself."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema


class TokenScheme(OpenApiAuthenticationExtension):
    """How the schema names bearer tokens. Not beside the class it describes: that is imported while DRF itself still is."""

    target_class = "apps.tenants.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """An OpenAPI security scheme."""
        return {"type": "http", "scheme": "bearer"}
