"""What narrows a key: who may say it, what may be said, what gateways are told, and that a successor has the same."""

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from apps.access import services
from apps.access.models import Credential
from apps.access.services.key_bounds import BOUNDS
from apps.audit.models import Entry
from apps.fleet.compile import affected_by, credentials_of
from apps.wire.snapshot import Credential as Record
from apps.wire.snapshot import KeyOperation
from tests.support.cast import Cast, make_application

WANTED: dict[str, Any] = {
    "methods": ["get", "POST", "GET"],
    "operations": [{"path": "/items/{id}", "methods": ["get"]}, {"path": "/search/**"}],
    "addresses": [" 10.0.0.0/8", "2001:db8::1"],
}
KEPT: dict[str, Any] = {
    "methods": ["GET", "POST"],
    "operations": [{"path": "/items/{id}", "methods": ["GET"]}, {"path": "/search/**"}],
    "addresses": ["10.0.0.0/8", "2001:db8::1"],
}


def record_of(key: Credential) -> Record:
    (records,) = credentials_of(affected_by([("key", key.digest)]))
    record = records[key.digest]
    assert record is not None
    return record


def bounds_of(key: Credential) -> dict[str, Any]:
    return {name: getattr(key, name) for name in BOUNDS}


def test_a_key_is_made_with_bounds_and_its_successor_has_them(cast: Cast):
    made = services.key_create(actor=cast.bob, application=make_application(cast.acme), name="ci", **WANTED)
    assert bounds_of(made.key) == {"apis": None} | KEPT
    assert Entry.objects.latest("epoch").changes["addresses"] == [None, KEPT["addresses"]]
    record = record_of(made.key)
    assert record.methods == ("GET", "POST", "HEAD")
    assert record.operations == (KeyOperation(("GET", "HEAD"), ("items", "*")), KeyOperation((), ("search", "**")))
    assert record.addresses == ("10.0.0.0/8", "2001:db8::1")
    rotated = services.key_rotate(actor=cast.bob, key=made.key)
    assert bounds_of(rotated.key) == bounds_of(made.key)


def test_bounds_change_one_by_one_and_only_what_changes_is_told(cast: Cast):
    key = services.key_create(actor=cast.bob, application=make_application(cast.acme), name="ci", **WANTED).key
    services.key_update(actor=cast.bob, key=key, methods=None)
    assert bounds_of(key) == {"apis": None} | KEPT | {"methods": None}
    entry = Entry.objects.latest("epoch")
    assert (entry.verb, entry.changes) == ("key.update", {"methods": [["GET", "POST"], None]})
    assert entry.affects == [["key", key.digest]]
    services.key_update(actor=cast.bob, key=key, methods=None, addresses=KEPT["addresses"])
    assert Entry.objects.latest("epoch") == entry
    for actor in (cast.vera, cast.charlie):
        with pytest.raises(PermissionDenied):
            services.key_update(actor=actor, key=key, addresses=None)


@pytest.mark.parametrize(
    ("bound", "value"),
    [
        ("methods", []),
        ("methods", ["FETCH"]),
        ("methods", "GET"),
        ("methods", [1]),
        ("operations", []),
        ("operations", ["/items"]),
        ("operations", [{"methods": ["GET"]}]),
        ("operations", [{"path": "items"}]),
        ("operations", [{"path": "/a/**/b"}]),
        ("operations", [{"path": "/a", "method": "GET"}]),
        ("operations", [{"path": "/a", "methods": ["FETCH"]}]),
        ("operations", [{"path": "/a"}] * 51),
        ("addresses", []),
        ("addresses", ["10.0.0.5/8"]),
        ("addresses", ["example.com"]),
        ("addresses", ["10.0.0.1"] * 51 + [f"10.0.0.{number}" for number in range(51)]),
        ("apis", ["unheard-of"]),
        ("apis", []),
    ],
)
def test_a_bound_that_makes_no_sense_is_refused_next_to_its_field(cast: Cast, bound: str, value: Any):
    application = make_application(cast.acme)
    with pytest.raises(ValidationError) as refused:
        services.key_create(actor=cast.bob, application=application, name="ci", **{bound: value})
    assert refused.value.message_dict.keys() == {bound}
    assert not Credential.objects.exists()
