"""What ``up`` tells a person when everything is ready."""

from django.conf import settings

from apps.demo.credentials import Credentials
from apps.egress.rules import opens_loopback
from apps.supervisor.first_start import FirstAdministrator


def welcome(made: FirstAdministrator | None, demo: Credentials | None, notice: str = "") -> str:
    """Addresses, sign-ins, and one curl that works as it stands."""
    console, gateway = f"http://127.0.0.1:{settings.CONSOLE_PORT}", f"http://127.0.0.1:{settings.GATEWAY_PORT}"
    lines = [
        "",
        "apimgr is ready.",
        "",
        f"  Console   {console}/",
        f"  REST API  {console}/api/docs/",
        f"  Gateway   {gateway}/",
        "",
        *_administrator(made),
        *([f"  {notice}"] if notice else []),
    ]
    if opens_loopback(settings.EGRESS_ALLOW):
        lines += [
            "",
            "  Upstreams of every tenant may be on this machine and in private networks, as suits one machine whose users trust",
            "  each other. EGRESS_ALLOW says which networks and hosts may be reached; the platform's own ports never are.",
        ]
    if demo is not None:
        lines += ["", "  People of the demo (all with the password " + demo.password + ")"]
        lines += [f"    {person.email:<22} {person.role} of {person.tenant}" for person in demo.people]
        call = f"curl -i -H 'X-API-Key: {demo.key}' {gateway}{demo.call}"
        note = "  A call: MISS the first time, HIT when you repeat it within a minute:"
    else:
        call, note = f"curl -i {gateway}/_gateway/readyz", "  Whether the gateway is ready:"
    return "\n".join([*lines, "", note, f"    {call}", "", "Ctrl-C stops it all.", ""])


def _administrator(made: FirstAdministrator | None) -> list[str]:
    if made is None:
        return [
            "  Administrator: as at the first start (`.venv/bin/python manage.py changepassword EMAIL` sets a new password)"
        ]
    password = made.password or "(the one in APIMGR_ADMIN_PASSWORD)"
    token = made.token or "(the one in APIMGR_ADMIN_TOKEN)"
    return [
        "  Administrator, shown this once:",
        f"    e-mail    {made.email}",
        f"    password  {password}",
        f"    token     {token}",
        "    The token is for the REST API and ends in a year.",
    ]
