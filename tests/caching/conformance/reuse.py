"""Which stored answer is reused, and how it is confirmed: ``Vary``, conditions, 304, HEAD, staleness, interim answers (RFC 9111
§4.1, §4.2.4, §4.3).
"""

from dataclasses import replace

from tests.caching.conformance.storing import LISTED
from tests.caching.conformance.table import (
    ANY,
    BY_DATE,
    BY_TAG,
    FETCHED,
    NOW,
    STORED,
    Check,
    cc,
    fresh,
    optimal,
    paused,
    question,
    quiet,
    required,
    says,
    some,
    soon_stale,
    stale,
    then,
)

KNOWN = "freshness-max-age"
STALE = "freshness-max-age-stale"
TAG = ("ETag", '"abcdef"')


def _variants() -> list[Check]:
    def first(vary, *asks, checked=True, **more):
        field = ("Vary", vary) if checked else quiet("Vary", vary)
        return says(cc("max-age=5000"), ("Last-Modified", -3000), NOW, field, asks=asks, **more)

    def again(comes, *asks, **more):
        return then(comes, asks=asks, **more)

    def one(make, name, before, after, needs="vary-match"):
        return make(f"vary-{name}", "§4.1", before, after, needs=needs)

    foo, foo2, bar, baz = ("Foo", "1"), ("Foo", "2"), ("Bar", "abc"), ("Baz", "789")
    two, three = first("Foo, Bar", foo, bar, checked=False), first("Foo, Bar, Baz", foo, bar, baz, checked=False)
    language = first("Accept-Language", ("Accept-Language", "en, de"))
    found = [
        one(optimal, "match", first("Foo", foo), again(STORED, foo), needs=KNOWN),
        one(required, "no-match", first("Foo", foo), again(FETCHED, foo2)),
        one(required, "omit-stored", first("Foo"), again(FETCHED, foo)),
        one(required, "omit", first("Foo", foo), again(FETCHED)),
        optimal(
            "vary-invalidate",
            "§4.1",
            first("Foo", foo, content="text of one"),
            replace(first("Foo", foo2, content="text of two"), comes=FETCHED),
            again(STORED, foo, content="text of one"),
            needs="vary-match",
        ),
        one(optimal, "cache-key", first("Foo", foo, ("Other", "2")), again(STORED, foo, ("Other", "3"))),
        one(optimal, "2-match", two, again(STORED, foo, bar)),
        one(required, "2-no-match", two, again(FETCHED, foo2, bar), needs="vary-2-match"),
        one(required, "2-match-omit", two, again(FETCHED), needs="vary-2-match"),
        one(optimal, "3-match", three, again(STORED, foo, bar, baz), needs="vary-2-match"),
        one(required, "3-no-match", three, again(FETCHED, foo2, bar, baz), needs="vary-3-match"),
        one(required, "3-order", three, again(FETCHED, foo, baz, ("Bar", "abcde")), needs="vary-3-match"),
        one(
            optimal,
            "3-omit",
            first("Foo, Bar, Baz", foo, baz, checked=False),
            again(STORED, foo, baz),
            needs="vary-3-match",
        ),
        one(required, "star", first("*", foo, baz), again(FETCHED, foo, baz), needs=""),
        one(optimal, "normalise-combine", first("Foo", ("Foo", "1, 2")), again(STORED, foo, foo2)),
        one(optimal, "normalise-lang-order", language, again(STORED, ("Accept-Language", "de, en"))),
        one(optimal, "normalise-lang-case", language, again(STORED, ("Accept-Language", "eN, De"))),
        one(optimal, "normalise-lang-space", language, again(STORED, ("Accept-Language", " en ,   de"))),
        one(
            optimal,
            "normalise-lang-select",
            replace(language, says=(*language.says, *says(("Content-Language", "de")).says)),
            again(STORED, ("Accept-Language", "fr;q=0.5, de;q=1.0")),
        ),
        one(optimal, "normalise-space", first("Foo", ("Foo", "1,2")), again(STORED, ("Foo", " 1, 2 "))),
    ]
    stars = {
        "star": ("*",),
        "star-star": ("*, *",),
        "star-star-lines": ("*", "*"),
        "empty-star": (", *",),
        "empty-star-lines": ("", "*"),
        "star-foo": ("*, Foo",),
        "foo-star": ("Foo, *",),
    }
    for name, lines in stars.items():
        before = says(
            cc("max-age=5000"), ("Last-Modified", -3000), NOW, *(quiet("Vary", line) for line in lines), asks=(foo, baz)
        )
        found.append(one(required, f"syntax-{name}", before, again(FETCHED, foo, baz)))
    return found


def _conditions() -> list[Check]:
    strong = "conditional-etag-strong-respond"
    weak = "conditional-etag-weak-respond"

    def asked(make, name, etag, tags, needs=strong, **more):
        second = then(STORED, asks=(("If-None-Match", tags),), answers=304, **more)
        return make(f"conditional-{name}", "§4.3.2", fresh(("ETag", etag)), second, needs=needs)

    def told(make, name, etag, sent, needs=STALE):
        second = then(BY_TAG, origin_gets=(("If-None-Match", sent),))
        return make(f"conditional-etag-{name}", "§4.3.1", soon_stale(("ETag", etag)), second, needs=needs)

    def since(name, first, seconds, comes=STORED, needs=KNOWN, **more):
        second = then(comes, asks=(("If-Modified-Since", seconds),), answers=304, **more)
        return optimal(f"conditional-lm-{name}", "§4.3.2", first, second, needs=needs)

    quoted = '"abcdef"'
    modified = ("Last-Modified", -3000)
    given = frozenset({"comes"})
    varying = (("Expires", 1), TAG, NOW, ("Vary", "Abc"))
    return [
        asked(optimal, "etag-strong-respond", quoted, quoted, needs=KNOWN),
        asked(required, "304-etag", quoted, quoted, has=(TAG,)),
        required(
            "conditional-etag-precedence",
            "§4.3.2",
            fresh(("Last-Modified", -5000), TAG),
            then(STORED, asks=(("If-None-Match", quoted), ("If-Modified-Since", -1)), answers=304),
            needs=strong,
        ),
        asked(question, "etag-strong-respond-obs-text", '"abcdefü"', '"abcdefü"', has=(("ETag", '"abcdefü"'),)),
        asked(question, "etag-quoted-respond-unquoted", quoted, "abcdef"),
        asked(question, "etag-unquoted-respond-unquoted", "abcdef", "abcdef"),
        asked(question, "etag-unquoted-respond-quoted", "abcdef", quoted),
        asked(optimal, "etag-weak-respond", f"W/{quoted}", f"W/{quoted}", needs=KNOWN),
        asked(question, "etag-weak-respond-lowercase", f"w/{quoted}", f"w/{quoted}", needs=weak),
        asked(question, "etag-weak-respond-backslash", f"W\\{quoted}", f"W\\{quoted}", needs=weak),
        asked(question, "etag-weak-respond-omit-slash", f"W{quoted}", f"W{quoted}", needs=weak),
        asked(optimal, "etag-strong-respond-multiple-first", quoted, f'{quoted}, "1234", "5678"'),
        asked(optimal, "etag-strong-respond-multiple-second", quoted, f'"1234", {quoted}, "5678"'),
        asked(optimal, "etag-strong-respond-multiple-last", quoted, f'"1234", "5678", {quoted}'),
        required(
            "conditional-etag-vary-headers",
            "§4.3.1",
            paused(*varying, asks=(("Abc", "123"),)),
            then(BY_TAG, asks=(("Abc", "123"),), origin_gets=(("Abc", "123"),), given=given),
        ),
        question(
            "conditional-etag-vary-headers-mismatch",
            "§4.3.1",
            paused(("Expires", 10000), *varying[1:], asks=(("Abc", "123"),)),
            then(asks=(("Abc", "456"),), origin_gets=(("If-None-Match", quoted),)),
            needs="conditional-etag-vary-headers vary-no-match",
        ),
        told(optimal, "strong-generate", quoted, quoted),
        told(optimal, "weak-generate-weak", f"W/{quoted}", f"W/{quoted}"),
        told(question, "strong-generate-unquoted", "abcdef", quoted, needs="conditional-etag-strong-generate"),
        question(
            "conditional-etag-forward",
            "§4.3.1",
            then(asks=(("If-None-Match", quoted),), origin_gets=(("If-None-Match", quoted),)),
        ),
        question(
            "conditional-etag-forward-unquoted",
            "§4.3.1",
            then(asks=(("If-None-Match", "abcdef"),), origin_gets=(("If-None-Match", quoted),)),
            needs="conditional-etag-forward",
        ),
        since("fresh", fresh(modified), -3000),
        since("fresh-earlier", fresh(modified), -2000),
        since("stale", soon_stale(modified), -3000, comes=BY_DATE, needs=STALE),
        since("fresh-no-lm", fresh(), -3000, given=given),
        since("fresh-rfc850", fresh(modified), -3000, given=given, old_dates=True),
    ]


def _confirmed() -> list[Check]:
    """What a 304 changes (§3.2, §4.3.4)."""
    old_date = ("Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT")
    kept = ("Test-Header", some("stored"))
    stored = "304-lm-use-stored-Test-Header"
    given = frozenset({"comes"})
    found = [
        required(
            stored,
            "§4.3.4",
            paused(cc("max-age=2"), old_date, NOW, kept),
            then(BY_DATE, says=says(old_date, NOW).says, has=(kept,), given=given),
        )
    ]
    for name, values in LISTED.items():
        if values is None:
            continue
        old, new = values or (some(f"{name} old"), some(f"{name} new"))
        stays = name == "Content-Length"
        make = required if stays or name in list(LISTED)[:5] else question
        tag = () if name == "ETag" else (("ETag", f'"{some(name)}"'),)
        lifetime = () if name == "Cache-Control" else (cc("max-age=2"),)

        def said(value, *more, name=name, stays=stays, lifetime=lifetime):
            field = quiet(name, value) if stays else (name, value)
            return says(NOW, field, *lifetime, *more).says

        expected = {"has": ((name, old if stays else new),), "given": given, "reads": not stays}
        found.append(
            make(
                f"304-etag-update-response-{name}",
                "§3.2",
                replace(paused(reads=not stays), says=said(old, *tag)),
                then(BY_TAG, says=said(new, *tag), **expected),
                then(STORED, says=said(old if stays else new), **expected),
                needs=stored,
            )
        )
    return found


def _head() -> list[Check]:
    def head(*said, **more):
        return then(method="HEAD", origin_method="HEAD", says=says(*said).says, **more)

    longer = cc("max-age=1000")
    changed = then(STORED, has=(("Template-A", "2"),), given=frozenset({"comes"}))
    through, updates = "head-writethrough", "head-200-freshness-update"
    return [
        question(through, "§4.3.5", soon_stale(), head(), needs=STALE),
        question("head-200-retain", "§4.3.5", soon_stale(), head(has=(("Template-A", "1"),)), needs=through),
        question(updates, "§4.3.5", soon_stale(), head(longer), then(STORED), needs=through),
        question("head-200-update", "§4.3.5", soon_stale(), head(("Template-A", "2"), longer), changed, needs=updates),
        question(
            "head-410-update",
            "§4.3.5",
            soon_stale(),
            head(("Template-A", "2"), longer, status=410),
            changed,
            needs=updates,
        ),
    ]


def _stale() -> list[Check]:
    gone = {"breaks_off": True}
    closes = "stale-close"

    def forbidden(directive, value=""):
        last = then(answers=ANY, reads=False, lacks=("server-request-count",), **gone)
        first = paused(cc(f"max-age=2, {directive}{value}"))
        return required(f"stale-close-{directive}{value}", "§4.2.4", first, last, needs=closes)

    warned = {"has": ("Warning",), "given": frozenset({"comes"}), **gone}
    on_error = paused(cc("max-age=2, stale-if-error=60"))
    while_asked = "stale-while-revalidate"
    return [
        question(closes, "§4.2.4", soon_stale(), then(STORED, **gone), needs=STALE),
        question("stale-503", "§4.2.4", soon_stale(), then(STORED, status=503, answers=200), needs=STALE),
        optimal(
            while_asked,
            "RFC 5861 §3",
            paused(cc("max-age=1, stale-while-revalidate=3600"), ("ETag", '"abc"')),
            then(STORED),
            needs=STALE,
        ),
        required(
            "stale-while-revalidate-window",
            "RFC 5861 §3",
            paused(cc("max-age=1, stale-while-revalidate=4"), ("ETag", '"abc"')),
            replace(paused(quiet("Cache-Control", "no-cache"), quiet("ETag", '"def"')), comes=STORED),
            then(has=(("client-request-count", "3"),)),
            needs=while_asked,
        ),
        question("stale-sie-close", "RFC 5861 §4", on_error, then(STORED, **gone), needs=STALE),
        question("stale-sie-503", "RFC 5861 §4", on_error, then(STORED, **gone), needs=STALE),
        forbidden("must-revalidate"),
        forbidden("proxy-revalidate"),
        forbidden("no-cache"),
        forbidden("s-maxage", "=2"),
        question("stale-warning-stored", "§5.5", stale(), then(STORED, **warned), needs=closes),
        question("stale-warning-become", "§5.5", soon_stale(), then(STORED, **warned), needs=closes),
    ]


def _interim() -> list[Check]:
    link = ("link", "</styles.css>; rel=preload; as=style")
    mine = ("x-my-header", "test")

    def first(status, *fields, **more):
        said = ((status, fields),)
        return says(cc("max-age=100000"), NOW, interim=said, hears=said, prepares=False, pauses=True, **more)

    return [
        optimal("interim-102", "RFC 9110 §15.2", first(102), then(STORED)),
        optimal("interim-103", "RFC 8297", first(103, link, mine), then(STORED)),
        required("interim-not-cached", "§3", first(103, link), then(STORED, hears=())),
        optimal(
            "interim-no-header-reuse",
            "§3.1",
            first(103, link, mine, lacks=("x-my-header",)),
            then(STORED, lacks=("x-my-header",)),
        ),
    ]


CHECKS = [*_variants(), *_conditions(), *_confirmed(), *_head(), *_stale(), *_interim()]
