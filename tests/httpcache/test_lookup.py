"""Finding the stored answer that a call selects: RFC 9111 §4, §4.1."""

from apps.httpcache import Reason, StoredResponse, find, placement
from tests.httpcache.build import plan, stored


class Shelf:
    """A dictionary that drives ``find`` and counts the steps."""

    def __init__(self):
        self.records = {}
        self.steps = 0

    def put(self, held):
        for key, record in placement(self.records.get(held.entry.key), held.entry, 64)[0]:
            self.records[key] = held if record is held.entry else record

    def find(self, the_plan):
        finding = find(the_plan)
        keys = next(finding)
        while True:
            self.steps += 1
            try:
                keys = finding.send([self.records.get(key) for key in keys])
            except StopIteration as end:
                return end.value


def shelf(*helds):
    made = Shelf()
    for held in helds:
        made.put(held)
    return made


def cached(line="max-age=60", *fields, **how):
    return stored([("Cache-Control", line), *fields], **how)


def test_nothing_is_found_on_an_empty_shelf():
    the_plan = plan()
    assert shelf().find(the_plan) is None
    assert the_plan.missed is Reason.NOT_FOUND


def test_one_step_without_variants_and_two_with():
    plain = shelf(cached())
    assert isinstance(plain.find(plan()), StoredResponse)
    assert plain.steps == 1
    varied = shelf(cached("max-age=60", ("Vary", "Foo"), the_plan=plan([("Foo", "1")])))
    assert isinstance(varied.find(plan([("Foo", "1")])), StoredResponse)
    assert varied.steps == 2


def test_each_request_finds_its_variant():
    one = cached("max-age=60", ("Vary", "Foo"), the_plan=plan([("Foo", "1")]))
    two = cached("max-age=60", ("Vary", "Foo"), the_plan=plan([("Foo", "2")]))
    both = shelf(one, two)
    assert both.find(plan([("Foo", "1")])) is one
    assert both.find(plan([("Foo", "2")])) is two
    other = plan([("Foo", "3")])
    assert both.find(other) is None
    assert other.missed is Reason.VARY_MISMATCH


def test_an_answer_without_vary_is_the_last_resort():
    special = cached("max-age=60", ("Vary", "Foo"), the_plan=plan([("Foo", "1")]))
    default = cached()
    for order in ((special, default), (default, special)):
        made = shelf(*order)
        assert made.find(plan([("Foo", "1")])) is special
    assert shelf(special, default).find(plan()) is default


def test_a_callers_own_answer_is_found_behind_a_shared_one_that_it_may_not_use():
    own = cached(the_plan=plan([("Authorization", "me")]))
    anonymous = cached()
    both = shelf(anonymous, own)
    assert both.find(plan([("Authorization", "me")])) is own
    assert both.find(plan()) is anonymous
    stranger = plan([("Authorization", "you")])
    assert both.find(stranger) is None
    assert stranger.missed is Reason.AUTHORIZATION


def test_an_answer_that_the_origin_lets_be_shared_is_found_by_everybody():
    shared = cached("max-age=60, public", the_plan=plan([("Authorization", "me")]))
    for headers in ([], [("Authorization", "me")], [("Authorization", "you")], [("Cookie", "a=1")]):
        assert shelf(shared).find(plan(headers)) is shared


def test_an_entry_of_another_scope_comes_back_so_that_it_raises_the_alarm():
    theirs = cached(the_plan=plan([("Authorization", "you")]))
    mine = plan([("Authorization", "me")])
    made = Shelf()
    made.records[mine.keys[1]] = theirs
    assert made.find(mine) is theirs
