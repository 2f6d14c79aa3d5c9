"""What an API may say, checked field by field, so that an error stands next to its field."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Q

from apps.catalog.certificates import LARGEST_TOGETHER, read_certificates
from apps.catalog.choices import METHODS, APIState
from apps.catalog.document import OperationFields, UpstreamFields
from apps.catalog.models import API, SETTINGS
from apps.catalog.selectors import host_owners
from apps.egress.addresses import refusal_of_url
from apps.foundation import field_names
from apps.wire.listen_paths import stem_of

Errors = dict[str, list[str]]

#: First segments of paths that say something of a whole host: to search engines, issuers of certificates, browsers and apps. Who
#: serves them on a host that other tenants' callers use speaks for all of them.
OF_A_HOST = frozenset(
    {
        ".well-known",
        "ads.txt",
        "app-ads.txt",
        "apple-app-site-association",
        "clientaccesspolicy.xml",
        "crossdomain.xml",
        "favicon.ico",
        "firebase-messaging-sw.js",
        "humans.txt",
        "manifest.json",
        "manifest.webmanifest",
        "ngsw-worker.js",
        "onesignalsdkworker.js",
        "robots.txt",
        "security.txt",
        "service-worker.js",
        "serviceworker.js",
        "site.webmanifest",
        "sitemap.xml",
        "sw.js",
    }
)
LARGEST_WEIGHT = 1000
MOST_UPSTREAMS = 100
MOST_OPERATIONS = 2000


def settings_errors(api: API) -> Errors:
    """What is wrong with an API's settings, by field; each that is right is put in the form in which it is kept. No queries."""
    errors: Errors = {}
    for name, setting in SETTINGS.items():
        wrong: Errors = {}
        kept = field_names.attempt(wrong, name, setting.checked, getattr(api, name))
        if not wrong:
            setattr(api, name, kept)
        errors |= wrong
    return errors


def shared_path_error(api: API) -> str | None:
    """Why only an administrator may publish ``api`` where it is: it has no host of its own, and would speak for whole hosts."""
    first = api.listen_path.strip("/").partition("/")[0].lower()
    if api.hosts or (first and first not in OF_A_HOST):
        return None
    told = f"/{first} says something of a whole host" if first else "/ is also /robots.txt, /.well-known/ and the like"
    return f"{told}, which other tenants share: name hosts of your own, or ask a platform administrator."


def upstreams_error(upstreams: Sequence[UpstreamFields]) -> Errors:
    """What is wrong with a list of upstreams, by field: ``upstreams`` for the list, ``upstreams.0.url`` inside."""
    errors: Errors = {}
    if len(upstreams) > MOST_UPSTREAMS:
        return {"upstreams": [f"At most {MOST_UPSTREAMS} upstreams."]}
    if sum(len(upstream.get("ca", "")) for upstream in upstreams) > LARGEST_TOGETHER:
        return {"upstreams": [f"Their certificates have at most {LARGEST_TOGETHER // 1024} KiB together."]}
    seen: set[str] = set()
    for index, upstream in enumerate(upstreams):
        url, weight = upstream.get("url"), upstream.get("weight", 1)
        if not isinstance(url, str) or not url:
            errors[f"upstreams.{index}.url"] = ["An upstream has a URL."]
            continue
        if refusal := refusal_of_url(url) or ("At most 500 characters." if len(url) > 500 else None):
            errors[f"upstreams.{index}.url"] = [refusal]
        elif url in seen:
            errors[f"upstreams.{index}.url"] = ["This upstream is there already: give it a greater weight."]
        seen.add(url)
        if not _within(weight, 1, LARGEST_WEIGHT):
            errors[f"upstreams.{index}.weight"] = [f"Between 1 and {LARGEST_WEIGHT}."]
        if refusal := _ca_refusal(url, upstream.get("ca", "")):
            errors[f"upstreams.{index}.ca"] = [refusal]
    return errors


def _ca_refusal(url: str, ca: str) -> str | None:
    try:
        kept = read_certificates(ca)
    except ValueError as refusal:
        return str(refusal)
    return "Only an https address is vouched for by certificates." if kept and not url.startswith("https:") else None


def operations_error(operations: Sequence[OperationFields]) -> Errors:
    """What is wrong with a list of operations, by field."""
    errors: Errors = {}
    if len(operations) > MOST_OPERATIONS:
        return {"operations": [f"At most {MOST_OPERATIONS} operations."]}
    seen: set[tuple[str, str]] = set()
    for index, operation in enumerate(operations):
        method, path = operation.get("method", ""), operation.get("path", "")
        if method not in METHODS:
            errors[f"operations.{index}.method"] = [f"One of {', '.join(METHODS)}."]
        elif not path.startswith("/") or len(path) > 300:
            errors[f"operations.{index}.path"] = ["A path starts with a slash and has at most 300 characters."]
        elif (method, path) in seen:
            errors[f"operations.{index}.path"] = [f"{method} {path} is there already."]
        seen.add((method, path))
    return errors


def collision(api: API) -> API | None:
    """Another API, not retired, on the same listen path (with or without a slash at its end) and an overlapping set of hosts.
    One query.

    Nested paths don't collide: the longest wins. Nor does a named host with "any host": the named one wins.
    """
    stem = stem_of(api.listen_path)
    others = API.objects.filter(listen_path__in=(stem, f"{stem}/")).exclude(state=APIState.RETIRED).exclude(pk=api.pk)
    for other in others:
        if not (api.hosts or other.hosts) or set(api.hosts) & set(other.hosts):
            return other
    return None


def foreign_neighbour(api: API) -> API | None:
    """Another tenant's API, not retired, that answers for calls which ``api`` would take, or the other way round. One query.

    The longest path and a named host win, so an API inside another one's path, or on its path with a host's name, gets calls that
    were meant for the other, with the credentials of its callers. ``/`` is everybody's ground. On a tenant's own hosts other
    tenants' APIs don't answer, so they are no neighbours there.
    """
    segments = api.listen_path.strip("/").split("/")
    stems = ["/" + "/".join(segments[: count + 1]) for count in range(len(segments))]
    around = [*stems, *(f"{stem}/" for stem in stems)]
    inside = f"{stem_of(api.listen_path)}/"
    near = API.objects.filter(Q(listen_path__in=around) | Q(listen_path__startswith=inside))
    others = list(near.exclude(state=APIState.RETIRED).exclude(tenant=api.tenant_id))
    owners = host_owners(host for each in (api, *others) for host in each.hosts)

    def own(one: API) -> bool:
        return bool(one.hosts) and all(host in owners and owners[host].tenant_id == one.tenant_id for host in one.hosts)

    for other in others:
        nested = other.listen_path in around or other.listen_path.startswith(inside)
        anywhere = (not api.hosts and not own(other)) or (not other.hosts and not own(api))
        if nested and (anywhere or set(api.hosts) & set(other.hosts)):
            return other
    return None


def _within(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
