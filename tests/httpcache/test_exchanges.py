"""Whole exchanges, request after request: what a shared cache must and should do (RFC 9111, RFC 9110 §9.3.2, §15; RFC 5861).

Each test is one behaviour; a table holds those that differ in one field only. Every one runs three times: on the core alone, on
real sockets through a gateway with both tiers, and through two workers in turn that share only the second.
"""

import sys

import pytest

from apps.httpcache import Policy, UpstreamFailure, dates
from tests.httpcache.build import NOW
from tests.httpcache.exchange import Exchange


@pytest.fixture(params=["core", "site", "two_workers"], autouse=True, scope="module")
def _driver(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param != "core":
            patch.setattr(sys.modules[__name__], "Exchange", request.getfixturevalue(request.param).exchange)
        yield


def date(offset):
    return dates.format_date(NOW + offset).decode()


FRESH = ("Cache-Control", "max-age=3600")
SOON_STALE = ("Cache-Control", "max-age=2")
ETAG = ("ETag", '"abcdef"')
MODIFIED = ("Last-Modified", date(-3000))


def ask_twice(*said, status=200, wait=3, second=(), policy=None, **how):
    exchange = Exchange(policy).says(*said, status=status)
    exchange.ask()
    return exchange.wait(wait).ask(*second, **how)


# Freshness (§4.2)


@pytest.mark.parametrize(
    ("said", "how"),
    [
        ([], "miss"),
        ([FRESH], "hit"),
        ([("Cache-Control", "max-age=1")], "miss"),
        ([("Cache-Control", "max-age=0")], "miss"),
        ([("Cache-Control", "max-age=-3600")], "miss"),
        ([("Cache-Control", "max-age='3600'")], "miss"),
        ([("Cache-Control", 'max-age="3600"')], "hit"),
        ([("Cache-Control", "max-age=003600")], "hit"),
        ([("Cache-Control", "max-age=2147483648")], "hit"),
        ([("Cache-Control", "max-age=99999999999")], "hit"),
        ([("Cache-Control", 'extension="max-age=3600", max-age=1')], "miss"),
        ([("Cache-Control", "foobar, max-age=3600")], "hit"),
        ([FRESH, ("Expires", date(-10000)), ("Date", date(0))], "hit"),
        ([FRESH, ("Expires", "0")], "hit"),
        ([("Cache-Control", "max-age=0"), ("Expires", date(10000)), ("Date", date(0))], "miss"),
        ([FRESH, ("Age", "7200"), ("Date", date(0))], "miss"),
        ([("Cache-Control", "s-maxage=3600, max-age=1")], "hit"),
        ([("Cache-Control", "s-maxage=1, max-age=3600")], "miss"),
        ([("Cache-Control", "s-maxage=3600")], "hit"),
        ([("Expires", date(2592000)), ("Date", date(0))], "hit"),
        ([("Expires", date(-2592000)), ("Date", date(0))], "miss"),
        ([("Expires", date(0)), ("Date", date(0))], "miss"),
        ([("Expires", date(300)), ("Date", date(400))], "miss"),
        ([("Expires", date(30)), ("Date", date(-10)), ("Age", "45")], "miss"),
        ([("Expires", "0"), ("Date", date(0))], "miss"),
    ],
)
def test_how_long_an_answer_is_fresh(said, how):
    assert ask_twice(*said).how == how


@pytest.mark.parametrize(
    "status", [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599]
)
def test_every_final_status_is_reused_while_fresh_and_not_after(status):
    assert ask_twice(FRESH, status=status).how == "hit"
    assert ask_twice(FRESH, status=status).status == status
    assert ask_twice(("Expires", date(-1)), ("Date", date(0)), status=status).how == "miss"


@pytest.mark.parametrize(
    ("status", "how"),
    [
        *((status, "hit") for status in (200, 203, 204, 404, 405, 410, 414, 501)),
        *((status, "miss") for status in (201, 202, 403, 502, 503, 504, 599)),
    ],
)
def test_which_statuses_are_fresh_by_guess(status, how):
    said = [("Last-Modified", date(-86400)), ("Date", date(0))]
    assert ask_twice(*said, status=status, wait=1).how == how
    assert ask_twice(*said, ("Cache-Control", "public"), status=status, wait=1).how == "hit"


# Directives of the answer (§5.2.2)


@pytest.mark.parametrize("line", ["no-store", "No-StOrE", "max-age=10000, no-store", "private, max-age=3600"])
def test_what_must_not_be_stored_is_not(line):
    assert ask_twice(("Cache-Control", line), ("Expires", date(10000)), ETAG).how == "miss"


def test_no_cache_is_stored_and_validated_on_each_use():
    exchange = Exchange().says(("Cache-Control", "max-age=10000, No-CaChE"), ETAG)
    exchange.ask()
    exchange.says(ETAG, status=304)
    assert exchange.ask().how == "validated"
    assert exchange.origin.seen[-1][1][b"if-none-match"] == b'"abcdef"'
    assert exchange.ask().how == "validated"


def test_fields_named_by_no_cache_and_private_are_not_reused():
    found = ask_twice(
        ("Cache-Control", 'no-cache="a, b"'), ("Cache-Control", 'private="c"'), FRESH, *[(n, "1") for n in "abcd"]
    )
    assert found.how == "hit"
    assert [name for name in (b"a", b"b", b"c", b"d") if name in found.headers] == [b"d"]


def test_must_revalidate_is_reused_while_fresh_and_validated_after():
    exchange = Exchange().says(("Cache-Control", "max-age=2, must-revalidate"), ETAG)
    exchange.ask()
    assert exchange.ask().how == "hit"
    exchange.wait(3).says(ETAG, status=304)
    assert exchange.ask().how == "validated"


def test_an_older_answer_goes_when_a_newer_one_may_not_be_stored():
    exchange = Exchange().says(("Cache-Control", "max-age=10000"), ("A", "1"))
    exchange.ask()
    exchange.wait(2).says(("Cache-Control", "no-store"), ("A", "2"))
    assert exchange.ask(("Cache-Control", "no-cache")).headers[b"a"] == b"2"
    assert exchange.ask().how == "miss"


# Age, Date and the fields of a hit (§4, §5.1)


def test_a_hit_has_the_age_and_the_date_of_the_origin():
    found = ask_twice(FRESH, ("Date", date(0)), ("Age", "30"), wait=3)
    assert found.headers[b"age"] == b"33"
    assert found.headers[b"date"] == date(0).encode()


def test_fields_that_connection_lists_are_not_in_a_hit():
    found = ask_twice(FRESH, ("Connection", "a, b"), ("A", "1"), ("B", "2"), ("C", "3"))
    assert found.headers[b"c"] == b"3"
    assert not {b"a", b"b", b"connection"} & set(found.headers)


def test_different_queries_are_different_answers():
    exchange = Exchange().says(FRESH)
    exchange.ask(query="test=1")
    assert exchange.ask(query="test=2").how == "miss"
    assert exchange.ask(query="test=1").how == "hit"
    assert exchange.ask().how == "miss"


# Credentials and cookies (§3.5, §7.3)


def test_an_answer_to_credentials_is_not_for_others():
    exchange = Exchange().says(FRESH, body=b"ann's")
    exchange.ask(("Authorization", "ann"))
    assert exchange.ask().how == "miss"
    exchange.says(FRESH, body=b"bob's")
    assert exchange.ask(("Authorization", "bob")).body == b"bob's"
    assert exchange.ask(("Authorization", "ann")).body == b"ann's"


@pytest.mark.parametrize("line", ["public", "must-revalidate", "s-maxage=3600"])
def test_unless_the_origin_says_so(line):
    exchange = Exchange().says(("Cache-Control", f"max-age=3600, {line}"))
    exchange.ask(("Authorization", "ann"))
    assert exchange.ask().how == "hit"
    assert exchange.ask(("Authorization", "bob")).how == "hit"


def test_an_answer_with_a_cookie_is_stored_only_where_the_policy_allows_it():
    assert ask_twice(FRESH, ("Set-Cookie", "a=b")).how == "miss"
    found = ask_twice(FRESH, ("Set-Cookie", "a=b"), policy=Policy(api="products", store_set_cookie=True))
    assert (found.how, found.headers[b"set-cookie"]) == ("hit", b"a=b")


# Variants (§4.1)


@pytest.mark.parametrize(
    ("first", "second", "how"),
    [
        ([("Foo", "1")], [("Foo", "1")], "hit"),
        ([("Foo", "1")], [("Foo", "2")], "miss"),
        ([("Foo", "1")], [], "miss"),
        ([("Foo", "1"), ("Other", "2")], [("Foo", "1"), ("Other", "3")], "hit"),
        ([("Foo", "1"), ("Bar", "abc")], [("Foo", "1"), ("Bar", "abc")], "hit"),
        ([("Foo", "1"), ("Bar", "abc")], [("Foo", "2"), ("Bar", "abc")], "miss"),
        ([("Foo", "1"), ("Bar", "abc4")], [("Foo", "1"), ("Bar", "abc")], "miss"),
        ([("Foo", "1, 2")], [("Foo", " 1, 2 ")], "hit"),
        ([("Foo", "1, 2")], [("Foo", "1"), ("Foo", "2")], "miss"),
        ([("Foo", "1,2")], [("Foo", "1, 2")], "miss"),
        ([("Foo", "1,")], [("Foo", "1")], "miss"),
    ],
)
def test_a_variant_is_for_the_requests_that_select_it(first, second, how):
    exchange = Exchange().says(FRESH, ("Vary", "Foo, Bar"))
    exchange.ask(*first)
    assert exchange.ask(*second).how == how


@pytest.mark.parametrize("lines", [["*"], ["*, *"], ["*", "*"], [", *"], ["", "*"], ["*, Foo"], ["Foo, *"]])
def test_what_varies_on_everything_is_never_reused(lines):
    said = [FRESH, *(("Vary", line) for line in lines)]
    assert ask_twice(*said, second=[("*", "1")]).how == "miss"


def test_variants_live_beside_each_other():
    exchange = Exchange()
    for value in ("1", "2"):
        exchange.says(FRESH, ("Vary", "Foo"), body=b"foo_" + value.encode())
        assert exchange.ask(("Foo", value)).how == "miss"
    for value in ("1", "2"):
        found = exchange.ask(("Foo", value))
        assert (found.how, found.body) == ("hit", b"foo_" + value.encode())


@pytest.mark.parametrize(
    ("name", "first", "second", "how"),
    [
        ("Accept-Language", "en, de", "de, en", "hit"),
        ("Accept-Language", "EN", "en", "hit"),
        ("Accept-Language", "en;q=1", "en", "hit"),
        ("Accept-Language", "en, de;q=0.5", "de, en;q=0.5", "miss"),
        ("Accept-Encoding", "gzip, br", "br,gzip", "hit"),
        ("Accept-Encoding", "gzip", "identity", "miss"),
    ],
)
def test_negotiation_fields_select_by_meaning(name, first, second, how):
    exchange = Exchange().says(FRESH, ("Vary", name))
    exchange.ask((name, first))
    assert exchange.ask((name, second)).how == how


def test_codings_are_never_mixed():
    exchange = Exchange().says(FRESH, ("Vary", "Accept-Encoding"), ("Content-Encoding", "gzip"), body=b"\x1f\x8b")
    exchange.ask(("Accept-Encoding", "gzip"))
    exchange.says(FRESH, ("Vary", "Accept-Encoding"), body=b"plain")
    found = exchange.ask()
    assert (found.how, found.body) == ("miss", b"plain")
    assert exchange.ask(("Accept-Encoding", "gzip")).headers[b"content-encoding"] == b"gzip"
    assert b"content-encoding" not in exchange.ask().headers


# HEAD and ranges (RFC 9110 §9.3.2, §14; RFC 9111 §3.4, §4.3.5)


def test_head_is_answered_from_get_and_never_the_reverse():
    exchange = Exchange().says(FRESH)
    exchange.ask(method="HEAD")
    assert exchange.ask().how == "miss"
    found = exchange.ask(method="HEAD")
    assert (found.how, found.body) == ("hit", b"")


def test_a_head_refreshes_the_stored_answer():
    exchange = Exchange().says(SOON_STALE, ("A", "1"))
    exchange.ask()
    exchange.wait(3).says(("Cache-Control", "max-age=1000"), ("A", "2"))
    exchange.ask(method="HEAD")
    assert exchange.origin.seen[-1][0] == "HEAD"
    found = exchange.ask()
    assert (found.how, found.headers[b"a"], found.body) == ("hit", b"2", b"body")


def test_parts_of_a_stored_whole():
    for value, body in (("bytes=0-1", b"01"), ("bytes=1-", b"123456789A"), ("bytes=-1", b"A")):
        exchange = Exchange().says(FRESH, body=b"0123456789A")
        exchange.ask()
        found = exchange.ask(("Range", value))
        assert (found.how, found.status, found.body) == ("hit", 206, body)


def test_a_part_is_passed_on_and_never_stored_as_the_whole():
    exchange = Exchange().says(FRESH, ("Content-Range", "bytes 0-1/4"), status=206, body=b"bo")
    found = exchange.ask(("Range", "bytes=0-1"))
    assert (found.status, found.body) == (206, b"bo")
    assert exchange.origin.seen[-1][1][b"range"] == b"bytes=0-1"
    exchange.says(FRESH)
    assert exchange.ask().body == b"body"


def test_a_part_of_a_stale_whole_stands_in_for_an_upstream_that_is_away():
    exchange = Exchange().says(SOON_STALE)
    exchange.ask()
    exchange.wait(3).says(SOON_STALE, ("Content-Range", "bytes 0-1/4"), status=206, body=b"bo")
    assert exchange.ask(("Range", "bytes=0-1")).how == "miss"
    found = exchange.says(failure=UpstreamFailure.BROKEN).ask(("Range", "bytes=0-1"))
    assert (found.how, found.status, found.body) == ("stale", 206, b"bo")


# Validation (§4.3)


@pytest.mark.parametrize(
    "value", ['"abcdef"', 'W/"abcdef"', '"abcdef", "1"', '"1", "abcdef", "2"', '"1", "abcdef"', "*"]
)
def test_a_caller_who_has_the_answer_gets_304_from_the_cache(value):
    for tag in ('"abcdef"', 'W/"abcdef"'):
        found = ask_twice(FRESH, ("ETag", tag), second=[("If-None-Match", value)])
        assert (found.how, found.status) == ("hit", 304)
        assert found.headers[b"etag"] == tag.encode()


def test_if_none_match_goes_before_if_modified_since():
    found = ask_twice(FRESH, ETAG, MODIFIED, second=[("If-None-Match", '"abcdef"'), ("If-Modified-Since", date(-9000))])
    assert found.status == 304
    found = ask_twice(FRESH, ETAG, MODIFIED, second=[("If-None-Match", '"x"'), ("If-Modified-Since", date(0))])
    assert found.status == 200


@pytest.mark.parametrize("since", [date(-3000), date(-2000), "Friday, 15-Jan-27 07:10:00 GMT"])
def test_if_modified_since_is_answered_from_the_cache(since):
    assert ask_twice(FRESH, MODIFIED, second=[("If-Modified-Since", since)]).status == 304


def test_a_stale_answer_is_validated_and_the_caller_still_gets_his_304():
    exchange = Exchange().says(SOON_STALE, MODIFIED)
    exchange.ask()
    exchange.wait(3).says(FRESH, status=304)
    found = exchange.ask(("If-Modified-Since", MODIFIED[1]))
    assert (found.how, found.status) == ("validated", 304)
    assert exchange.origin.seen[-1][1][b"if-modified-since"] == MODIFIED[1].encode()


def test_the_callers_condition_is_not_the_caches():
    exchange = Exchange().says(FRESH, ETAG)
    found = exchange.ask(("If-None-Match", '"mine"'))
    assert b"if-none-match" not in exchange.origin.seen[-1][1]
    assert found.how == "miss"
    assert exchange.ask().how == "hit", "and so the answer is there for everybody"


def test_a_condition_is_sent_with_the_fields_that_select_the_variant():
    exchange = Exchange().says(SOON_STALE, ETAG, ("Vary", "Abc"))
    exchange.ask(("Abc", "123"))
    exchange.wait(3).says(FRESH, ETAG, ("Vary", "Abc"), status=304)
    assert exchange.ask(("Abc", "123")).how == "validated"
    assert exchange.origin.seen[-1][1][b"abc"] == b"123"
    exchange.says(FRESH, ("Vary", "Abc")).ask(("Abc", "456"))
    assert exchange.origin.seen[-1][1][b"abc"] == b"456", "whatever else is stored, the origin sees what was asked"


@pytest.mark.parametrize("validator", [ETAG, ("ETag", 'W/"abcdef"'), MODIFIED])
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("Test-Header", "a", "b"),
        ("X-Test-Header", "a", "b"),
        ("Content-Foo", "a", "b"),
        ("Content-Type", "text/plain", "text/plain;charset=utf-8"),
        ("Content-Location", "/foo", "/bar"),
        ("Content-Security-Policy", "default-src 'self'", "default-src 'self' cdn.example.com"),
        ("Expires", date(1), date(3600)),
        ("Clear-Site-Data", "cache", "cookies"),
        ("Set-Cookie", "a=b", "a=c"),
    ],
)
def test_a_304_updates_what_is_returned_and_what_is_stored(validator, name, old, new):
    exchange = Exchange(Policy(api="products", store_set_cookie=True)).says(
        SOON_STALE, validator, (name, old), ("Kept", "1")
    )
    exchange.ask()
    exchange.wait(3).says(FRESH, validator, (name, new), status=304)
    field = name.lower().encode()
    found = exchange.ask()
    assert (found.how, found.headers[field]) == ("validated", new.encode())
    found = exchange.ask()
    assert (found.how, found.headers[field], found.headers[b"kept"]) == ("hit", new.encode(), b"1")


def test_a_304_does_not_change_the_length():
    exchange = Exchange().says(SOON_STALE, ETAG)
    exchange.ask()
    exchange.wait(3).says(FRESH, ETAG, ("Content-Length", "99"), status=304)
    assert exchange.ask().headers[b"content-length"] == b"4"


# Stale answers (§4.2.4, RFC 5861)


@pytest.mark.parametrize("line", ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=2"])
def test_a_broken_origin_is_no_reason_where_stale_answers_are_forbidden(line):
    exchange = Exchange().says(("Cache-Control", f"max-age=2, {line}"), ETAG)
    exchange.ask()
    assert exchange.wait(3).says(failure=UpstreamFailure.BROKEN).ask().how == "failed"


def test_an_upstream_that_is_away_is_stood_in_for():
    exchange = Exchange().says(SOON_STALE)
    exchange.ask()
    found = exchange.wait(3).says(failure=UpstreamFailure.UNREACHABLE).ask()
    assert (found.how, found.status, found.reason) == ("stale", 200, "stale_if_error")
    assert exchange.wait(60).ask().how == "failed"


def test_a_503_is_stood_in_for_where_the_origin_said_so():
    exchange = Exchange().says(("Cache-Control", "max-age=2, stale-if-error=60"))
    exchange.ask()
    assert exchange.wait(3).says(status=503).ask().how == "stale"
    exchange = Exchange().says(SOON_STALE)
    exchange.ask()
    assert exchange.wait(3).says(status=503).ask().status == 503


def test_a_stale_answer_is_served_at_once_while_one_call_refreshes_it():
    exchange = Exchange().says(("Cache-Control", "max-age=2, stale-while-revalidate=60"), body=b"old")
    exchange.ask()
    exchange.wait(3).says(FRESH, body=b"new")
    found = exchange.ask()
    assert (found.how, found.body, exchange.refreshes) == ("stale", b"old", 1)
    assert exchange.ask().body == b"new"


def test_a_failed_refresh_leaves_the_stale_answer_in_place():
    exchange = Exchange(Policy(api="products", stale_while_revalidate=60.0)).says(SOON_STALE, body=b"old")
    exchange.ask()
    for failure in ({"status": 500}, {"failure": UpstreamFailure.TIMEOUT}, {"failure": UpstreamFailure.BROKEN}):
        exchange.wait(3).says(**failure)
        assert exchange.ask().body == b"old"
    exchange.says(("Cache-Control", "max-age=60"), status=404)
    exchange.ask()
    assert exchange.ask().status == 404, "an answer that it is gone replaces it"


# Invalidation (§4.4)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"])
def test_an_unsafe_method_ends_what_is_stored_of_its_url(method):
    exchange = Exchange().says(FRESH)
    exchange.ask()
    exchange.ask(query="x=1")
    exchange.ask(method=method)
    assert exchange.ask().how == "miss"
    assert exchange.ask(query="x=1").how == "miss"


def test_a_failed_one_does_not_but_a_lost_one_does():
    exchange = Exchange().says(FRESH)
    exchange.ask()
    exchange.says(status=500).ask(method="POST")
    assert exchange.ask().how == "hit"
    exchange.says(failure=UpstreamFailure.BROKEN).ask(method="POST")
    assert exchange.says(FRESH).ask().how == "miss"


@pytest.mark.parametrize("name", ["Location", "Content-Location"])
def test_what_the_answer_to_it_names_ends_too(name):
    exchange = Exchange().says(FRESH)
    exchange.ask(path="/other")
    exchange.says((name, "/other")).ask(method="POST")
    assert exchange.says(FRESH).ask(path="/other").how == "miss"


# Several stored validators (§4.3.1)


LANGUAGES = [("Vary", "Accept-Language"), ("Cache-Control", "max-age=60")]


def two_languages():
    exchange = Exchange()
    for language, body in (("de", b"hallo"), ("en", b"hello")):
        exchange.says(*LANGUAGES, ("ETag", f'"{language}"'), ("Content-Language", language), body=body)
        exchange.ask(("Accept-Language", language))
    return exchange


def test_an_upstream_is_asked_whether_one_of_the_other_variants_is_its_answer():
    exchange = two_languages().says(("ETag", '"de"'), status=304)
    found = exchange.ask(("Accept-Language", "de-AT, de"))
    assert exchange.origin.seen[-1][1][b"if-none-match"] == b'"de", "en"'
    assert (found.how, found.status, found.body) == ("validated", 200, b"hallo")
    assert found.headers[b"content-language"] == b"de"
    seen = len(exchange.origin.seen)
    assert exchange.ask(("Accept-Language", "de-AT, de")).how == "hit"
    assert exchange.ask(("Accept-Language", "en")).body == b"hello"
    assert len(exchange.origin.seen) == seen


def test_a_new_variant_is_stored_beside_the_others():
    exchange = two_languages().says(*LANGUAGES, ("ETag", '"fr"'), body=b"bonjour")
    assert exchange.ask(("Accept-Language", "fr")).body == b"bonjour"
    assert exchange.ask(("Accept-Language", "de")).body == b"hallo"


def test_the_callers_own_condition_is_judged_against_the_variant_that_was_named():
    exchange = two_languages().says(("ETag", '"de"'), status=304)
    found = exchange.ask(("Accept-Language", "de-AT, de"), ("If-None-Match", '"de"'))
    assert (found.status, found.body) == (304, b"")
