"""The plan of a call: RFC 9111 §4 (which calls may be answered), §5.2.1 (request directives), §7.1 (poisoning)."""

import pytest

from apps.httpcache import ANONYMOUS, Identity, Policy, Reason, SharingScope
from tests.httpcache.build import pairs, plan


def test_a_plain_call_has_one_key_and_may_wait_for_another():
    the_plan = plan([("Accept", "*/*")])
    assert the_plan.bypass is None
    assert len(the_plan.keys) == 1
    assert the_plan.fetch_key == the_plan.keys[0]
    assert the_plan.plain
    assert the_plan.key_text == the_plan.keys[0].hex()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"policy": Policy(mode="off")}, Reason.MODE_OFF),
        ({"policy": Policy(sensitivity="secret")}, Reason.SECRET),
        ({"method": "POST"}, Reason.METHOD),
        ({"method": "OPTIONS"}, Reason.METHOD),
        ({"method": "get"}, Reason.METHOD),
        ({"method": "QUERY"}, Reason.METHOD),
        ({"method": "PUT", "policy": Policy(methods=("GET", "PUT"))}, Reason.METHOD),
        ({"method": "HEAD", "policy": Policy(methods=("GET",))}, Reason.METHOD),
        ({"has_body": True}, Reason.REQUEST_BODY),
        ({"headers": [("If-Match", '"a"')]}, Reason.REQUEST_PRECONDITION),
        ({"headers": [("If-Unmodified-Since", "x")]}, Reason.REQUEST_PRECONDITION),
        ({"headers": [("Upgrade", "websocket")]}, Reason.UPGRADE),
        ({"policy": Policy(scope="tenant")}, Reason.NO_IDENTITY),
        ({"policy": Policy(scope="application"), "identity": Identity(tenant="t")}, Reason.NO_IDENTITY),
        ({"policy": Policy(scope="subject")}, Reason.NO_IDENTITY),
        ({"policy": Policy(sensitivity="personal")}, Reason.NO_IDENTITY),
        ({"identity": Identity(told=SharingScope.TENANT)}, Reason.NO_IDENTITY),
    ],
)
def test_calls_that_go_past_the_cache(how, reason):
    the_plan = plan(**how)
    assert the_plan.bypass is reason
    assert the_plan.keys == ()
    assert the_plan.fetch_key is None
    assert the_plan.key_text == ""
    assert the_plan.key_parts() == ()
    assert reason.code in repr(the_plan)


def test_a_bypassing_call_is_forwarded_as_it_came_but_for_hop_by_hop_fields():
    headers = [
        ("Accept-Encoding", "GZIP"),
        ("Connection", "x-a"),
        ("X-A", "1"),
        ("If-None-Match", '"a"'),
        ("X-Host", "h"),
    ]
    the_plan = plan(headers, method="POST")
    assert the_plan.upstream_headers() == pairs(
        [("Accept-Encoding", "GZIP"), ("If-None-Match", '"a"'), ("X-Host", "h")]
    )


def test_a_cacheable_call_is_forwarded_in_the_form_in_which_it_is_keyed():
    headers = [
        ("Accept", "*/*"),
        ("Accept-Encoding", "GZIP"),
        ("Accept-Encoding", "br"),
        ("Accept-Language", "de,en"),
        ("If-None-Match", '"mine"'),
        ("If-Modified-Since", "whenever"),
        ("X-Forwarded-Host", "evil"),
        ("X-Original-URL", "/admin"),
        ("TE", "trailers"),
    ]
    the_plan = plan(headers)
    assert the_plan.upstream_headers() == pairs(
        [("Accept", "*/*"), ("Accept-Encoding", "br, gzip"), ("Accept-Language", "de, en")]
    )
    ours = pairs({"If-None-Match": '"ours"'})
    assert the_plan.upstream_headers(ours)[-1:] == ours


def test_a_field_that_the_origin_may_echo_is_forwarded_when_it_is_keyed():
    policy = Policy(headers=("x-forwarded-host",))
    one, other = (plan([("X-Forwarded-Host", host)], policy=policy) for host in ("a", "b"))
    assert one.upstream_headers() == pairs({"X-Forwarded-Host": "a"})
    assert one.keys != other.keys
    assert plan([("X-Forwarded-Host", "a")]).keys == plan([("X-Forwarded-Host", "b")]).keys


def test_a_range_is_asked_for_as_it_is_and_waits_for_nobody():
    headers = [("Range", "bytes=0-1"), ("If-Range", '"a"')]
    the_plan = plan(headers)
    assert the_plan.upstream_headers() == pairs(headers)
    assert the_plan.fetch_key is None
    assert not the_plan.plain


def test_head_ignores_range_and_shares_the_key_of_get():
    head = plan([("Range", "bytes=0-1")], method="HEAD")
    assert head.range_wanted is None
    assert head.keys == plan().keys
    assert head.fetch_key is None


def test_what_is_left_out_of_the_key_is_not_forwarded():
    policy = Policy(query_mode="exclude", query_names=("utm_source",))
    one, other = plan(policy=policy, query="a=1&utm_source=x"), plan(policy=policy, query="utm_source=y&a=1")
    assert one.query == other.query == b"a=1"
    assert one.keys == other.keys
    assert plan(policy=policy, query="utm_source=x").query is None
    assert plan(policy=policy, query="utm_source=x").keys == plan(policy=policy).keys


def test_a_sorted_query_is_keyed_and_forwarded_in_one_order():
    policy = Policy(query_sorted=True)
    one, other = plan(policy=policy, query="b=1&a=2&a=1"), plan(policy=policy, query="a=2&b=1&a=1")
    assert one.query == other.query == b"a=2&a=1&b=1"
    assert one.keys == other.keys != plan(policy=policy, query="a=1&a=2&b=1").keys
    assert plan(query="b=1&a=2").query == b"b=1&a=2", "only where the policy says so"
    chosen = Policy(query_sorted=True, query_mode="exclude", query_names=("a",))
    assert plan(policy=chosen, query="c&a=1&b").query == b"b&c"
    assert plan(policy=policy, query="&").query is None


def test_a_credential_in_the_key_is_shown_as_a_digest():
    the_plan = plan([("X-User", "ann@acme.test")], policy=Policy(headers=("x-user",)))
    assert "ann@" not in str(the_plan.key_parts())
    assert dict(the_plan.key_parts())["headers"].startswith("x-user: (credential ")


def test_key_fields_are_keyed_as_they_are_forwarded():
    policy = Policy(headers=("x-channel", "accept-encoding"))
    one = plan([("X-Channel", "a,b"), ("Accept-Encoding", "gzip, br")], policy=policy)
    other = plan([("Accept-Encoding", "BR"), ("X-Channel", "a,b"), ("Accept-Encoding", "gzip")], policy=policy)
    assert one.keys == other.keys
    for lines in (["a"], ["a, b"], ["a,b,"], ["a", "b"], ["b", "a"], []):
        assert (
            one.keys
            != plan([("X-Channel", line) for line in lines] + [("Accept-Encoding", "gzip, br")], policy=policy).keys
        )


def test_credentials_open_two_places_to_look():
    the_plan = plan([("Authorization", "Bearer 1")])
    assert the_plan.credentialed
    assert [scope for scope, _ in the_plan.owners] == [SharingScope.SHARED, SharingScope.SUBJECT]
    assert the_plan.keys[0] == plan().keys[0]
    assert the_plan.fetch_key == the_plan.keys[1], "two subjects never wait for one upstream call"
    assert plan([("Authorization", "Bearer 2")]).fetch_key != the_plan.fetch_key
    assert plan([("Cookie", "a=1")]).keys[1] != plan([("Cookie", "a=2")]).keys[1]


@pytest.mark.parametrize("name", ["Cookie", "X-API-Key", "ApiKey", "X-Auth-Token"])
def test_other_fields_that_origins_take_for_credentials_count_too(name):
    one, other = plan([(name, "1")]), plan([(name, "2")])
    assert one.credentialed
    assert one.keys[1] != other.keys[1]
    assert plan([("Authorization", "1")]).keys[1] != one.keys[1]


def test_a_subjects_call_has_one_place_to_look():
    the_plan = plan([("Authorization", "x")], policy=Policy(scope="subject"))
    assert [scope for scope, _ in the_plan.owners] == [SharingScope.SUBJECT]


def test_repeated_credentials_are_combined_rather_than_lost():
    assert plan([("Cookie", "a=1"), ("Cookie", "b=2")]).keys[1] != plan([("Cookie", "b=2")]).keys[1]


@pytest.mark.parametrize(("mode", "counts"), [("honour", True), ("bounded", True), ("ignore", False)])
def test_a_callers_directives_count_as_far_as_the_policy_lets_them(mode, counts):
    policy = Policy(client_directives=mode)
    assert plan([("Cache-Control", "no-cache")], policy=policy).directives.no_cache is counts
    assert plan([("Pragma", "no-cache")], policy=policy).directives.no_cache is counts
    assert (plan([("Cache-Control", "no-store")], policy=policy).fetch_key is None) is counts


def test_the_parts_of_a_key_have_labels_and_show_no_credential():
    the_plan = plan([("Authorization", "Bearer hunter2")], policy=Policy(api="products", scope="subject"), query="a=1")
    parts = dict(the_plan.key_parts())
    assert parts["scheme"] == "http"
    assert parts["host"] == "api.test"
    assert parts["api"] == "products"
    assert parts["path"] == "/items/1"
    assert parts["query"] == "a=1"
    assert parts["scope"] == "subject"
    assert "hunter2" not in str(parts)
    assert dict(plan().key_parts())["query"] == "(none)"
    keyed = plan([("X-Channel", "a")], policy=Policy(headers=("x-channel", "x-other")))
    assert dict(keyed.key_parts())["headers"] == "x-channel: a; x-other: (none)"
    assert dict(plan(policy=Policy(scope="tenant"), identity=Identity("acme")).key_parts())["owner"] == "acme"


def test_a_plan_shows_what_it_is_for():
    assert repr(plan()).startswith("RequestPlan(GET /items/1: ")
    assert plan(identity=ANONYMOUS).missed is Reason.NOT_FOUND


def test_what_connection_lists_is_neither_keyed_nor_counted_for_vary_nor_forwarded():
    # RFC 9110 §7.6.1: it goes no further, so an answer can't depend on it.
    policy = Policy(headers=("x-channel",))
    headers = [("Connection", "X-Channel, cookie"), ("X-Channel", "web"), ("Cookie", "a=1")]
    the_plan = plan(headers, policy=policy)
    assert the_plan.keys == plan(policy=policy).keys
    assert not the_plan.credentialed
    assert the_plan.upstream_headers() == ()
    assert the_plan.request.headers == pairs([("Connection", "X-Channel, cookie")])
    assert plan([("Connection", "upgrade"), ("Upgrade", "h2c")]).bypass is Reason.UPGRADE


OPEN = Policy(methods=("GET", "POST", "QUERY"))


def test_a_body_is_part_of_the_key_and_goes_on_with_what_describes_it_in_one_form():
    said = [("Content-Type", "Text/Plain"), ("Content-Digest", "x"), ("Range", "bytes=0-1")]
    one, other = (plan(said, method="POST", body=body, policy=OPEN) for body in (b"a", b"b"))
    assert one.bypass is None
    assert one.keys != other.keys
    assert one.plain
    assert one.upstream_headers() == pairs([("Content-Digest", "x"), ("Content-Type", "text/plain")])
    assert len(dict(one.key_parts())["content fields"]) == 16
    assert dict(plan(method="QUERY", body=b"a", policy=OPEN).key_parts())["content fields"] == "(none)"


@pytest.mark.parametrize(
    ("how", "reason", "wanted"),
    [
        ({"method": "POST", "has_body": True}, Reason.BODY_TOO_LARGE, True),
        ({"method": "POST", "headers": [("If-None-Match", "*")], "has_body": True}, Reason.REQUEST_PRECONDITION, False),
        ({"method": "POST", "headers": [("If-None-Match", "*")], "body": b""}, Reason.REQUEST_PRECONDITION, False),
        ({"method": "POST", "graphql": Reason.GRAPHQL_BATCH, "body": b"[]"}, Reason.GRAPHQL_BATCH, False),
    ],
)
def test_a_body_that_wasnt_read_is_wanted_where_nothing_else_stands_against_it(how, reason, wanted):
    the_plan = plan(policy=OPEN, **how)
    assert (the_plan.bypass, the_plan.wants_body) == (reason, wanted)


def test_graphql_that_nobody_read_goes_past_the_cache():
    policy = Policy(methods=("GET", "POST"), body="graphql")
    assert plan(method="POST", body=b"{}", policy=policy).bypass is Reason.GRAPHQL_UNREADABLE
    assert plan(policy=policy).bypass is None


def test_what_a_call_may_write():
    graphql = Policy(methods=("POST",), body="graphql")
    assert not plan().writes
    assert plan(method="POST").writes
    assert plan(method="PUT", policy=OPEN).writes
    assert not plan(method="POST", policy=OPEN).writes
    assert plan(method="POST", policy=Policy(methods=("POST",), mode="off")).writes
    assert plan(method="POST", policy=graphql).writes
    assert not plan(method="POST", policy=graphql, graphql=b"q").writes
    assert not plan(method="POST", policy=graphql, graphql=Reason.GRAPHQL_SUBSCRIPTION).writes


def test_only_a_post_cant_be_validated():
    assert plan().validates
    assert plan(method="QUERY", policy=OPEN).validates
    assert not plan(method="POST", policy=OPEN).validates


def test_what_is_shown_of_a_part_that_is_no_text_is_its_hexadecimal():
    assert dict(plan(host="\x01").key_parts())["host"] == "01"
    owner = dict(plan([("Cookie", "a")]).key_parts(1))["owner"]
    assert len(bytes.fromhex(owner)) == 32


def test_a_condition_or_a_range_asks_for_less_than_the_whole():
    assert plan([("Range", "bytes=0-1")]).selective
    assert plan([("If-None-Match", '"a"')]).selective
    assert not plan([("Cache-Control", "no-cache")]).selective


def test_a_read_only_post_that_tells_the_origin_another_method_may_write():
    """What goes by way of the cache doesn't have the field any more; what goes past it does."""
    override = [("X-HTTP-Method-Override", "DELETE")]
    asked = plan(override, method="POST", policy=OPEN)
    assert (asked.bypass, asked.writes, asked.upstream_headers()) == (None, False, ())
    past = plan([*override, ("If-None-Match", "*")], method="POST", policy=OPEN)
    assert past.bypass is not None
    assert past.writes
