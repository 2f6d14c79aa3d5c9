"""Storing: RFC 9111 §3 (what may be stored), §3.1 (fields), §3.2 (updating), §3.5 (credentials), §4.3.3-4.3.5 (validation)."""

import pytest

from apps.httpcache import (
    Fetch,
    Identity,
    NoStore,
    Policy,
    Reason,
    Refetch,
    Refreshed,
    ResponseHead,
    Reuse,
    Serve,
    SharingScope,
    Store,
    dates,
    may_share,
    on_entry,
    on_not_modified,
    on_response,
    on_reuse,
    vary,
)
from apps.httpcache.entry import MAX_LIFE
from apps.httpcache.fields import PER_CALL
from apps.httpcache.storing import KEEP, NEVER_STORED, PASS_FOR, surrogate_keys
from tests.httpcache.build import BIRTH, NOW, pairs, plan, respond, stored

FRESH = ("Cache-Control", "max-age=60")


def date(offset):
    return dates.format_date(NOW + offset).decode()


def test_an_answer_with_a_lifetime_is_stored_with_every_number_a_hit_needs():
    policy = Policy(api="products", stale_while_revalidate=30.0, stale_if_error=600.0)
    the_plan = plan(policy=policy, path="/items/7")
    decision = respond(the_plan, [FRESH, ("Age", "10"), ("Content-Length", "5")])
    assert isinstance(decision, Store)
    assert (decision.reason, decision.length) == (Reason.STORED, 5)
    entry = decision.entry
    assert entry.key == the_plan.keys[0]
    assert (entry.status, entry.body, entry.api, entry.path) == (200, b"", "products", b"/items/7")
    assert (entry.received_at, entry.validated_at, entry.age_at_receipt) == (NOW, NOW, 10)
    assert entry.fresh_until == NOW + 50
    assert entry.swr_until == NOW + 80
    assert entry.sie_5xx_until == entry.sie_unreachable_until == NOW + 650
    assert entry.keep_until == NOW + 650, "nothing can validate it, so it ends with its last use"
    assert (entry.scope, entry.owner, entry.rule) == (SharingScope.SHARED, b"", "nothing told")
    assert entry.stale_allowed
    assert not entry.validate_always
    assert entry.birth == BIRTH


@pytest.mark.parametrize("name", sorted(PER_CALL))
def test_what_a_field_says_of_one_call_is_said_to_no_other(name):
    field = (name.decode(), "3")
    held = stored([FRESH, ("Content-Type", "text/plain"), field], the_plan=plan())
    assert name not in dict(held.entry.headers)
    assert b"content-type" in dict(held.entry.headers)


@pytest.mark.parametrize(
    "status", [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599]
)
def test_any_final_status_is_stored_when_the_origin_gives_it_a_lifetime(status):
    decision = respond(plan(), [FRESH], status=status)
    assert isinstance(decision, Store)
    assert decision.entry.status == status


@pytest.mark.parametrize("status", [201, 202, 302, 403, 500, 502, 503, 504, 599])
def test_other_statuses_are_not_stored_without_one(status):
    decision = respond(plan(policy=Policy(mode="ttl")), [("Last-Modified", date(-1000))], status=status)
    assert decision == NoStore(Reason.STATUS, PASS_FOR)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([FRESH, ("Cache-Control", "no-store")], Reason.NO_STORE),
        ([("Cache-Control", "No-StOrE, max-age=60")], Reason.NO_STORE),
        ([FRESH, ("Cache-Control", "private")], Reason.PRIVATE),
        ([FRESH, ("Set-Cookie", "a=b")], Reason.SET_COOKIE),
        ([FRESH, ("Set-Cookie2", "a=b")], Reason.SET_COOKIE),
        ([FRESH, ("Vary", "Foo, *")], Reason.VARY_STAR),
        ([FRESH, ("Content-Range", "bytes 0-1/2")], Reason.PARTIAL),
        ([], Reason.NO_LIFETIME),
        ([("Cache-Control", "max-age=0")], Reason.ALREADY_STALE),
        ([("Cache-Control", "max-age=10"), ("Age", "15")], Reason.ALREADY_STALE),
        ([("Expires", "0")], Reason.ALREADY_STALE),
        ([FRESH, ("Cache-Control", "no-cache")], Reason.NO_VALIDATOR),
        ([FRESH, ("Content-Length", "99999999")], Reason.TOO_LARGE),
    ],
)
@pytest.mark.parametrize("mode", ["origin", "override"])
def test_what_is_not_stored_and_why(fields, reason, mode):
    decision = respond(plan(policy=Policy(mode=mode)), fields)
    if mode == "override" and reason in (Reason.NO_LIFETIME, Reason.ALREADY_STALE) and ("Age", "15") not in fields:
        assert isinstance(decision, Store), "override replaces the lifetime, and nothing else"
        return
    if mode == "override" and ("Age", "15") in fields:
        assert isinstance(decision, Store)
        assert decision.entry.fresh_until == NOW + 45
        return
    assert isinstance(decision, NoStore)
    assert decision.reason is reason
    assert not decision.ends


def test_a_part_is_never_stored_as_the_whole():
    decision = respond(plan([("Range", "bytes=0-1")]), [FRESH, ("Content-Range", "bytes 0-1/9")], status=206)
    assert decision == NoStore(Reason.PARTIAL)


@pytest.mark.parametrize("status", sorted(NEVER_STORED))
@pytest.mark.parametrize("mode", ["origin", "ttl", "override"])
def test_what_is_judged_by_more_than_the_key_is_stored_for_nobody(status, mode):
    """RFC 6585 §3-6 for 428, 429, 431 and 511: else one caller's flood, or one's fat head, locks out all."""
    policy = Policy(mode=mode, negative_ttl=60.0)
    assert respond(plan(policy=policy), [FRESH], status=status) == NoStore(Reason.STATUS, PASS_FOR)


@pytest.mark.parametrize("status", [400, 403, 405, 500, 503])
def test_an_error_to_a_call_for_a_part_is_not_stored_as_that_of_the_whole(status):
    asking = plan([("Range", "bytes=900-")], policy=Policy(mode="override", negative_ttl=60.0))
    assert respond(asking, [FRESH], status=status) == NoStore(Reason.PARTIAL)


@pytest.mark.parametrize("status", [404, 410])
def test_that_there_is_nothing_is_true_of_each_part(status):
    assert isinstance(respond(plan([("Range", "bytes=900-")]), [FRESH], status=status), Store)


@pytest.mark.parametrize(("status", "ends"), [(400, False), (416, False), (403, True)])
def test_a_call_for_a_part_ends_what_is_stored_only_where_the_origin_forbids_it(status, ends):
    held = stored([("Cache-Control", "max-age=1"), ("ETag", '"a"')])
    decision = respond(plan([("Range", "bytes=900-")]), [FRESH], held=held, status=status)
    assert isinstance(decision, NoStore)
    assert decision.ends is ends


@pytest.mark.parametrize("name", sorted(vary.MADE_ANEW))
def test_an_answer_that_depends_on_what_the_gateway_makes_anew_is_not_stored(name):
    said = [FRESH, ("Vary", f"Accept, {name.decode()}")]
    assert respond(plan(), said) == NoStore(Reason.VARY_UNKEYED, PASS_FOR)
    keyed = plan(policy=Policy(headers=(name.decode(),)))
    assert respond(keyed, [FRESH]) == NoStore(Reason.VARY_UNKEYED, PASS_FOR)


def test_the_way_that_a_trusted_proxy_told_is_the_requests_own():
    told = [("X-Forwarded-For", "192.0.2.1")]
    for said, policy in (
        ([FRESH, ("Vary", "X-Forwarded-For")], Policy()),
        ([FRESH], Policy(headers=("x-forwarded-for",))),
    ):
        first, other = (respond(plan(each, policy=policy), said) for each in (told, [("X-Forwarded-For", "192.0.2.2")]))
        assert isinstance(first, Store)
        assert isinstance(other, Store)
        assert (first.entry.key, first.entry.selecting) != (other.entry.key, other.entry.selecting)


def test_an_answer_to_a_range_that_is_the_whole_is_stored():
    assert isinstance(respond(plan([("Range", "bytes=0-1")]), [FRESH]), Store)


def test_an_interim_status_is_nothing_to_store():
    assert respond(plan(), [FRESH], status=103) == NoStore(Reason.STATUS, PASS_FOR)


def test_a_bypassing_call_stores_nothing():
    assert respond(plan(method="POST"), [FRESH]) == NoStore(Reason.METHOD)


def test_a_caller_may_forbid_storing():
    assert respond(plan([("Cache-Control", "no-store")]), [FRESH]) == NoStore(Reason.REQUEST_NO_STORE)
    assert isinstance(
        respond(plan([("Cache-Control", "no-store")], policy=Policy(client_directives="ignore")), [FRESH]), Store
    )


def test_a_caller_who_forbids_storing_ends_nothing_for_others():
    held = stored([("Cache-Control", "max-age=1"), ("ETag", '"a"')])
    asking = plan([("Cache-Control", "no-store")])
    assert respond(asking, [FRESH], held=held, at=NOW + 5) == NoStore(Reason.REQUEST_NO_STORE)


def test_cookies_are_stored_where_the_policy_allows_it():
    held = stored(
        [FRESH, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")], the_plan=plan(policy=Policy(store_set_cookie=True))
    )
    assert [value for name, value in held.headers if name == b"set-cookie"] == [b"a=1", b"b=2"]


def test_must_understand_is_obeyed_and_lifts_no_store_where_it_is_met():
    fields = [("Cache-Control", "no-store, must-understand, max-age=60")]
    assert isinstance(respond(plan(), fields), Store)
    assert respond(plan(), fields, status=299) == NoStore(Reason.MUST_UNDERSTAND, PASS_FOR)


def test_the_policys_ttl_and_the_heuristic_say_so():
    assert respond(plan(policy=Policy(mode="ttl"))).reason is Reason.STORED_TTL
    assert respond(plan(policy=Policy(mode="override")), [FRESH]).reason is Reason.STORED_OVERRIDE
    assert respond(plan(), [("Last-Modified", date(-100))]).reason is Reason.STORED_HEURISTIC


def test_an_answer_with_a_validator_is_kept_for_validation():
    decision = respond(plan(), [("ETag", '"a"')])
    assert isinstance(decision, Store)
    assert decision.reason is Reason.STORED_FOR_VALIDATION
    assert decision.entry.fresh_until == NOW
    assert decision.entry.keep_until == NOW + 60 + KEEP


def test_no_cache_is_stored_and_always_validated():
    decision = respond(plan(), [FRESH, ("Cache-Control", "no-cache"), ("ETag", '"a"')])
    assert isinstance(decision, Store)
    assert decision.entry.validate_always
    assert not decision.entry.stale_allowed


def test_an_answer_that_comes_stale_is_kept_where_somebody_asked_for_stale_ones():
    assert isinstance(
        respond(plan(policy=Policy(stale_while_revalidate=30.0)), [("Cache-Control", "max-age=0")]), Store
    )
    assert isinstance(respond(plan(), [("Cache-Control", "max-age=0, stale-if-error=5")]), Store)


def test_nothing_is_kept_for_longer_than_a_week():
    entry = stored([("Cache-Control", "max-age=99999999999")]).entry
    assert entry.keep_until == NOW + MAX_LIFE
    assert entry.fresh_until > NOW + MAX_LIFE


def test_an_answer_of_a_personal_api_is_kept_for_five_minutes_by_its_subject():
    the_plan = plan([("Authorization", "x")], policy=Policy(sensitivity="personal"))
    entry = stored([("Cache-Control", "public, max-age=3600"), ("ETag", '"a"')], the_plan=the_plan).entry
    assert entry.keep_until == NOW + 300
    assert entry.scope == SharingScope.SUBJECT
    assert entry.personal


def test_what_belongs_to_a_connection_or_a_call_is_not_stored():
    held = stored(
        [
            FRESH,
            ("Connection", "x-a, close"),
            ("X-A", "1"),
            ("Transfer-Encoding", "chunked"),
            ("Proxy-Authenticate", "x"),
            ("X-Request-ID", "r"),
            ("RateLimit", "x"),
            ("Age", "3"),
            ("Content-Length", "5"),
            ("ETag", '"a"'),
            ("Link", "1"),
            ("Link", "2"),
            ("Date", date(0)),
        ]
    )
    names = [name for name, _ in held.entry.headers]
    assert names == [b"cache-control", b"etag", b"link", b"link", b"date"]


def test_fields_that_the_origin_names_are_not_stored():
    held = stored(
        [("Cache-Control", 'max-age=60, no-cache="x-a", private="x-b"'), ("X-A", "1"), ("X-B", "2"), ("X-C", "3")]
    )
    assert {name for name, _ in held.entry.headers} == {b"cache-control", b"x-c", b"date"}


def test_a_date_is_added_where_the_origin_sent_none():
    assert (b"date", dates.format_date(NOW)) in stored([FRESH]).entry.headers
    assert (b"date", b"junk") in stored([FRESH, ("Date", "junk")]).entry.headers


def test_what_vary_names_is_remembered_in_one_form():
    entry = stored([FRESH, ("Vary", "Foo, Accept-Language")], the_plan=plan([("Accept-Language", "DE")])).entry
    assert entry.selecting == ((b"accept-language", b"de"), (b"foo", None))
    assert entry.key == plan().keys[0]


def test_an_answer_to_credentials_is_its_subjects_unless_the_origin_permits_more():
    the_plan = plan([("Authorization", "Bearer 1")])
    own = stored([FRESH], the_plan=the_plan).entry
    assert (own.scope, own.key) == (SharingScope.SUBJECT, the_plan.keys[1])
    shared = stored([("Cache-Control", "max-age=60, public")], the_plan=the_plan).entry
    assert (shared.scope, shared.key, shared.rule) == (SharingScope.SHARED, plan().keys[0], "credentials, public")
    assert shared.open_to_credentials
    assert not stored([FRESH]).entry.open_to_credentials


def test_surrogate_keys_come_from_two_fields_and_are_bounded():
    headers = pairs([("Surrogate-Key", "a b  c"), ("Cache-Tag", "d, e f"), ("Surrogate-Key", "a")])
    assert surrogate_keys(headers) == ("a", "b", "c", "d", "e%20f"), "as it can be purged"
    assert stored([FRESH, ("Surrogate-Key", "a")]).entry.tags == ("a",)
    assert len(surrogate_keys(((b"surrogate-key", b" ".join(b"%d" % n for n in range(1000))),))) == 1000
    for beyond in (b" ".join(b"%d" % n for n in range(1001)), b"a " + b"x" * 257):
        assert surrogate_keys(((b"surrogate-key", beyond),)) == ("*",), "it ends with each purge of a tag"


def test_a_304_keeps_the_tags_of_what_it_confirms_unless_it_tells_others():
    held = held_with_etag(("Surrogate-Key", "a"))
    held.entry.headers = tuple(field for field in held.entry.headers if field[0] != b"surrogate-key")
    confirmed = respond(plan(), [FRESH, ETAG], status=304, held=held)
    assert isinstance(confirmed, Refreshed)
    assert confirmed.entry.tags == ("a",), "although a header rule took the field from what is stored"
    told = respond(plan(), [FRESH, ETAG, ("Surrogate-Key", "b")], status=304, held=held)
    assert isinstance(told, Refreshed)
    assert told.entry.tags == ("b",)


ETAG = ("ETag", '"a"')


def held_with_etag(*fields, **how):
    return stored([("Cache-Control", "max-age=1"), ETAG, *fields], **how)


def test_a_304_gives_the_stored_answer_new_fields_and_a_new_life():
    held = held_with_etag(("X-A", "old"), ("X-B", "1"), ("X-B", "2"), ("Content-Type", "text/plain"))
    decision = respond(
        plan(),
        [FRESH, ETAG, ("X-A", "new"), ("X-B", "3"), ("Content-Length", "0")],
        status=304,
        held=held,
        at=NOW + 10,
        birth=(1, 7),
    )
    assert isinstance(decision, Refreshed)
    assert decision.reason is Reason.VALIDATED
    entry = decision.entry
    assert dict(entry.headers)[b"x-a"] == b"new"
    assert [value for name, value in entry.headers if name == b"x-b"] == [b"3"]
    assert dict(entry.headers)[b"content-type"] == b"text/plain"
    assert b"content-length" not in dict(entry.headers)
    assert (entry.body, entry.status) == (b"hello", 200)
    assert entry.fresh_until == NOW + 70
    assert entry.validated_at == NOW + 10
    assert entry.birth == (1, 7)


def test_a_304_may_change_what_the_answer_allows():
    held = held_with_etag()
    entry = respond(
        plan(), [("Cache-Control", "max-age=5, must-revalidate"), ETAG], status=304, held=held, at=NOW + 10
    ).entry
    assert entry.fresh_until == NOW + 15
    assert not entry.stale_allowed


def test_the_body_keeps_its_coding_over_a_304():
    held = held_with_etag(("Content-Encoding", "gzip"))
    entry = respond(plan(), [FRESH, ETAG, ("Content-Encoding", "br")], status=304, held=held).entry
    assert dict(entry.headers)[b"content-encoding"] == b"gzip"


def test_the_age_of_a_304_counts_and_its_missing_date_is_now():
    held = held_with_etag(("Date", date(0)))
    entry = respond(plan(), [FRESH, ETAG, ("Age", "20")], status=304, held=held, at=NOW + 100).entry
    assert entry.fresh_until == NOW + 140
    assert dict(entry.headers)[b"date"] == dates.format_date(NOW + 100)
    assert b"age" not in dict(entry.headers)


def test_a_304_that_speaks_of_another_answer_is_followed_by_a_whole_one():
    assert respond(plan(), [FRESH, ("ETag", '"b"')], status=304, held=held_with_etag()) == Refetch(
        Reason.INVALID_VALIDATION
    )


def test_a_304_that_forbids_storing_is_followed_by_a_whole_one():
    decision = respond(plan(), [ETAG, ("Cache-Control", "no-store")], status=304, held=held_with_etag())
    assert decision == Refetch(Reason.INVALID_VALIDATION)


def test_a_304_sets_no_cookie_for_everybody():
    held = held_with_etag()
    entry = respond(plan(), [FRESH, ETAG, ("Set-Cookie", "a=1")], status=304, held=held).entry
    assert b"set-cookie" not in dict(entry.headers)
    the_plan = plan(policy=Policy(api="products", store_set_cookie=True))
    entry = respond(the_plan, [FRESH, ETAG, ("Set-Cookie", "a=1")], status=304, held=held).entry
    assert dict(entry.headers)[b"set-cookie"] == b"a=1"


def test_a_304_without_a_stored_answer_belongs_to_the_caller():
    assert on_not_modified(plan(), None, ResponseHead(304, ()), NOW, NOW, BIRTH) == NoStore(Reason.CONDITIONAL)


def test_a_304_for_an_answer_that_would_be_of_no_use_is_followed_by_a_whole_one():
    held = stored([FRESH])
    assert respond(plan(), [("Cache-Control", "max-age=0")], status=304, held=held) == Refetch(
        Reason.INVALID_VALIDATION
    )


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failed_refresh_never_replaces_a_good_entry(status):
    held = stored([("Cache-Control", "max-age=1, stale-if-error=60"), ETAG])
    decision = respond(plan(), [FRESH], status=status, held=held, at=NOW + 10)
    assert decision == Serve(held, Reason.STALE_IF_ERROR, stale=True)
    late = respond(plan(), [FRESH], status=status, held=held, at=NOW + 100)
    assert late == NoStore(Reason.UPSTREAM_FAILED), "not even one that might be stored"


@pytest.mark.parametrize(
    ("status", "fields", "ends"),
    [
        (404, [], True),
        (410, [("Cache-Control", "no-store")], True),
        (451, [], True),
        (401, [], True),
        (403, [], True),
        (200, [("Cache-Control", "no-store")], True),
        (302, [], True),
        (400, [], False),
        (206, [("Content-Range", "bytes 0-1/9")], False),
        (416, [], False),
        (429, [], False),
        (408, [], False),
        (501, [("Cache-Control", "no-store")], False),
    ],
)
def test_which_answers_to_a_refresh_end_the_stored_one(status, fields, ends):
    decision = respond(plan(), fields, status=status, held=held_with_etag(), at=NOW + 10)
    assert isinstance(decision, NoStore)
    assert decision.ends is ends


def test_a_404_with_a_lifetime_replaces_the_stored_answer():
    decision = respond(plan(), [FRESH], status=404, held=held_with_etag(), at=NOW + 10)
    assert isinstance(decision, Store)


def test_an_answer_to_head_is_not_stored_but_refreshes_the_stored_one():
    head = plan(method="HEAD")
    assert respond(head, [FRESH]) == NoStore(Reason.HEAD_ONLY)
    held = held_with_etag(("X-A", "1"))
    decision = respond(head, [FRESH, ETAG, ("X-A", "2"), ("Content-Length", "5")], held=held, at=NOW + 10)
    assert isinstance(decision, Refreshed)
    assert dict(decision.entry.headers)[b"x-a"] == b"2"
    assert decision.entry.body == b"hello"


@pytest.mark.parametrize("fields", [[("ETag", '"b"')], [("Content-Length", "6")], [("Last-Modified", date(0))]])
def test_a_head_that_describes_another_body_ends_the_stored_answer(fields):
    decision = respond(plan(method="HEAD"), [FRESH, *fields], held=held_with_etag(), at=NOW + 10)
    assert decision == NoStore(Reason.HEAD_ONLY, ends=True)


def test_a_head_with_another_status_ends_it_only_where_the_resource_is_gone():
    for status, ends in ((404, True), (403, True), (400, False)):
        decision = respond(plan(method="HEAD"), [], status=status, held=held_with_etag(), at=NOW + 10)
        assert decision == NoStore(Reason.HEAD_ONLY, ends=ends)


def test_a_head_that_forbids_storing_ends_the_stored_answer():
    decision = respond(plan(method="HEAD"), [("Cache-Control", "no-store")], held=held_with_etag(), at=NOW + 10)
    assert decision == NoStore(Reason.HEAD_ONLY, ends=True)


def test_a_stored_answer_of_someone_else_is_no_stored_answer():
    other = stored([FRESH, ETAG], the_plan=plan([("Authorization", "other")]))
    decision = respond(plan([("Authorization", "mine")]), [ETAG], status=304, held=other)
    assert decision == NoStore(Reason.CONDITIONAL)


def test_a_waiter_shares_only_what_it_may_use():
    decision = respond(plan([("Foo", "1")]), [FRESH, ("Vary", "Foo")])
    assert isinstance(decision, Store)
    assert may_share(plan([("Foo", "1")]), decision)
    assert not may_share(plan([("Foo", "2")]), decision)
    assert not may_share(plan([("Foo", "1")], method="POST"), decision)
    assert not may_share(plan([("Foo", "1")], path="/other"), decision)
    mine = respond(plan([("Authorization", "a")]), [FRESH])
    assert isinstance(mine, Store)
    assert may_share(plan([("Authorization", "a")]), mine)
    assert not may_share(plan([("Authorization", "b")]), mine)
    assert not may_share(plan(), mine)


def test_one_applications_answer_is_not_anothers():
    policy = Policy(api="products", scope="application")
    held = stored([FRESH], the_plan=plan(policy=policy, identity=Identity("acme", "acme/bot")))
    other = plan(policy=policy, identity=Identity("acme", "acme/two"))
    assert on_entry(other, held, NOW) == Fetch(Reason.SCOPE_MISMATCH)
    assert isinstance(on_entry(plan(policy=policy, identity=Identity("acme", "acme/bot")), held, NOW), Serve)


def cut(headers, *, chance=1.0):
    """What is stored of an answer when ``chance`` was drawn."""
    the_plan = plan(policy=Policy(jitter=0.5))
    decision = on_response(the_plan, None, ResponseHead(200, pairs(headers)), NOW, NOW, BIRTH, chance)
    assert isinstance(decision, Store)
    return decision.entry


def test_jitter_ends_freshness_early_and_changes_nothing_that_is_told():
    headers = {"Cache-Control": "max-age=100"}
    whole, short = cut(headers, chance=0.0), cut(headers)
    assert (whole.fresh_until, short.fresh_until) == (NOW + 100, NOW + 50)
    assert (whole.headers, whole.age_at_receipt) == (short.headers, short.age_at_receipt)


def test_jitter_leaves_the_end_of_what_may_be_served_stale():
    entry = cut({"Cache-Control": "max-age=100, stale-while-revalidate=20"})
    assert (entry.fresh_until, entry.swr_until) == (NOW + 50, NOW + 120)
    assert entry.sie_5xx_until == entry.fresh_until, "nothing was granted for a 5xx"


def test_jitter_counts_on_what_is_left_of_a_lifetime():
    assert cut([("Cache-Control", "max-age=3600"), ("Age", "3580")]).fresh_until == NOW + 10
    assert cut([("Cache-Control", "max-age=3600"), ("Age", "3595")]).fresh_until == NOW + 5


def test_a_confirmed_answer_s_new_lifetime_is_cut_short_too():
    the_plan = plan(policy=Policy(jitter=0.5))
    held = stored({"Cache-Control": "max-age=100", "ETag": '"a"'}, the_plan=the_plan)
    head = ResponseHead(304, pairs({"ETag": '"a"', "Cache-Control": "max-age=40"}))
    decision = on_response(the_plan, held, head, NOW + 200, NOW + 200, BIRTH, 1.0)
    assert isinstance(decision, Refreshed)
    assert decision.entry.fresh_until == NOW + 220


@pytest.mark.parametrize("said", ["max-age=3600", "max-age=60, stale-while-revalidate=3600, stale-if-error=3600"])
def test_nothing_personal_is_used_for_longer_than_five_minutes(said):
    entry = stored(
        {"Cache-Control": said},
        the_plan=plan(policy=Policy(sensitivity="personal"), identity=Identity(subject="alice")),
    ).entry
    uses = (entry.fresh_until, entry.swr_until, entry.sie_5xx_until, entry.sie_unreachable_until, entry.keep_until)
    assert max(uses) == NOW + 300


def test_a_stored_error_of_the_origin_stands_in_for_nothing():
    policy = Policy(mode="ttl", negative_ttl=5.0, stale_while_revalidate=60.0, stale_if_error=60.0)
    entry = stored(the_plan=plan(policy=policy), status=503).entry
    assert entry.keep_until == entry.fresh_until == NOW + 5
    assert not entry.stale_allowed
    missing = stored(the_plan=plan(policy=policy), status=404).entry
    assert missing.swr_until == NOW + 65, "that something is missing is an answer"


VARIED = [("Cache-Control", "max-age=60"), ("Vary", "Abc"), ("ETag", '"a"')]


def mismatched(policy=None):
    """A plan that no stored variant serves, and what is stored for another request."""
    the_plan = plan([("Abc", "2")], **({"policy": policy} if policy else {}))
    other = stored(VARIED, the_plan=plan([("Abc", "1")]))
    the_plan.others = ((b"key", b'"a"'),)
    return the_plan, other


def test_a_304_that_names_another_variant_makes_it_this_requests_answer_too():
    the_plan, other = mismatched()
    decision = respond(the_plan, [("ETag", '"a"')], status=304)
    assert decision == Reuse(b"key", Reason.VALIDATED)
    reused = on_reuse(the_plan, other, ResponseHead(304, pairs([("ETag", '"a"')])), NOW, NOW, BIRTH)
    assert isinstance(reused, Refreshed)
    assert (reused.entry.body, reused.entry.selecting) == (b"hello", ((b"abc", b"2"),))


def test_a_304_that_names_none_of_them_is_followed_by_a_whole_answer():
    the_plan, _ = mismatched()
    assert respond(the_plan, [("ETag", '"z"')], status=304) == Refetch(Reason.INVALID_VALIDATION)


def test_what_was_named_may_be_gone_or_somebody_elses_or_not_to_be_stored_by_now():
    the_plan, other = mismatched()
    head = ResponseHead(304, pairs([("ETag", '"a"')]))
    assert on_reuse(the_plan, None, head, NOW, NOW, BIRTH) == Refetch(Reason.INVALID_VALIDATION)
    stranger = stored(VARIED, the_plan=plan(path="/items/2"))
    assert on_reuse(the_plan, stranger, head, NOW, NOW, BIRTH) == Refetch(Reason.INVALID_VALIDATION)
    private = ResponseHead(304, pairs([("ETag", '"a"'), ("Cache-Control", "private")]))
    assert on_reuse(the_plan, other, private, NOW, NOW, BIRTH) == Refetch(Reason.INVALID_VALIDATION)


@pytest.mark.parametrize(("method", "status"), [("GET", 304), ("HEAD", 200)])
def test_a_caller_who_wants_nothing_stored_takes_nothing_from_others(method, status):
    """§5.2.1.5: nothing of the answer is kept, not even its fields; what was stored stays."""
    held = stored([("Cache-Control", "max-age=60"), ("ETag", '"a"'), ("A", "1")])
    the_plan = plan([("Cache-Control", "no-store, no-cache")], method=method)
    decision = respond(the_plan, [("ETag", '"a"'), ("A", "2")], status=status, held=held, at=NOW + 5)
    assert isinstance(decision, Refreshed)
    assert dict(decision.entry.headers)[b"a"] == b"1"
    assert (decision.entry.fresh_until, decision.entry.validated_at) == (held.fresh_until, NOW + 5)


def test_the_date_of_a_confirmation_is_its_own_if_it_has_one():
    """§4.2.3: the age of what it confirmed counts from then."""
    held = stored([("Cache-Control", "max-age=60"), ("ETag", '"a"')])
    later = NOW + 100
    sent = ("Date", dates.format_date(later - 10).decode())
    dated = respond(plan(), [("ETag", '"a"'), sent], status=304, held=held, at=later)
    assert dated.entry.fresh_until == later - 10 + 60
    assert respond(plan(), [("ETag", '"a"')], status=304, held=held, at=later).entry.fresh_until == later + 60


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_refusal_of_made_up_credentials_does_not_end_what_is_for_all(method, status):
    shared = stored([("Cache-Control", "public, no-cache"), ("ETag", '"1"')])
    own_plan = plan([("Authorization", "ann")])
    own = stored([("Cache-Control", "no-cache"), ("ETag", '"1"')], the_plan=own_plan)
    asks = plan([("Authorization", "ann")], method=method)
    assert not respond(asks, status=status, held=shared).ends
    assert respond(asks, status=status, held=own).ends
    assert respond(plan(method=method), status=status, held=shared).ends


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (200, [("Cache-Control", "private")]),
        (200, [("Cache-Control", "no-store"), ("ETag", '"of-ann"')]),
        (302, []),
        (404, []),
        (410, [("Cache-Control", "no-store")]),
    ],
)
def test_what_one_callers_credentials_get_does_not_end_what_is_for_all(method, status, fields):
    shared = stored([("Cache-Control", "public, no-cache"), ("ETag", '"1"')])
    asks = plan([("Cookie", "made-up")], method=method)
    own = stored([("Cache-Control", "no-cache"), ("ETag", '"1"')], the_plan=plan([("Cookie", "made-up")]))
    assert not respond(asks, fields, status=status, held=shared).ends
    if method == "GET" or status != 302:
        assert respond(asks, fields, status=status, held=own).ends


def test_what_one_callers_credentials_get_is_not_said_to_all_unless_the_origin_permits_it():
    """§3.5 asks the answer itself, also one that only confirms: what was permitted before was for another's."""
    shared = stored([("Cache-Control", "public, max-age=60"), ("ETag", '"1"')])
    later = NOW + 100
    told = [("X-User", "ann")]
    confirmed = respond(plan([("Cookie", "ann")]), told, status=304, held=shared, at=later)
    assert isinstance(confirmed, Refreshed)
    assert b"x-user" not in dict(confirmed.entry.headers)
    assert confirmed.entry.fresh_until == shared.fresh_until
    assert respond(plan([("Cookie", "ann")], method="HEAD"), told, held=shared, at=later) == NoStore(Reason.HEAD_ONLY)
    permitted = [*told, ("Cache-Control", "public, max-age=60")]
    for asks, status in ((plan([("Cookie", "ann")]), 304), (plan([("Cookie", "ann")], method="HEAD"), 200)):
        decision = respond(asks, permitted, status=status, held=shared, at=later)
        assert dict(decision.entry.headers)[b"x-user"] == b"ann"
    for asks, status in ((plan(), 304), (plan(method="HEAD"), 200)):
        assert dict(respond(asks, told, status=status, held=shared, at=later).entry.headers)[b"x-user"] == b"ann"
