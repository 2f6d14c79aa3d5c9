"""Nothing calls out but through the guard: every place in the code that can open a connection is named here, with the reason.

What a tenant names (upstreams, CDNs, and later key sets, introspection, alerts, models) goes through ``apps.egress.outbound`` or
the gateway's upstream client, which ask the guard. The rest calls what the operator's environment names, or the platform itself.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

GUARD = "asks the guard for each connection"
OPERATOR = "calls a server that the operator's environment names"
ITSELF = "calls the platform's own gateway or console"
LISTENS = "listens, or is handed a listening socket; opens no connection"
PROBE = "asks the kernel from which address datagrams would go; sends none"

LISTED: dict[str, dict[str, str]] = {
    "apps/egress/outbound.py": {
        "httpx.Client": GUARD,
        "httpx.HTTPTransport": GUARD,
        "import httpcore": "how the guard's own transport connects: a call ends in time",
        "socket.create_connection": GUARD,
        "socket.socket": "names a type",
    },
    "apps/catalog/host_proofs.py": {
        "import dns.resolver": "asks the machine's own DNS resolver for a TXT record",
        "import dns.exception": "names errors",
    },
    "apps/egress/rules.py": {"socket.socket": PROBE, ".connect": PROBE},
    "apps/gateway/upstream/client.py": dict.fromkeys((".create_connection", ".sock_connect", "socket.socket"), GUARD),
    "apps/audit/apps.py": {".connect": "of a signal of Django's"},
    "apps/gateway/server/worker.py": {"socket.socket": LISTENS},
    "apps/wire/redis_client.py": {".from_url": OPERATOR, "Sentinel": OPERATOR, "AsyncSentinel": OPERATOR},
    "apps/invalidation/consumer.py": {".create_connection": OPERATOR, "Connection": OPERATOR},
    "apps/invalidation/forwarding.py": {"httpx.Client": "names the type of the guard's client"},
    "apps/fleet/issuer_keys.py": {"httpx.Client": "names the type of the guard's client"},
    "apps/supervisor/valkey.py": {
        "socket.socket": "a Unix socket of the embedded servers",
        ".connect": OPERATOR,
    },
    "apps/supervisor/ports.py": {"socket.socket": LISTENS},
    "apps/supervisor/up.py": {"httpx.AsyncClient": ITSELF},
    "apps/demo/traffic.py": {"httpx.AsyncClient": ITSELF},
    "apps/supervisor/demo.py": {"socket.socket": LISTENS},
    "apps/demo/origin.py": {"socket.socket": LISTENS},
    "apps/supervisor/installation.py": {"socket.socket": LISTENS},
    "apps/supervisor/management/commands/console.py": {"socket.socket": LISTENS},
    "apps/warming/gateway_calls.py": {"httpx.Client": ITSELF},
    "apps/console/try_it.py": {"httpx.Client": ITSELF},
    "apps/foundation/mail.py": {"EmailMessage": OPERATOR},
}

MODULES = frozenset(
    """aiohttp requests urllib3 httpcore pycurl websockets websocket smtplib ftplib telnetlib imaplib poplib nntplib xmlrpc
    paramiko grpc dns urllib.request http.client asyncssh socketserver h2 niquests treq tornado twisted""".split()
)
"""Libraries that open connections: nobody imports them."""

OF_HTTPX = frozenset(
    """Client AsyncClient HTTPTransport AsyncHTTPTransport get post put patch delete head options request stream Proxy""".split()
)
OF_SOCKET = frozenset({"socket", "create_connection", "fromfd", "socketpair"})
METHODS = frozenset(
    """create_connection create_unix_connection create_datagram_endpoint open_connection open_unix_connection sock_connect connect
    connect_ex from_url urlopen""".split()
)
CLASSES = frozenset(
    """Sentinel AsyncSentinel Connection BrokerConnection EmailMessage EmailMultiAlternatives send_mail send_mass_mail mail_admins
    HTTPConnection HTTPSConnection OpenerDirector""".split()
)
OWN_NAMES = {
    ("apps/gateway/upstream/client.py", "Connection"),  # our own protocol, which its client connects
    ("apps/tenants/tasks.py", ".connect"),  # Celery's signal
}


def ways_out(source: str) -> Iterator[str]:
    """What of a module can open a connection."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {each.name}" for each in node.names if _forbidden(each.name))
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{each.name}" for each in node.names]
            yield from (f"import {each}" for each in [node.module, *names] if _forbidden(each))
            if node.module in ("httpx", "socket") and {each.name for each in node.names} & (OF_HTTPX | OF_SOCKET):
                yield f"from {node.module} import …"
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if (owner == "httpx" and node.attr in OF_HTTPX) or (owner == "socket" and node.attr in OF_SOCKET):
                yield f"{owner}.{node.attr}"
            elif node.attr in METHODS:
                yield f".{node.attr}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CLASSES:
            yield node.func.id


def _forbidden(module: str) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in MODULES)


def modules() -> list[Path]:
    root = settings.BASE_DIR
    return sorted([*root.glob("apps/**/*.py"), *root.glob("apimgr/**/*.py"), root / "manage.py"])


def found() -> dict[str, set[str]]:
    ways: dict[str, set[str]] = {}
    for path in modules():
        name = str(path.relative_to(settings.BASE_DIR))
        for way in ways_out(path.read_text()):
            if (name, way) not in OWN_NAMES:
                ways.setdefault(name, set()).add(way)
    return ways


def test_every_way_out_is_listed_with_its_reason():
    assert found() == {name: set(ways) for name, ways in LISTED.items()}


@pytest.mark.parametrize(
    ("source", "way"),
    [
        ("import httpx\nhttpx.get(url)", "httpx.get"),
        ("import httpx\nasync def f():\n    async with httpx.AsyncClient() as c: ...", "httpx.AsyncClient"),
        ("from httpx import Client", "from httpx import …"),
        ("import socket\nsocket.create_connection((host, 80))", "socket.create_connection"),
        ("import asyncio\nasync def f():\n    await asyncio.open_connection(host, 80)", ".open_connection"),
        ("async def f(loop):\n    await loop.create_connection(make, host, 80)", ".create_connection"),
        ("from urllib.request import urlopen", "import urllib.request"),
        ("import requests", "import requests"),
        ("from urllib import request", "import urllib.request"),
        ("import redis\nredis.Redis.from_url(url)", ".from_url"),
    ],
)
def test_a_new_way_out_is_found(source: str, way: str):
    assert way in set(ways_out(source))


def test_no_redirect_is_followed_anywhere():
    followers = [
        str(path)
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.keyword)
        and node.arg == "follow_redirects"
        and not (isinstance(node.value, ast.Constant) and node.value.value is False)
    ]
    assert followers == []
