"""Bodies in the key: RFC 9110 §9.3.3 (POST), RFC 10008 (QUERY), §8.3.1 (media types), §8.4 (codings)."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.httpcache import NoStore, Policy, Reason, Revalidate, Store, keys, on_entry
from apps.httpcache.canonical import canonical
from apps.httpcache.request_body import content_encoding, content_type, is_plain_json
from tests.httpcache.build import NOW, pairs, plan, respond, stored

METHODS = ("GET", "HEAD", "POST", "QUERY")
JSON = ("Content-Type", "application/json")
OPEN = Policy(api="products", methods=METHODS)


def asked(body, *fields, method="POST", policy=OPEN, **how):
    return plan([*fields], method=method, body=body, policy=policy, **how)


@pytest.mark.parametrize("method", ["POST", "QUERY"])
def test_a_call_whose_method_is_declared_read_only_has_its_body_in_the_key(method):
    one, other = asked(b'{"a":1}', JSON, method=method), asked(b'{"a":2}', JSON, method=method)
    assert one.bypass is other.bypass is None
    assert one.keys != other.keys
    assert one.fetch_key == one.keys[0], "equal calls may wait for one upstream call"
    assert not one.writes


def test_bodies_that_say_the_same_json_share_a_key():
    one, other = asked(b'{"a":1,"b":[]}', JSON), asked(b' {"b" : [], "a": 1.0}', JSON)
    assert one.keys == other.keys
    assert dict(one.key_parts())["body form"] == "json"


@pytest.mark.parametrize(
    "doubtful",
    [b'{"a":1,"a":1}', b'{"a":9007199254740993}', b'{"a":"\\ud800"}', b"[NaN]", b'"\xff"', b"[" * 99 + b"]" * 99, b"{"],
)
def test_doubtful_json_is_keyed_by_its_bytes(doubtful):
    call = asked(doubtful, JSON)
    assert dict(call.key_parts())["body form"] == "raw"
    assert call.body[-1] == hashlib.sha256(doubtful).digest()
    assert call.keys != asked(doubtful + b" ", JSON).keys


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (("Content-Type", "text/plain"),),
        (("Content-Type", "application/json;charset=latin-1"),),
        (("Content-Type", "application/json"), ("Content-Type", "application/json")),
        (JSON, ("Content-Encoding", "gzip")),
        (("Content-Type", "application/jsonp"),),
    ],
)
def test_a_body_that_is_not_said_to_be_plain_json_is_keyed_by_its_bytes(fields):
    assert asked(b"{}", *fields).keys != asked(b"{ }", *fields).keys


@pytest.mark.parametrize("said", ["application/json", "APPLICATION/JSON ; Charset=UTF-8", "application/vnd.a.v1+json"])
def test_what_is_said_to_be_json_is(said):
    assert is_plain_json(pairs([("Content-Type", said)]))


def test_a_policy_may_key_every_body_by_its_bytes():
    raw = Policy(methods=METHODS, body="raw")
    assert asked(b"{}", JSON, policy=raw).keys != asked(b"{ }", JSON, policy=raw).keys


def test_what_describes_the_body_is_in_the_key():
    kinds = [
        asked(b"{}", *fields).keys
        for fields in (
            (),
            (JSON,),
            (("Content-Type", "text/plain"),),
            (JSON, ("Content-Encoding", "gzip")),
            (JSON, ("Content-Encoding", "gzip, br")),
            (JSON, ("Content-Encoding", "br, gzip")),
            (JSON, ("Content-Language", "de")),
            (JSON, ("Content-Digest", "sha-256=:AAAA:")),
            (JSON, ("Digest", "sha-256=AAAA")),
            (JSON, ("Repr-Digest", "sha-256=:AAAA:")),
        )
    ]
    assert len(set(kinds)) == len(kinds)
    assert asked(b"{}", JSON, ("Content-Length", "2")).keys == asked(b"{}", JSON).keys


def test_it_is_forwarded_in_the_form_in_which_it_is_keyed():
    call = asked(
        b"{}", ("Content-Type", "Application/JSON; Charset=UTF-8"), ("Content-Encoding", "GZIP"), ("X-Host", "evil")
    )
    assert call.upstream_headers() == pairs(
        [("Content-Type", "application/json;charset=utf-8"), ("Content-Encoding", "gzip")]
    )
    assert call.keys == asked(b"{}", *[(n.decode(), v.decode()) for n, v in call.upstream_headers()]).keys


def test_codings_have_one_form():
    assert content_encoding(pairs([("Content-Encoding", "GZIP"), ("Content-Encoding", "br")])) == b"gzip, br"
    assert content_encoding(()) is content_type(()) is None


def test_methods_of_different_classes_never_share_a_key():
    found = {asked(body, method=method).keys for method in ("POST", "QUERY") for body in (None, b"x")} | {plan().keys}
    assert len(found) == 5
    assert asked(None).keys == asked(b"").keys, "no body and an empty one are one thing to RFC 9110 §6.4.1"


def test_a_body_that_was_not_read_yet_is_wanted_and_one_that_is_too_large_stays_out():
    unread = plan(method="POST", has_body=True, policy=OPEN)
    assert unread.bypass is Reason.BODY_TOO_LARGE
    assert unread.wants_body
    assert not unread.writes
    for other in (
        plan(method="POST", has_body=True),
        plan(has_body=True, policy=OPEN),
        plan([("If-Match", "*")], method="POST", has_body=True, policy=OPEN),
    ):
        assert other.bypass is not None
        assert not other.wants_body


def test_a_post_is_no_conditional_call_and_asks_for_no_part():
    call = asked(b"{}", JSON, ("If-Modified-Since", "x"), ("Range", "bytes=0-1"), ("If-Range", '"a"'))
    assert call.bypass is None
    assert call.plain
    assert call.range_wanted is None
    assert call.upstream_headers(pairs({"If-None-Match": '"ours"'})) == pairs([JSON])
    assert asked(b"{}", ("If-None-Match", "*")).bypass is Reason.REQUEST_PRECONDITION
    assert asked(b"{}", ("Cache-Control", "no-cache"), ("Range", "bytes=0-1")).noticed == {
        b"cache-control": b"no-cache"
    }


def test_a_query_has_the_conditions_of_a_get():
    call = asked(b"{}", JSON, ("If-None-Match", '"a"'), method="QUERY")
    assert call.bypass is None
    ours = pairs({"If-None-Match": '"ours"'})
    assert call.upstream_headers(ours) == pairs([JSON]) + ours
    part = asked(b"{}", JSON, ("Range", "bytes=0-1"), method="QUERY")
    assert part.range_wanted == b"bytes=0-1"
    assert part.fetch_key is None


GRAPHQL = Policy(methods=METHODS, body="graphql")


def test_graphql_goes_by_the_form_of_its_operation():
    one, other = asked(b"1", JSON, policy=GRAPHQL, graphql=b"q"), asked(b"2", JSON, policy=GRAPHQL, graphql=b"q")
    assert one.keys == other.keys
    assert dict(one.key_parts())["body form"] == "graphql"
    assert not one.writes


@pytest.mark.parametrize(
    ("reason", "writes"),
    [
        (Reason.GRAPHQL_MUTATION, True),
        (Reason.GRAPHQL_SUBSCRIPTION, False),
        (Reason.GRAPHQL_BATCH, True),
        (Reason.GRAPHQL_PERSISTED, True),
        (Reason.GRAPHQL_UNREADABLE, True),
        (None, True),
    ],
)
def test_what_is_not_known_to_read_goes_past_the_cache_and_may_write(reason, writes):
    call = asked(b"{}", JSON, policy=GRAPHQL, graphql=reason)
    assert call.bypass is (reason or Reason.GRAPHQL_UNREADABLE)
    assert call.writes is writes


def test_graphql_whose_body_is_unknown_may_write():
    assert plan(method="POST", has_body=True, policy=GRAPHQL).writes


@pytest.mark.parametrize(
    ("method", "policy", "writes"),
    [
        ("GET", GRAPHQL, False),
        ("QUERY", GRAPHQL, False),
        ("OPTIONS", OPEN, False),
        ("PUT", OPEN, True),
        ("DELETE", Policy(methods=("DELETE",)), True),
        ("POST", Policy(), True),
        ("POST", OPEN, False),
    ],
)
def test_only_a_declared_post_does_not_write(method, policy, writes):
    assert plan(method=method, policy=policy, has_body=True).writes is writes


def test_the_parts_of_a_body_have_labels_and_never_show_it():
    call = asked(b'{"secret":"hunter2"}', JSON, ("Content-Digest", "x"), policy=Policy(methods=METHODS))
    labels = [label for label, _ in call.key_parts()]
    assert labels == [*keys.LABELS, *keys.BODY_LABELS]
    parts = dict(call.key_parts())
    assert parts["method"] == "POST"
    assert parts["content type"] == "application/json"
    assert parts["content encoding"] == "(none)"
    assert len(parts["body"]) == 64
    assert "hunter2" not in str(parts)


short = st.sampled_from(["", "a", "b", "application/json", "gzip", "a, b", "text/plain"])
bodied = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["POST", "QUERY"]),
        "body": st.sampled_from([b"", b"a", b"{}", b"{ }", b"[1]"]) | st.binary(max_size=3),
        "type": st.none() | short,
        "encoding": st.none() | st.sampled_from(["gzip", "br", "gzip, br"]),
        "language": st.none() | short,
        "digest": st.none() | short,
        "query": st.none() | st.sampled_from(["", "a", "a=1"]),
    }
)


def _key_of(call):
    names = {
        "type": "Content-Type",
        "encoding": "Content-Encoding",
        "language": "Content-Language",
        "digest": "Digest",
    }
    fields = [(name, call[which]) for which, name in names.items() if call[which] is not None]
    # By its bytes: what JSON means is test_canonical's matter.
    raw = Policy(methods=METHODS, body="raw")
    return asked(call["body"], *fields, method=call["method"], query=call["query"], policy=raw).keys


@given(bodied, bodied)
def test_different_calls_with_bodies_never_share_a_key(one, other):
    assert (_key_of(one) == _key_of(other)) == (one == other)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_bodies_share_a_key_only_if_they_say_the_same_json(one, other):
    same = one == other or (canonical(one) is not None and canonical(one) == canonical(other))
    assert (asked(one, JSON).keys == asked(other, JSON).keys) == same


def test_nobody_guesses_a_lifetime_for_a_post():
    modified = [("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT"), ("ETag", '"a"')]
    assert respond(asked(b"{}", JSON), modified) == NoStore(Reason.NO_LIFETIME, 10.0)
    assert isinstance(respond(asked(b"{}", JSON, method="QUERY"), modified), Store)


@pytest.mark.parametrize(
    ("policy", "headers", "reason"),
    [
        (OPEN, [("Cache-Control", "max-age=60")], Reason.STORED),
        (Policy(methods=METHODS, mode="ttl"), [], Reason.STORED_TTL),
        (Policy(methods=METHODS, mode="override"), [("Cache-Control", "max-age=1")], Reason.STORED_OVERRIDE),
    ],
)
def test_a_lifetime_that_somebody_gave_is_a_posts_too(policy, headers, reason):
    decision = respond(asked(b"{}", JSON, policy=policy), headers)
    assert isinstance(decision, Store)
    assert decision.reason is reason


def test_a_stale_answer_to_a_post_is_fetched_anew_and_one_to_a_query_is_validated():
    said = [("Cache-Control", "max-age=60"), ("ETag", '"a"')]
    for method, kept in (("POST", False), ("QUERY", True)):
        call = asked(b"{}", JSON, method=method)
        held = stored(said, the_plan=call)
        decision = on_entry(call, held, NOW + 180)
        assert (decision.reason, isinstance(decision, Revalidate)) == (Reason.EXPIRED, kept)
