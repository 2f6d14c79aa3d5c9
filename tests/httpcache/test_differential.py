"""The core beside hishel, an independent cache of RFC 9111, over answers that both understand (§3, §4.2), and beside
werkzeug's reading of dates, entity tags and ranges (RFC 9110 §5.6.7, §8.8.3, §14).

Where the other is wrong or stricter by choice it isn't asked: ``Age``, clocks ahead, ``no-cache`` with a validator,
heuristics, and what only our policies know.
"""

import uuid

import hishel
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.http import parse_date, parse_etags, parse_range_header

from apps.httpcache import Policy, Serve, Store, StoredResponse, dates, on_entry
from apps.httpcache.ranges import UNSATISFIABLE, select
from apps.httpcache.validation import none_match_fails
from tests.httpcache.build import NOW, plan, respond

seconds = st.sampled_from([0, 1, 10, 100])
directives = st.lists(
    st.sampled_from(
        ["no-store", "private", "public", "must-revalidate", "proxy-revalidate", "immutable", "x-unknown=1"]
    )
    | seconds.map("max-age={}".format)
    | seconds.map("s-maxage={}".format),
    max_size=4,
    unique_by=lambda text: text.partition("=")[0],
)
answers = st.fixed_dictionaries(
    {
        "directives": directives,
        "date": st.sampled_from([-100, -5, 0]),
        "expires": st.none() | st.sampled_from([-50, 0, 50]),
        "status": st.sampled_from([200, 404, 410]),
        "authorization": st.booleans(),
    }
)


def fields_of(answer):
    fields = [("Date", dates.format_date(NOW + answer["date"]).decode())]
    if answer["directives"]:
        fields.append(("Cache-Control", ", ".join(answer["directives"])))
    if answer["expires"] is not None:
        fields.append(("Expires", dates.format_date(NOW + answer["expires"]).decode()))
    return fields


def theirs(answer, later):
    """Whether hishel answers from its store ``later`` seconds after."""
    options = hishel.CacheOptions(shared=True, supported_methods=["GET"], allow_stale=False)
    authorization = {"authorization": "x"} if answer["authorization"] else {}
    request = hishel.Request("GET", "http://api.test/items/1", hishel.Headers(authorization))
    response = hishel.Response(
        answer["status"], hishel.Headers({name.lower(): value for name, value in fields_of(answer)})
    )
    with time_machine.travel(NOW, tick=False):
        state = hishel.CacheMiss(request=request, options=options).next(response)
    if not isinstance(state, hishel.StoreAndUse):
        return False
    entry = hishel.Entry(uuid.uuid4(), request, state.response)
    with time_machine.travel(NOW + later, tick=False):
        return isinstance(hishel.IdleClient(options=options).next(request, [entry]), hishel.FromCache)


def ours(answer, later):
    policy = Policy(api="products", stale_if_error=0.0)
    the_plan = plan([("Authorization", "x")] if answer["authorization"] else [], policy=policy)
    decision = respond(the_plan, fields_of(answer), status=answer["status"])
    if not isinstance(decision, Store):
        return False
    return isinstance(on_entry(the_plan, StoredResponse(decision.entry), NOW + later), Serve)


@given(answers, seconds)
def test_both_reuse_the_same_answers_at_the_same_age(answer, later):
    if answer["authorization"]:
        # A gateway keeps a subject's own answers apart instead of not storing them.
        assert ours(answer, later) or not theirs(answer, later)
    else:
        assert ours(answer, later) == theirs(answer, later)


@given(st.integers(0, 2**33))
def test_both_read_the_same_moment_in_a_date(moment):
    text = dates.format_date(moment).decode()
    assert dates.parse(text.encode(), NOW) == moment == parse_date(text).timestamp()


# An empty tag is one too; werkzeug reads none in it.
tags = st.tuples(st.sampled_from(["", "W/"]), st.text("ab,1 ", min_size=1, max_size=3)).map(
    lambda pair: f'{pair[0]}"{pair[1]}"'
)


@given(st.lists(tags, max_size=4), tags)
def test_both_find_the_same_tag_in_a_list(listed, tag):
    line = ", ".join(listed)
    opaque = tag.removeprefix("W/").strip('"')
    assert none_match_fails(line.encode(), tag.encode()) == parse_etags(line).contains_weak(opaque)


numbers = st.none() | st.integers(0, 12)


@given(numbers, numbers, st.integers(1, 12))
def test_both_take_the_same_part_of_a_body(start, last, length):
    text = f"bytes={'' if start is None else start}-{'' if last is None else last}"
    read = parse_range_header(text)
    ours = select(text.encode(), length)
    if read is None:
        assert ours is None or text == "bytes=-0"
        return
    theirs = read.range_for_length(length)
    if text == "bytes=-0" or (start is None and last is not None and last > length):
        return  # werkzeug refuses a suffix longer than the body; RFC 9110 §14.1.2 takes the whole
    assert ours == (UNSATISFIABLE if theirs is None else theirs)
