"""How many SQL queries each page costs, as a committed baseline: an N+1 shows up in review.

``BASELINE=write pytest tests/console/test_queries.py`` writes it anew.
"""

import json
import os
from pathlib import Path

from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access.services import client_id_add, token_revoke
from apps.catalog.models import API
from tests.console.test_routes import ROUTES, address_of
from tests.support.cast import (
    make_api,
    make_application,
    make_introspection,
    make_issuer,
    make_key,
    make_request,
    make_subscription,
    make_user,
)

BASELINE = Path(__file__).parent / "query_counts.json"
#: what they show depends on files, not on rows
LEFT_OUT = {"mail"}


def counted(client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200, address
    return len(queries)


def counts(client, world) -> dict[str, int]:
    client.get("/")  # what is asked once per process is not a page's
    return {name: counted(client, address_of(name, world)) for name in sorted(ROUTES.keys() - LEFT_OUT)}


def test_each_page_costs_as_many_queries_as_the_baseline_says(world, browse):
    found = counts(browse(world.people.ada, confirmed=True), world)
    if os.environ.get("BASELINE") == "write":
        BASELINE.write_text(json.dumps(found, indent=2) + "\n")
    assert found == json.loads(BASELINE.read_text())


def test_more_rows_cost_no_more_queries(world, browse):
    ada, alice = browse(world.people.ada, confirmed=True), browse(world.people.alice, confirmed=True)
    lists = [name for name, route in ROUTES.items() if not route.pattern.converters]
    lists += ["application", "tenant", "api_access", "api_settings", "catalogue_entry", "request"]
    lists += ["issuer", "introspection", "client_id_new"]

    def add(batch: int) -> None:
        for number in range(3):
            name = f"{batch}-{number}"
            api = make_api(world.people.platform, f"more-{name}")
            API.objects.filter(pk=api.pk).update(jwt=api.jwt | {"issuers": ["corp"]}, introspection="legacy")
            make_issuer(f"id-{name}")
            make_introspection(f"server-{name}")
            token_revoke(actor=world.people.ada, issuer=world.issuer, jti=name)
            make_key(world.application, name)
            client_id_add(actor=world.people.ada, application=world.application, client_id=name)
            application = make_application(world.people.acme, f"bot-{name}")
            make_subscription(application, world.api, world.plan)
            make_request(world.people.alice, application, api, world.plan)
            make_user(f"user-{name}@acme.test", world.people.acme)

    def costs(client) -> dict[str, int]:
        found = {}
        for name in lists:
            address = address_of(name, world)
            if client.get(address).status_code == 200:
                found[name] = counted(client, address)
        return found

    add(1)  # an empty list costs less than one with rows
    before = costs(ada), costs(alice)
    add(2)
    after = costs(ada), costs(alice)
    assert before == after
