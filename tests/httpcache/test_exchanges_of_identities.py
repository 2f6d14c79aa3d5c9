"""Whole exchanges of callers whom the gateway tells apart (RFC 9111 §7.3): by what the upstream was told, and by policy."""

from apps.httpcache import Identity, Policy, SharingScope
from tests.httpcache.exchange import Exchange

FRESH = ("Cache-Control", "max-age=3600")


def test_private_twins_never_meet():
    exchange = Exchange(Policy(api="products", scope="application"))
    answers = {}
    for name in ("acme/one", "acme/two"):
        exchange.says(FRESH, body=name.encode())
        answers[name] = exchange.ask(identity=Identity("acme", name)).body
    for name, body in answers.items():
        found = exchange.ask(identity=Identity("acme", name))
        assert (found.how, found.body) == ("hit", body)


def test_two_tenants_share_what_does_not_depend_on_them():
    exchange = Exchange().says(FRESH)
    exchange.ask(identity=Identity("acme", "acme/one"))
    assert exchange.ask(identity=Identity("other", "other/one")).how == "hit"
    told = Identity("third", "third/one", told=SharingScope.TENANT)
    assert exchange.ask(identity=told).how == "miss", "what the upstream is told, it may answer by"
