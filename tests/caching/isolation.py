"""That no caller is ever answered with what is another's: checks that raise ``AssertionError`` when something leaks.

They stand apart from the tests so that seeded faults can be run against them (``test_leak_mutants``).
"""

import itertools
from functools import partial

from apps.httpcache import (
    ANONYMOUS,
    Identity,
    Policy,
    Reason,
    Request,
    ResponseHead,
    Serve,
    SharingScope,
    Store,
    StoredResponse,
    UpstreamFailure,
    may_share,
    normalise_target,
    on_entry,
    on_error,
    on_response,
    plan_request,
    response_from,
)
from apps.httpcache.downstream import passed_down
from apps.httpcache.keys import digest
from apps.httpcache.patterns import matches, parse_pattern, segments_of
from tests.httpcache.build import BIRTH, NOW, pairs, plan, stored
from tests.httpcache.exchange import Exchange

FRESH = ("Cache-Control", "max-age=60")


def _each_gets_his_own(exchange, asks, *, hits=False):
    """Every caller is answered by the origin with a body of his own; asked again, everybody gets that one or a new
    one, and with ``hits`` that one.
    """
    for number, ask in enumerate(asks):
        exchange.origin.body = b"%d" % number
        assert ask().body == b"%d" % number
    exchange.origin.body = b"none"
    for number, ask in enumerate(asks):
        assert ask().body in ((b"%d" % number,) if hits else (b"%d" % number, b"none"))


def scopes_keep_identities_apart():
    people = [
        Identity(tenant, f"{tenant}/{application}", subject)
        for tenant, application, subject in itertools.product(("acme", "other"), ("one", "two"), ("ann", "bob"))
    ]
    for scope, told in itertools.product(("tenant", "application", "subject"), SharingScope):
        exchange = Exchange(Policy(api="products", scope=scope)).says(FRESH)
        seen = {}
        for number, person in enumerate(people):
            who = Identity(person.tenant, person.application, person.subject, told)
            exchange.origin.body = b"%d" % number
            body = exchange.ask(identity=who).body
            least = max(told, {"tenant": 1, "application": 2, "subject": 3}[scope])
            group = (who.tenant, who.application, who.subject)[:least]
            assert seen.setdefault(group, body) == body
        assert len(set(seen.values())) == len(seen)


def what_the_upstream_is_told_keeps_callers_apart():
    for told in (SharingScope.TENANT, SharingScope.APPLICATION, SharingScope.SUBJECT):
        one, other = (Identity(f"t{n}", f"t{n}/a{n}", f"s{n}", told) for n in "12")
        exchange = Exchange().says(FRESH)
        people = (one, other, ANONYMOUS)
        _each_gets_his_own(exchange, [partial(exchange.ask, identity=who) for who in people])


def credentials_keep_callers_apart():
    for name in ("Authorization", "Cookie", "X-API-Key"):
        for scope in ("auto", "shared", "tenant", "application", "subject"):
            exchange = Exchange(Policy(api="products", scope=scope)).says(FRESH)
            who = Identity("acme", "acme/one", "ann")
            asks = [[(name, "1")], [(name, "2")], [(name, "1"), (name, "2")], []]
            _each_gets_his_own(exchange, [partial(exchange.ask, *fields, identity=who) for fields in asks])


def credentials_of_two_kinds_are_not_confused():
    exchange = Exchange().says(FRESH)
    asks = [[("Authorization", "1")], [("Cookie", "1")], [("Authorization", "1"), ("Cookie", "1")]]
    _each_gets_his_own(exchange, [partial(exchange.ask, *fields) for fields in asks])


def an_anonymous_answer_is_not_for_callers_with_credentials():
    exchange = Exchange().says(FRESH)
    _each_gets_his_own(exchange, [exchange.ask, partial(exchange.ask, ("Authorization", "1"))])


def bodies_keep_answers_apart():
    policy = Policy(api="products", methods=("GET", "POST", "QUERY"))
    json, other, text = (("Content-Type", kind) for kind in ("application/json", "application/x+json", "text/plain"))
    asked = [
        ("GET", None, ()),
        *(("POST", body, (json,)) for body in (None, b'{"id":1}', b'{"id":2}', b'{"id":1,"id":2}', b'{"id":2,"id":2}')),
        *(
            ("POST", body, (json,))
            for body in (b"9007199254740992", b"9007199254740993", b"0.1", b"0.10000000000000000555")
        ),
        *(
            ("QUERY", b'{"id":1}', fields)
            for fields in ((json,), (other,), (text,), (json, ("Content-Language", "de")))
        ),
        ("QUERY", b'{"id":1}', (json, ("Content-Encoding", "gzip"))),
    ]
    keys = [plan([*fields], method=method, body=body, policy=policy).keys for method, body, fields in asked]
    assert len(set(keys)) == len(keys)


def only_graphql_that_reads_is_answered_from_the_cache():
    policy = Policy(api="products", methods=("POST",), body="graphql")
    for reason in (Reason.GRAPHQL_MUTATION, Reason.GRAPHQL_UNREADABLE, None):
        call = plan(method="POST", body=b"{}", policy=policy, graphql=reason)
        assert call.bypass is not None
        assert call.writes


def what_connection_lists_selects_nothing():
    exchange = Exchange().says(FRESH, ("Vary", "Accept-Language"))
    exchange.ask(("Connection", "Accept-Language"), ("Accept-Language", "de"))
    assert exchange.ask(("Accept-Language", "de")).how == "miss"


def a_sorted_query_keeps_the_order_of_one_name():
    one, other = (plan(query=query, policy=Policy(query_sorted=True)).keys for query in ("a=2&a=1", "a=1&a=2"))
    assert one != other


def private_answers_are_not_stored():
    for line in ("private", "private, max-age=60", "max-age=60, PRIVATE", "no-store", "max-age=60, No-Store"):
        exchange = Exchange().says(("Cache-Control", line), ("ETag", '"a"'))
        exchange.ask()
        assert exchange.ask().how == "miss"


def private_fields_are_not_stored():
    exchange = Exchange().says(
        ("Cache-Control", 'max-age=60, private="x-who", no-cache="x-what"'), ("X-Who", "ann"), ("X-What", "b")
    )
    exchange.ask()
    found = exchange.ask()
    assert found.how == "hit"
    assert not {b"x-who", b"x-what"} & set(found.headers)


def cookies_are_not_stored():
    exchange = Exchange().says(FRESH, ("Set-Cookie", "session=ann"))
    exchange.ask()
    assert exchange.ask().how == "miss"
    exchange = Exchange().says(("Cache-Control", "max-age=1"), ("ETag", '"a"'))
    exchange.ask()
    exchange.wait(2).says(FRESH, ("ETag", '"a"'), ("Set-Cookie", "session=ann"), status=304)
    assert b"set-cookie" not in exchange.ask().headers
    assert b"set-cookie" not in exchange.ask().headers


def secret_answers_are_not_stored_and_personal_ones_are_the_subjects():
    exchange = Exchange(Policy(api="products", sensitivity="secret")).says(FRESH)
    exchange.ask()
    assert exchange.ask().how == "miss"
    exchange = Exchange(Policy(api="products", sensitivity="personal")).says(("Cache-Control", "public, max-age=60"))
    people = [Identity("acme", "acme/one", name) for name in ("ann", "bob")]
    _each_gets_his_own(exchange, [partial(exchange.ask, identity=who) for who in people])
    assert exchange.wait(3).ask(identity=people[0]).how == "hit"
    assert all(isinstance(held, StoredResponse) and held.entry.personal for held in exchange.shelf.values())


def variants_keep_requests_apart():
    for vary in ("Foo, Bar", "foo,bar", "FOO , bar"):
        exchange = Exchange().says(FRESH, ("Vary", vary))
        asks = [[], [("Foo", "1")], [("Foo", "2")], [("Foo", "1"), ("Bar", "1")], [("Bar", "1")], [("Foo", "")]]
        _each_gets_his_own(exchange, [partial(exchange.ask, *fields) for fields in asks], hits=True)


def what_varies_on_everything_is_not_stored():
    exchange = Exchange().says(FRESH, ("Vary", "Foo, *"))
    exchange.ask()
    assert exchange.ask().how == "miss"


def key_fields_keep_requests_apart():
    exchange = Exchange(Policy(api="products", headers=("x-channel", "x-brand"))).says(FRESH)
    asks = [[], [("X-Channel", "a")], [("X-Brand", "a")], [("X-Channel", "a"), ("X-Brand", "a")], [("X-Channel", "")]]
    _each_gets_his_own(exchange, [partial(exchange.ask, *fields) for fields in asks])


def places_are_kept_apart():
    keys = set()
    count = 0
    for scheme, host, api, group, path, query in itertools.product(
        ("http", "https"), (b"h", b"i"), ("a", "b"), ("", "1"), (b"/", b"/a", b"/a/b"), (None, b"", b"x=1", b"x=2")
    ):
        request = Request("GET", scheme, host, path, query, ())
        keys.update(plan_request(request, Policy(api=api, group=group), ANONYMOUS).keys)
        count += 1
    assert len(keys) == count
    assert digest([b"a\x00b"]) != digest([b"a", b"b"])
    assert digest([b"a", None]) != digest([b"a", b""])


def spellings_of_a_path_that_are_two_things_stay_two():
    targets = [b"/a/b", b"/a%2Fb", b"/a//b", b"/a/b/", b"/a;b", b"/a%3Fb", b"/a?b", b"/a%2fb?c", b"/A/b"]
    forms = [normalise_target(target) for target in targets]
    assert None not in forms
    assert len(set(forms)) == len(targets)
    assert normalise_target(b"/public/../private") == normalise_target(b"/private")


def what_is_not_keyed_is_not_sent():
    policy = Policy(api="products", query_mode="exclude", query_names=("who",))
    the_plan = plan([("X-Forwarded-Host", "evil"), ("X-Original-URL", "/admin")], policy=policy, query="who=ann&a=1")
    assert the_plan.query == b"a=1"
    assert the_plan.upstream_headers() == ()


def waiters_share_only_what_is_theirs():
    asks = [plan([("Authorization", "1")]), plan([("Authorization", "2")]), plan(), plan([("Foo", "1")])]
    for leader, waiter in itertools.permutations(asks, 2):
        for fields in ([FRESH], [FRESH, ("Vary", "Foo, Authorization")]):
            decision = on_response(leader, None, ResponseHead(200, pairs(fields)), NOW, NOW, BIRTH)
            assert isinstance(decision, Store)
            if may_share(waiter, decision):
                assert leader.noticed == waiter.noticed == {}
                assert len(fields) == 1
    assert asks[0].fetch_key != asks[1].fetch_key


def an_entry_that_lies_about_itself_is_not_served():
    policy = Policy(api="products", scope="tenant")
    acme, other = (plan(policy=policy, identity=Identity(name)) for name in ("acme", "other"))
    theirs = stored([FRESH], the_plan=other)
    for decision in (on_entry(acme, theirs, NOW), on_error(acme, theirs, UpstreamFailure.TIMEOUT, NOW)):
        assert not isinstance(decision, Serve)
    theirs.entry.key = acme.keys[0]
    assert not isinstance(on_entry(acme, theirs, NOW), Serve)
    theirs.entry.owner = b"acme"
    theirs.entry.scope = SharingScope.SHARED
    assert not isinstance(on_entry(acme, theirs, NOW), Serve)


def a_stranger_gets_no_stale_answer_either():
    mine = plan([("Authorization", "mine")])
    theirs = stored([FRESH], the_plan=plan([("Authorization", "theirs")]))
    assert not isinstance(on_error(mine, theirs, UpstreamFailure.UNREACHABLE, NOW + 61), Serve)
    judged = on_response(mine, theirs, ResponseHead(503, ()), NOW, NOW + 61, BIRTH)
    assert not isinstance(judged, Serve)
    confirmed = on_response(mine, theirs, ResponseHead(304, ()), NOW + 61, NOW + 61, BIRTH)
    assert not hasattr(confirmed, "entry")


def a_confirmation_does_not_widen_who_may_have_the_answer():
    """Proxies in front of origins put their usual ``public`` on 304s, too."""
    the_plan = plan([("Authorization", "ann")])
    mine = stored([("Cache-Control", "max-age=1"), ("ETag", '"a"')], the_plan=the_plan, body=b"of ann")
    for status, method in ((304, "GET"), (200, "HEAD")):
        asks = plan([("Authorization", "ann")], method=method)
        head = ResponseHead(status, pairs([("Cache-Control", "public, max-age=60"), ("ETag", '"a"')]))
        judged = on_response(asks, mine, head, NOW + 2, NOW + 2, BIRTH)
        assert getattr(judged, "entry", mine.entry).scope == SharingScope.SUBJECT


def a_part_and_a_head_are_not_the_whole():
    exchange = Exchange().says(FRESH, ("Content-Range", "bytes 0-1/9"), status=206, body=b"pa")
    exchange.ask(("Range", "bytes=0-1"))
    exchange.says(FRESH, body=b"")
    exchange.ask(method="HEAD")
    exchange.says(FRESH, body=b"whole")
    assert exchange.ask().body == b"whole"


def fields_of_one_call_are_not_anothers():
    held = stored([FRESH, ("X-Request-ID", "ann"), ("Connection", "x-hop"), ("X-Hop", "ann"), ("RateLimit", "ann")])
    assert b"ann" not in response_from(held, plan(), NOW).head


def a_refusal_of_one_caller_is_not_kept_for_others():
    for mode, status in itertools.product(("origin", "ttl", "override"), (400, 401, 403, 429)):
        exchange = Exchange(Policy(api="products", mode=mode, negative_ttl=60.0)).says(status=status)
        exchange.ask()
        assert exchange.ask().how == "miss"


def nothing_personal_outlives_five_minutes():
    said = [("Cache-Control", "max-age=3600, stale-while-revalidate=3600, stale-if-error=3600"), ("ETag", '"a"')]
    who = Identity("acme", "acme/one", "ann")
    the_plan = plan(policy=Policy(api="products", sensitivity="personal"), identity=who)
    held = stored(said, the_plan=the_plan)
    for late in (301, 3000):
        assert not isinstance(on_entry(the_plan, held, NOW + late), Serve)
        assert not isinstance(on_error(the_plan, held, UpstreamFailure.UNREACHABLE, NOW + late), Serve)


def caches_behind_us_do_not_share_what_is_personal():
    who = Identity("acme", "acme/one", "ann")
    the_plan = plan(policy=Policy(api="products", sensitivity="personal"), identity=who)
    assert b"private" in response_from(stored([FRESH], the_plan=the_plan), the_plan, NOW).head
    assert b"private" in dict(passed_down(pairs([FRESH]), the_plan.policy))[b"cache-control"]


def a_narrow_policy_is_not_left_by_writing_the_path_another_way():
    narrow = parse_pattern("/account")
    for path in (b"/account", b"/account/", b"//account", b"/account;x.css", b"/account;a=1/;b=2", b"/account%3Bx.css"):
        assert matches(narrow, segments_of(path))
    for path in (b"/account%2Fme", b"/account%5C%40me", b"/account/%40me", b"/account/@me;x.css"):
        assert matches(parse_pattern("/account/*"), segments_of(path))
    assert matches(parse_pattern("/account/@me"), segments_of(b"/account/%40me"))
    assert not matches(narrow, segments_of(b"/accounts"))


CHECKS = [
    a_refusal_of_one_caller_is_not_kept_for_others,
    nothing_personal_outlives_five_minutes,
    caches_behind_us_do_not_share_what_is_personal,
    a_narrow_policy_is_not_left_by_writing_the_path_another_way,
    scopes_keep_identities_apart,
    what_the_upstream_is_told_keeps_callers_apart,
    credentials_keep_callers_apart,
    credentials_of_two_kinds_are_not_confused,
    an_anonymous_answer_is_not_for_callers_with_credentials,
    private_answers_are_not_stored,
    private_fields_are_not_stored,
    cookies_are_not_stored,
    secret_answers_are_not_stored_and_personal_ones_are_the_subjects,
    variants_keep_requests_apart,
    what_varies_on_everything_is_not_stored,
    key_fields_keep_requests_apart,
    bodies_keep_answers_apart,
    only_graphql_that_reads_is_answered_from_the_cache,
    what_connection_lists_selects_nothing,
    a_sorted_query_keeps_the_order_of_one_name,
    places_are_kept_apart,
    spellings_of_a_path_that_are_two_things_stay_two,
    what_is_not_keyed_is_not_sent,
    waiters_share_only_what_is_theirs,
    an_entry_that_lies_about_itself_is_not_served,
    a_stranger_gets_no_stale_answer_either,
    a_confirmation_does_not_widen_who_may_have_the_answer,
    a_part_and_a_head_are_not_the_whole,
    fields_of_one_call_are_not_anothers,
]
