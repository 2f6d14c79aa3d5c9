"""The demo within an installation: made at the first start, its origin served at every start."""

import contextlib
import socket
import sys
from dataclasses import dataclass

import msgspec
from django.conf import settings

from apps.catalog.models import Upstream
from apps.catalog.services import upstream_update
from apps.demo.credentials import Credentials, keep, kept
from apps.demo.seed import PROVIDER, is_empty, let_demo_reach, plant
from apps.foundation.child_command import Command, manage
from apps.supervisor.child_process import ChildPlan
from apps.supervisor.ports import PortTaken, listen
from apps.tenants.actors import PLATFORM
from apps.tenants.models import Tenant


@dataclass(frozen=True)
class Demo:
    """A demo to run. ``is_new``: it was made at this start, so dashboards have nothing to show yet."""

    credentials: Credentials
    listener: socket.socket
    is_new: bool

    def origin(self) -> ChildPlan:
        """Its origin."""
        descriptor = self.listener.fileno()
        return ChildPlan(
            name="origin",
            command=Command(
                executable=sys.executable,
                argv=[sys.executable, "-m", "apps.demo.origin"],
                cwd=settings.BASE_DIR,
                environment={"ORIGIN_FD": str(descriptor), "PYTHONUNBUFFERED": "1"},
                nice=10,  # never in the way of what it is there to show
            ),
            inherited=[descriptor],
        )

    def traffic(self) -> list[ChildPlan]:
        """Its calls through the gateway: a few for as long as it runs, and many for some minutes when it is new."""
        plans = [ChildPlan(name="demo", command=manage("demo", "--steady", root=settings.BASE_DIR))]
        if self.is_new:
            first = manage("demo", "--traffic", root=settings.BASE_DIR)
            plans.append(ChildPlan(name="demo first", command=first, once=True))
        return plans


def demo_prepare() -> Demo | None:
    """The demo of this installation: what an earlier start made, else a new one if nothing else is here, else none.

    None either when somebody deleted its provider: there is nothing left to call.

    The origin keeps its port. When another process has it by now, it takes another, and its APIs' upstreams follow.
    """
    credentials = kept(settings.DATA_DIR)
    if credentials is None:
        if not is_empty():
            return None
        listener = _listen(0)
        try:
            return Demo(plant(settings.DATA_DIR, origin_port=listener.getsockname()[1]), listener, is_new=True)
        except BaseException:
            listener.close()
            raise
    if not Tenant.objects.filter(slug=PROVIDER).exists():
        return None
    with contextlib.suppress(PortTaken):
        demo = Demo(credentials, _listen(credentials.origin_port), is_new=False)
        _open_way(credentials.origin_port)
        return demo
    listener = _listen(0)
    return Demo(_move(credentials, listener.getsockname()[1]), listener, is_new=False)


def _listen(port: int) -> socket.socket:
    return listen("127.0.0.1", port, use="the demo's origin", variable="DEMO")


def _open_way(port: int) -> None:
    for tenant in Tenant.objects.filter(slug=PROVIDER):
        let_demo_reach(tenant, port)


def _move(credentials: Credentials, port: int) -> Credentials:
    _open_way(port)
    old, new = (f"http://127.0.0.1:{number}/" for number in (credentials.origin_port, port))
    for upstream in list(Upstream.objects.filter(url__startswith=old)):
        upstream_update(actor=PLATFORM, upstream=upstream, url=new + upstream.url.removeprefix(old))
    moved = msgspec.structs.replace(credentials, origin_port=port)
    keep(settings.DATA_DIR, moved)
    return moved
