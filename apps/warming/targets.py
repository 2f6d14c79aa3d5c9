"""Which calls a URL means: scheme, ``Host`` and target as callers send them, because all three are in the cache's key."""

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from django.conf import settings

from apps.catalog.choices import SERVED, HostState
from apps.catalog.models import API, HostName
from apps.fleet.compile import compile_api
from apps.foundation.path_templates import refusal_of_template
from apps.gateway.config.worker_config import Routes
from apps.httpcache import Target, normalise_target
from apps.wire.host_names import is_wildcard
from apps.wire.listen_paths import is_at, path_at, stem_of

_GOES_WITHOUT_SAYING = {"http": ":80", "https": ":443"}


class WarmUpCall(NamedTuple):
    """One GET as a gateway would see it; ``target`` is in the one form that is keyed and forwarded."""

    scheme: str
    host: str
    target: str

    @property
    def url(self) -> str:
        """As people write it."""
        return f"{self.scheme}://{self.host}{self.target}"


class Targets:
    """URLs of one API. Reads the served APIs on and inside its listen path, once: a longer listen path takes calls away."""

    def __init__(self, api: API) -> None:
        served = API.objects.filter(state__in=SERVED)
        row = served.select_related("tenant", "cache_policy").prefetch_related("upstreams", "operations")
        own_row = row.filter(pk=api.pk).first()
        self.compiled = compile_api(own_row) if own_row is not None else None
        self._routes = Routes()
        if self.compiled is not None:
            self._routes.put(self.compiled)
            near = served.filter(listen_path__startswith=stem_of(api.listen_path)).exclude(pk=api.pk)
            for slug, tenant, listen_path, hosts in near.values_list("slug", "tenant__slug", "listen_path", "hosts"):
                # What else they are doesn't matter here, and may be much.
                other = {"slug": slug, "tenant": tenant, "listen_path": listen_path, "hosts": tuple(hosts)}
                self._routes.put(msgspec.structs.replace(self.compiled, **other))
            for host, tenant in HostName.objects.filter(state=HostState.PROVED).values_list("host", "tenant__slug"):
                self._routes.own(host, tenant)
        own = urlsplit(settings.GATEWAY_URL)
        self.scheme, self._authority = own.scheme, own.netloc
        self._api = api

    def calls(self, urls: Iterable[str]) -> list[WarmUpCall]:
        """All that the URLs mean, each once. Raises ``ValueError`` like ``of``."""
        return list(dict.fromkeys(call for url in urls for call in self.of(url)))

    def of(self, url: str) -> list[WarmUpCall]:
        """What one URL means: itself, if it is whole; a path means each of the API's hosts, or the gateway's own address.
        What is below a wildcard is not known here: it is to be named.

        A path may have the API's listen path in front or not. Raises ``ValueError`` with a sentence for who wrote it.
        """
        if refused := refusal_of_template(url):
            raise ValueError(refused)
        try:
            parts = urlsplit(url)
            if parts.netloc and parts.scheme not in _GOES_WITHOUT_SAYING:
                raise ValueError
        except ValueError:
            raise ValueError("This is not a URL.") from None
        path = parts.path or "/"
        query = f"?{parts.query}" if parts.query or url.partition("#")[0].endswith("?") else ""
        if parts.netloc:
            places = [(parts.scheme.lower(), _host(parts.netloc.removesuffix(_GOES_WITHOUT_SAYING[parts.scheme])))]
        else:
            if not is_at(self._api.listen_path, path.encode()):
                path = path_at(self._api.listen_path, path)
            names = [host for host in self._api.hosts if not is_wildcard(host)]
            if self._api.hosts and not names:
                raise ValueError(
                    f"Write a whole URL: a path doesn't say which host of {', '.join(self._api.hosts)} is meant."
                )
            places = [(self.scheme, _host(host)) for host in names or [self._authority]]
        target = normalise_target((path + query).encode())
        if target is None:
            raise ValueError("The gateway refuses this path with 400.")
        for _, host in places:
            self._check(host, target)
        text = target.path.decode("ascii") + ("" if target.query is None else f"?{target.query.decode('ascii')}")
        return [WarmUpCall(scheme, host, text) for scheme, host in places]

    def _check(self, host: str, target: Target) -> None:
        if self.compiled is None:
            raise ValueError(f"{self._api} isn't served: publish it first.")
        found = self._routes.find(host.encode(), target.path)
        if found is None or not is_at(found.listen_path, target.path):
            raise ValueError(f"Calls to this URL don't reach {self._api}, which listens on {self._api.listen_path}.")
        if found is not self.compiled:
            raise ValueError(f"Calls to this URL reach another API than {self._api}.")


def _host(authority: str) -> str:
    """A ``Host`` field as clients send it."""
    return authority.lower() if authority.isascii() else authority.lower().encode("idna").decode()
