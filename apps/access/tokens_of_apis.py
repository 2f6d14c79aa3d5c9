"""Which issuers and introspection servers APIs name: checked when an API is saved, and asked before one of these goes.

An API takes tokens of the platform's issuers, and of its own tenant's; gateways hold to that too.
"""

from django.db.models import Q, QuerySet

from apps.access.models import Introspection, Issuer
from apps.catalog.models import API
from apps.foundation import field_names
from apps.tenants.actors import Actor


def token_errors(actor: Actor, api: API) -> field_names.Errors:
    """What is wrong, by field, with the issuers and the introspection server that ``api`` names, and with ways of saying who
    calls that need some. At most two queries, none where it names none.
    """
    return _issuer_errors(api) | _introspection_errors(api)


def _issuer_errors(api: API) -> field_names.Errors:
    slugs = api.jwt["issuers"]
    if not slugs:
        if "jwt" not in api.authentication:
            return {}
        return {"jwt.issuers": ["Name at least one issuer whose tokens are taken, or leave jwt out of authentication."]}
    known = {issuer.slug: issuer for issuer in issuers_nameable_by(api).filter(slug__in=slugs)}
    if unknown := [slug for slug in slugs if slug not in known]:
        return {
            "jwt.issuers": [
                f"There is no issuer {', '.join(unknown)} that {api.tenant} may name: add it under Issuers."
            ]
        }
    said: dict[str, str] = {}
    for slug, issuer in known.items():
        if other := said.get(issuer.issuer):
            return {"jwt.issuers": [f"{other} and {slug} both say {issuer.issuer} in iss: name one of them."]}
        said[issuer.issuer] = slug
    return {}


def _introspection_errors(api: API) -> field_names.Errors:
    if not api.introspection:
        if "introspection" not in api.authentication:
            return {}
        return {"introspection": ["Name the server that is asked, or leave introspection out of authentication."]}
    if introspections_nameable_by(api).filter(slug=api.introspection).exists():
        return {}
    return {
        "introspection": [
            f"There is no introspection server {api.introspection} that {api.tenant} may name: add it under Issuers."
        ]
    }


def issuers_nameable_by(api: API) -> QuerySet[Issuer]:
    """Those whose tokens ``api`` may take."""
    return Issuer.objects.filter(_nameable(api))


def introspections_nameable_by(api: API) -> QuerySet[Introspection]:
    """Those that ``api`` may have asked."""
    return Introspection.objects.filter(_nameable(api))


def apis_taking_tokens_of(issuer: Issuer) -> list[API]:
    """The APIs that name ``issuer``. One query."""
    return [api for api in API.objects.select_related("tenant") if issuer.slug in api.jwt["issuers"]]


def apis_asking(server: Introspection) -> list[API]:
    """The APIs that name ``server``. One query."""
    return list(API.objects.select_related("tenant").filter(introspection=server.slug))


def _nameable(api: API) -> Q:
    return Q(tenant=None) | Q(tenant=api.tenant_id)
