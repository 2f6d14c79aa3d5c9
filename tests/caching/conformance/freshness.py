"""How long an answer is fresh (RFC 9111 §4.2): ``max-age``, ``s-maxage``, ``Expires``, ``Age``, guesses, targeted fields."""

from tests.caching.conformance.table import (
    FETCHED,
    NOW,
    STORED,
    Check,
    cc,
    optimal,
    paused,
    question,
    quiet,
    required,
    says,
    soon_stale,
    then,
)

MONTH = 30 * 86400


def _max_age() -> list[Check]:
    def one(make, name, *said, comes=STORED, needs="freshness-max-age"):
        return make(name, "§5.2.2.1", paused(*said), then(comes), needs=needs)

    none = "freshness-none"
    shared = "freshness-s-maxage-shared"
    big = "freshness-max-age-s-maxage-shared"
    return [
        question(none, "§4.2.2", paused(), then(FETCHED)),
        one(optimal, "freshness-max-age", cc("max-age=3600"), needs=none),
        required("freshness-max-age-stale", "§5.2.2.1", soon_stale(), then(FETCHED), needs="freshness-max-age"),
        one(required, "freshness-max-age-0", cc("max-age=0"), comes=FETCHED, needs=none),
        one(optimal, "freshness-max-age-max-minus-1", cc("max-age=2147483647"), needs=none),
        one(optimal, "freshness-max-age-max", cc("max-age=2147483648"), needs=none),
        one(optimal, "freshness-max-age-max-plus-1", cc("max-age=2147483649"), needs=none),
        one(optimal, "freshness-max-age-max-plus", cc("max-age=99999999999"), needs=none),
        one(required, "freshness-max-age-age", NOW, cc("max-age=3600"), ("Age", "7200"), comes=FETCHED),
        one(question, "freshness-max-age-date", ("Date", -7200), cc("max-age=3600"), comes=FETCHED),
        one(optimal, "freshness-max-age-expires", cc("max-age=3600"), ("Expires", -7200), NOW),
        one(optimal, "freshness-max-age-expires-invalid", cc("max-age=3600"), quiet("Expires", "0"), NOW),
        one(
            required,
            "freshness-max-age-0-expires",
            ("Expires", 3600),
            cc("max-age=0"),
            NOW,
            comes=FETCHED,
            needs=none,
        ),
        one(optimal, "freshness-max-age-extension", cc("foobar, max-age=3600")),
        one(optimal, "freshness-max-age-case-insenstive", cc("MaX-aGe=3600")),
        one(required, "freshness-max-age-negative", cc("max-age=-3600"), comes=FETCHED, needs=none),
        one(required, shared, cc("s-maxage=3600"), needs=none),
        one(required, f"{big}-longer", cc("max-age=3600, s-maxage=1"), comes=FETCHED, needs=shared),
        one(required, f"{big}-longer-reversed", cc("s-maxage=1, max-age=3600"), comes=FETCHED, needs=shared),
        one(required, f"{big}-longer-multiple", cc("max-age=3600"), cc("s-maxage=1"), comes=FETCHED, needs=shared),
        one(optimal, f"{big}-shorter", cc("max-age=1, s-maxage=3600"), needs=shared),
        one(optimal, f"{big}-shorter-expires", ("Expires", -10), cc("max-age=0, s-maxage=3600"), needs=shared),
    ]


def _odd_max_age() -> list[Check]:
    def one(make, name, *lines, comes=STORED, needs="freshness-none"):
        said = [quiet("Cache-Control", line) for line in lines]
        return make(f"freshness-max-age-{name}", "§4.2.1", paused(*said), then(comes), needs=needs)

    known = "freshness-max-age"
    return [
        one(question, "two-fresh-stale-sameline", "max-age=1800, max-age=1"),
        one(question, "two-fresh-stale-sepline", "max-age=1800", "max-age=1"),
        one(question, "two-stale-fresh-sameline", "max-age=1, max-age=1800"),
        one(question, "two-stale-fresh-sepline", "max-age=1", "max-age=1800"),
        one(question, "quoted", 'max-age="3600"', needs=known),
        one(required, "ignore-quoted", 'extension="max-age=3600", max-age=1', comes=FETCHED, needs=known),
        one(required, "ignore-quoted-rev", 'max-age=1, extension="max-age=3600"', comes=FETCHED, needs=known),
        one(question, "space-before-equals", "max-age =3600", comes=FETCHED),
        one(question, "space-after-equals", "max-age= 3600", comes=FETCHED),
        one(required, "leading-zero", "max-age=003600"),
        one(required, "single-quoted", "max-age='3600'", comes=FETCHED),
        one(question, "decimal-zero", "max-age=3600.0"),
        one(question, "decimal-five", "max-age=3600.5"),
        one(question, "a100", "max-age=a3600"),
        one(question, "100a", "max-age=3600a"),
    ]


def _age() -> list[Check]:
    def one(make, name, *ages, comes=STORED, lifetime=3600):
        said = [quiet("Age", age) for age in ages]
        first = paused(NOW, cc(f"max-age={lifetime}"), *said)
        return make(f"age-parse-{name}", "§5.1", first, then(comes), needs="freshness-max-age-age")

    return [
        one(required, "nonnumeric", "abc"),
        one(required, "negative", "-7200"),
        one(required, "float", "7200.0"),
        one(required, "large-minus-one", "2147483647", comes=FETCHED),
        one(required, "large", "2147483648", comes=FETCHED),
        one(required, "larger", "2147483649", comes=FETCHED),
        one(required, "suffix", "7200, 0", comes=FETCHED),
        one(required, "prefix", "0, 7200"),
        one(required, "suffix-twoline", "7200", "0", comes=FETCHED),
        one(required, "prefix-twoline", "0", "7200"),
        one(required, "dup-0", "0, 0"),
        one(required, "dup-0-twoline", "0", "0"),
        one(required, "dup-old", "3600", "3600", lifetime=10000),
        one(question, "parameter", "7200;foo=bar", comes=FETCHED),
        one(question, "numeric-parameter", "7200;foo=111", comes=FETCHED),
    ]


def _expires() -> list[Check]:
    def one(make, name, *said, comes=STORED, needs="freshness-expires-future", first=paused, section="§5.3"):
        return make(f"freshness-expires-{name}", section, first(*said), then(comes), needs=needs)

    def odd(make, name, *values, comes=FETCHED, first=paused):
        return one(make, name, *(quiet("Expires", value) for value in values), NOW, comes=comes, first=first)

    return [
        one(optimal, "future", ("Expires", MONTH), NOW, needs="freshness-none"),
        one(required, "past", ("Expires", -MONTH), NOW, comes=FETCHED),
        one(required, "present", ("Expires", 0), NOW, comes=FETCHED, needs="freshness-none", first=says),
        one(required, "old-date", ("Expires", 300), ("Date", 400), comes=FETCHED),
        odd(required, "invalid", "0"),
        one(optimal, "invalid-date", quiet("Date", "foo"), ("Expires", 10), first=says),
        one(required, "age-slow-date", ("Date", -10), ("Expires", 10), ("Age", "25"), comes=FETCHED, first=says),
        one(required, "age-fast-date", ("Date", 10), ("Expires", 20), ("Age", "15"), comes=FETCHED, first=says),
        odd(optimal, "32bit", "Tue, 19 Jan 2038 14:14:08 GMT", comes=STORED),
        odd(optimal, "far-future", "Sun, 21 Nov 2286 04:46:39 GMT", comes=STORED),
        odd(optimal, "rfc850", "Thursday, 18-Aug-50 02:01:18 GMT", comes=STORED),
        odd(optimal, "ansi-c", "Thu Aug  8 02:01:18 2050", comes=STORED),
        odd(optimal, "wrong-case-weekday", "THU, 18 Aug 2050 02:01:18 GMT", comes=STORED),
        odd(optimal, "wrong-case-month", "Thu, 18 AUG 2050 02:01:18 GMT", comes=STORED),
        odd(optimal, "wrong-case-tz", "Thu, 18 Aug 2050 02:01:18 gMT", comes=STORED),
        odd(required, "invalid-utc", "Thu, 18 Aug 2050 02:01:18 UTC"),
        odd(required, "invalid-aest", "Thu, 18 Aug 2050 02:01:18 AEST"),
        odd(required, "invalid-2-digit-year", "Thu, 18 Aug 50 02:01:18 GMT"),
        odd(required, "invalid-no-comma", "Thu 18 Aug 2050 02:01:18 GMT"),
        odd(required, "invalid-multiple-spaces", "Thu, 18  Aug  2050 02:01:18 GMT", first=says),
        odd(required, "invalid-date-dashes", "Thu, 18-Aug-2050 02:01:18 GMT", first=says),
        odd(required, "invalid-time-periods", "Thu, 18 Aug 2050 02.01.18 GMT", first=says),
        odd(required, "invalid-1-digit-hour", "Thu, 18 Aug 2050 2:01:18 GMT", first=says),
        odd(
            required,
            "invalid-multiple-lines",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 18 Aug 2050 2:01:19 GMT",
            first=says,
        ),
    ]


def _guesses() -> list[Check]:
    def one(status, comes, *more):
        content = None if status == 204 else f"text of {status}"
        first = says(("Last-Modified", -86400), NOW, *more, status=status, content=content)
        make = optimal if comes == STORED else required
        name = f"heuristic-{status}-{'cached' if comes == STORED else 'not_cached'}"
        return make(name, "§4.2.2", first, then(comes, status=status, content=content))

    deltas = (5, 10, 30, 60, 300, 600, 1200, 1800, 3600, 43200, 86400)
    return [
        *(one(status, STORED) for status in (200, 203, 204, 404, 405, 410, 414, 501)),
        *(one(status, FETCHED) for status in (201, 202, 403, 502, 503, 504, 599)),
        one(599, STORED, cc("public")),
        *(
            question(f"heuristic-delta-{delta}", "§4.2.2", paused(("Last-Modified", -delta), NOW), then(STORED))
            for delta in deltas
        ),
    ]


def _targeted() -> list[Check]:
    def one(make, name, line, *more, comes=STORED, needs="cdn-max-age", first=paused, checked=False):
        said = ("CDN-Cache-Control", line) if checked else quiet("CDN-Cache-Control", line)
        return make(f"cdn-{name}", "RFC 9213 §2.2", first(said, *more), then(comes), needs=needs)

    none = "freshness-none"
    long = (("Expires", 10000), NOW)
    exceeds = (cc("max-age=1"), ("CDN-Cache-Control", "max-age=10000"), NOW)
    kept = "cdn-max-age"
    return [
        one(optimal, "max-age", "max-age=3600", needs=none),
        one(optimal, "max-age-max", "max-age=2147483648", needs=none),
        one(optimal, "max-age-max-plus", "max-age=99999999999", needs=none),
        one(required, "max-age-age", "max-age=3600", NOW, ("Age", "7200"), comes=FETCHED),
        one(question, "max-age-space-before-equals", "max-age =100", cc("max-age=1"), comes=FETCHED),
        one(question, "max-age-space-after-equals", "max-age= 100", cc("max-age=1"), comes=FETCHED),
        one(required, "max-age-0", "max-age=0", comes=FETCHED),
        one(optimal, "max-age-extension", "foobar, max-age=3600"),
        one(question, "max-age-case-insensitive", "MaX-aGe=3600"),
        one(optimal, "max-age-expires", "max-age=3600", ("Expires", -10000), NOW),
        one(optimal, "max-age-cc-max-age-invalid-expires", "max-age=3600", quiet("Expires", "0"), NOW),
        one(required, "max-age-0-expires", "max-age=0", *long, comes=FETCHED),
        one(optimal, "max-age-short-cc-max-age", "max-age=3600", cc("max-age=1")),
        one(required, "max-age-long-cc-max-age", "max-age=1", cc("max-age=3600"), comes=FETCHED),
        one(
            required,
            "private",
            "private",
            cc("max-age=10000"),
            *long,
            comes=FETCHED,
            needs="",
            first=says,
            checked=True,
        ),
        one(
            required,
            "no-cache",
            "no-cache",
            cc("max-age=10000"),
            *long,
            comes=FETCHED,
            needs="",
            first=says,
            checked=True,
        ),
        one(required, "no-store-cc-fresh", "no-store", cc("max-age=10000"), *long, comes=FETCHED, needs=none),
        one(required, "fresh-cc-nostore", "max-age=10000", cc("no-store"), needs=none),
        one(required, "cc-invalid-sh-type-unknown", "max-age=10000, &&&&&", cc("no-store"), comes=FETCHED),
        one(required, "cc-invalid-sh-type-wrong", 'max-age="10000"', cc("no-store"), comes=FETCHED),
        question(
            "cdn-remove-header",
            "RFC 9213 §2",
            says(
                cc("max-age=10000"),
                quiet("CDN-Cache-Control", "foo"),
                *long,
                prepares=False,
                has=(("CDN-Cache-Control", "foo"),),
            ),
        ),
        question("cdn-remove-age-exceed", "§5.1", paused(*exceeds), then(has=("Age",)), needs=kept),
        question("cdn-date-update-exceed", "§4.2", paused(*exceeds), then(has=(NOW,)), needs=kept),
        question(
            "cdn-expires-update-exceed",
            "§5.3",
            paused(exceeds[0], ("Expires", 1), *exceeds[1:]),
            then(has=(("Expires", 1),)),
            needs=kept,
        ),
    ]


CHECKS = [*_max_age(), *_odd_max_age(), *_age(), *_expires(), *_guesses(), *_targeted()]
