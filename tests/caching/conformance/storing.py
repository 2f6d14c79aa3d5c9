"""What is stored and of what: directives, statuses, fields, credentials, methods, parts (RFC 9111 §3, §4.4, §5.2)."""

from dataclasses import replace

from tests.caching.conformance.table import (
    ANY,
    BY_DATE,
    BY_TAG,
    FETCHED,
    NOW,
    STORED,
    Check,
    More,
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

LONG = (("Expires", 10000), NOW)
TAG = ("ETag", '"abcd"')
MONTH = 30 * 86400
KNOWN = "freshness-max-age"

LISTED = {
    "Test-Header": (),
    "X-Test-Header": (),
    "Content-Foo": (),
    "X-Content-Foo": (),
    "Cache-Control": ("max-age=1", "max-age=3600"),
    "Connection": None,
    "Content-Encoding": (),
    "Content-Length": ("36", "10"),
    "Content-Location": ("/foo", "/bar"),
    "Content-MD5": ("rL0Y20zC+Fzt72VPzMSk2A==", "N7UdGUp1E+RbVvZSTy1R8g=="),
    "Content-Range": (),
    "Content-Security-Policy": ("default-src 'self'", "default-src 'self' cdn.example.com"),
    "Content-Type": ("text/plain", "text/plain;charset=utf-8"),
    "Clear-Site-Data": ("cache", "cookies"),
    "ETag": ('"abcdef"', '"ghijkl"'),
    "Expires": ("Fri, 01 Jan 2038 01:01:01 GMT", "Mon, 11 Jan 2038 11:11:11 GMT"),
    "Keep-Alive": None,
    "Proxy-Authenticate": None,
    "Proxy-Authentication-Info": None,
    "Proxy-Authorization": None,
    "Proxy-Connection": None,
    "Public-Key-Pins": (),
    "Set-Cookie": ("a=b", "a=c"),
    "Set-Cookie2": ("a=b", "a=c"),
    "TE": None,
    "Transfer-Encoding": None,
    "Upgrade": None,
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": ("1", "1; mode=block"),
}
"""Fields by name with an old and a new value; ``()``: any; ``None``: a field of one connection, never stored."""


def _directives() -> list[Check]:
    def refused(name, *said, needs=""):
        return required(f"cc-resp-{name}", "§5.2.2", says(*said), then(FETCHED), needs=needs)

    no_store, no_cache = "cc-resp-no-store", "cc-resp-no-cache"
    old = (cc("max-age=10000"), *LONG, ("A", "1"))

    def newer(name, line):
        second = replace(paused(cc(line), NOW, ("A", "2")), comes=None)
        return required(name, "§5.2.2.5", paused(*old), second, then(STORED, has=(("A", "1"),)), needs=no_store)

    short = (cc("max-age=2, must-revalidate"), TAG)
    return [
        refused("private-shared", cc("private, max-age=3600")),
        refused("no-store", cc("no-store")),
        refused("no-store-case-insensitive", cc("No-StOrE"), needs=no_store),
        refused("no-store-fresh", cc("max-age=10000, no-store"), *LONG, needs=no_store),
        newer("cc-resp-no-store-old-new", "no-store"),
        newer("cc-resp-no-store-old-max-age", "no-store, max-age=0"),
        refused("no-cache", cc("max-age=10000, no-cache"), *LONG),
        refused("no-cache-case-insensitive", cc("max-age=10000, No-CaChE"), *LONG, needs=no_cache),
        optimal("cc-resp-no-cache-revalidate", "§5.2.2.4", says(cc("no-cache"), TAG), then(BY_TAG), needs=no_cache),
        optimal(
            "cc-resp-no-cache-revalidate-fresh",
            "§5.2.2.4",
            says(cc("max-age=10000, no-cache"), *LONG, TAG),
            then(BY_TAG),
            needs=no_cache,
        ),
        question(
            "headers-omit-headers-listed-in-Cache-Control-no-cache-single",
            "§5.2.2.4",
            paused(cc('no-cache="a"'), ("a", "1"), ("b", "2"), cc("max-age=3600"), NOW),
            then(STORED, has=(("b", "2"),), lacks=("a",), given=frozenset({"comes"})),
            needs="cc-resp-no-cache-revalidate",
        ),
        question(
            "headers-omit-headers-listed-in-Cache-Control-no-cache",
            "§5.2.2.4",
            paused(cc('no-cache="a, b"'), ("a", "1"), ("b", "2"), ("c", "3"), cc("max-age=3600"), NOW),
            then(STORED, has=(("c", "3"),), lacks=("a", "b"), given=frozenset({"comes"})),
            needs="cc-resp-no-cache-revalidate",
        ),
        optimal(
            "cc-resp-must-revalidate-fresh",
            "§5.2.2.2",
            says(cc("max-age=10000, must-revalidate"), TAG),
            then(STORED),
            needs="freshness-none",
        ),
        required(
            "cc-resp-must-revalidate-stale",
            "§5.2.2.2",
            says(*short),
            replace(paused(*short), comes=STORED),
            then(BY_TAG),
            needs="freshness-none",
        ),
    ]


def _statuses() -> list[Check]:
    found = []
    for status in (200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599):
        said = {"status": status, "content": None if status == 204 else f"text of {status}"}
        name = f"status-{status}"
        found += [
            optimal(f"{name}-fresh", "§3", fresh(**said), then(STORED, **said), needs=KNOWN),
            required(
                f"{name}-stale",
                "§3",
                stale(**said),
                then(FETCHED, content=said["content"]),
                needs=f"{name}-fresh",
            ),
        ]
    understand = cc("max-age=3600, no-store, must-understand")
    return [
        *found,
        required(
            "status-599-must-understand",
            "§5.2.2.3",
            says(understand, status=599),
            then(FETCHED),
            needs="status-599-fresh",
        ),
        optimal(
            "status-200-must-understand",
            "§5.2.2.3",
            says(understand, status=200),
            then(STORED),
            needs="status-200-fresh cc-resp-no-store-fresh",
        ),
    ]


def _credentials() -> list[Check]:
    key = {"asks": (("Authorization", "FOO"),), "origin_gets": (("Authorization", "FOO"),)}

    def open_to_all(name, line):
        first = paused(cc(line), NOW, **key)
        return optimal(f"other-authorization-{name}", "§3.5", first, then(STORED), needs="other-authorization")

    return [
        required("other-authorization", "§3.5", fresh(**key), then(FETCHED), needs=KNOWN),
        open_to_all("public", "max-age=3600, public"),
        open_to_all("must-revalidate", "max-age=3600, must-revalidate"),
        open_to_all("smaxage", "s-maxage=3600"),
    ]


def _fields() -> list[Check]:
    found = [
        required(
            "headers-omit-headers-listed-in-Connection",
            "§3.1",
            fresh(quiet("Connection", "a, b"), quiet("a", "1"), quiet("b", "2"), quiet("c", "3")),
            then(STORED, has=(("c", "3"),), lacks=("a", "b"), given=frozenset({"comes", "has"})),
            needs=KNOWN,
        )
    ]
    for name, values in LISTED.items():
        value = values[1] if values else some(f"{name} stored")
        kept = values is not None
        lifetime = () if name == "Cache-Control" else (cc("max-age=3600"),)
        reads = name != "Content-Length"
        said = (name, value) if kept else quiet(name, value)
        found.append(
            required(
                f"headers-store-{name}",
                "§3.1",
                paused(NOW, said, *lifetime, reads=reads),
                then(
                    STORED,
                    has=((name, value),) if kept else (),
                    given=frozenset({"comes"}),
                    reads=reads,
                ),
                needs=KNOWN,
            )
        )
    return found


def _invalidation() -> list[Check]:
    def at(target, **more):
        return says(cc("max-age=100000"), ("Last-Modified", 0), NOW, below=target, **more)

    locations = says(
        ("Location", "location_target"), ("Content-Location", "content_location_target"), own_locations=True
    )
    found = []
    for method in ("POST", "PUT", "DELETE", "M-SEARCH"):
        write = {"method": method, "body": "abc"}
        name = f"invalidate-{method}"
        found += [
            required(name, "§4.4", fresh(), says(**write), then(FETCHED), needs=KNOWN),
            optimal(f"{name}-failed", "§4.4", fresh(), says(status=500, **write), then(STORED), needs=name),
        ]
        for label, target in (("location", "location_target"), ("cl", "content_location_target")):
            found.append(
                question(
                    f"{name}-{label}",
                    "§4.4",
                    at(target),
                    replace(locations, **write),
                    replace(at(target), comes=FETCHED, prepares=False),
                    needs=name,
                )
            )
    found.append(
        optimal(
            "method-POST",
            "RFC 9110 §9.3.3",
            paused(
                ("Expires", MONTH),
                ("Content-Location", ""),
                NOW,
                method="POST",
                body="12345",
                asks=(("Content-Type", "text/plain"),),
                own_locations=True,
            ),
            then(STORED),
        )
    )
    return found


def _parts() -> list[Check]:
    whole = says(cc("max-age=3600"), content="01234567890")
    last = says(
        cc("max-age=3600"),
        ("Content-Range", "bytes 4-9/10"),
        status=206,
        content="01234",
        asks=(("Range", "bytes=-5"),),
    )

    def part(name, first, asked, text):
        second = then(STORED, asks=(("Range", f"bytes={asked}"),), answers=206, text=text)
        return optimal(f"partial-{name}", "§3.4", first, second, needs=KNOWN)

    complete, partial = "store-complete-reuse-partial", "store-partial-reuse-partial"
    known = frozenset({"comes", "answers", "text"})
    first = says(cc("max-age=3600"), ("A", "1"), content="01234567890")
    first_two = then(STORED, asks=(("Range", "bytes=0-1"),), answers=206, text="01", given=known)
    return [
        part(partial, replace(last, origin_gets=(("Range", "bytes=-5"),)), "-5", "01234"),
        part(complete, whole, "0-1", "01"),
        part(f"{complete}-no-last", whole, "1-", "1234567890"),
        part(f"{complete}-suffix", replace(whole, content="0123456789A"), "-1", "A"),
        part(f"{partial}-byterange", last, "6-8", "234"),
        part(f"{partial}-absent", last, "6-", "234"),
        part(f"{partial}-suffix", last, "-1", "4"),
        optimal(
            "partial-store-partial-complete",
            "§3.4",
            says(
                cc("max-age=3600"),
                ("Content-Range", "bytes 0-4/10"),
                status=206,
                content="01234",
                asks=(("Range", "bytes=-5"),),
            ),
            then(origin_gets=(("range", "bytes=5-"),)),
            needs=KNOWN,
        ),
        required(
            "partial-use-headers",
            "§3.4",
            first,
            replace(first_two, says=says(("A", "2")).says),
            needs="partial-store-complete-reuse-partial",
        ),
        required(
            "partial-use-stored-headers",
            "§3.4",
            first,
            replace(first_two, has=(("A", "1"),)),
            needs="partial-store-complete-reuse-partial",
        ),
    ]


def _request_directives() -> list[Check]:
    def asked(name, first, line, comes, needs=KNOWN):
        return question(f"ccreq-{name}", "§5.2.1", first, then(comes, asks=(cc(line),)), needs=needs)

    hour = says(cc("max-age=3600"))
    return [
        asked("ma0", fresh(), "max-age=0", FETCHED),
        asked("ma1", fresh(), "max-age=1", FETCHED),
        asked("magreaterage", fresh(("Age", "1800")), "max-age=600", FETCHED),
        asked("max-stale", soon_stale(), "max-stale=1000", STORED, needs="freshness-max-age-stale"),
        asked("max-stale-age", says(cc("max-age=1500"), ("Age", "2000")), "max-stale=1000", STORED),
        asked("min-fresh", says(cc("max-age=1500")), "min-fresh=2000", FETCHED),
        asked("min-fresh-age", says(cc("max-age=1500"), ("Age", "1000")), "min-fresh=1000", FETCHED),
        asked("no-cache", hour, "no-cache", FETCHED),
        asked("no-cache-lm", says(cc("max-age=3600"), ("Last-Modified", -10000), NOW), "no-cache", BY_DATE),
        asked("no-cache-etag", says(cc("max-age=3600"), TAG), "no-cache", BY_TAG),
        asked("no-store", fresh(), "no-store", FETCHED),
        question("ccreq-oic", "§5.2.1.7", then(asks=(cc("only-if-cached"),), answers=504, text=ANY)),
        question("pragma-request-no-cache", "§5.4", hour, then(STORED, asks=(("Pragma", "no-cache"),))),
        question("pragma-request-extension", "§5.4", hour, then(STORED, asks=(("Pragma", "unrecognised-extension"),))),
        question("pragma-response-no-cache", "§5.4", says(cc("max-age=3600"), ("Pragma", "no-cache")), then(STORED)),
        question(
            "pragma-response-no-cache-heuristic",
            "§5.4",
            says(NOW, ("Last-Modified", -10000), ("Pragma", "no-cache")),
            then(STORED),
            needs="heuristic-200-cached",
        ),
        question(
            "pragma-response-extension",
            "§5.4",
            says(cc("max-age=3600"), ("Pragma", "unrecognised-extension")),
            then(STORED),
        ),
    ]


def _others() -> list[Check]:
    attached = ("Content-Disposition", "attachment; filename=example.txt")
    month = (("Expires", MONTH), NOW)
    expiring = "freshness-expires-future"
    return [
        required("other-age-gen", "§5.1", fresh(), then(STORED, has=(More("Age", 2),)), needs=KNOWN),
        question(
            "other-age-delay",
            "§4.2.3",
            says(cc("max-age=3600"), NOW, prepares=False, after=5, has=(More("Age", 0),)),
        ),
        required(
            "other-age-update-expires",
            "§5.1",
            paused(*month, ("Age", "30")),
            then(STORED, has=(More("Age", 32),)),
            needs=expiring,
        ),
        required(
            "other-age-update-max-age",
            "§5.1",
            fresh(("Age", "30")),
            then(STORED, has=(More("Age", 32),)),
            needs=KNOWN,
        ),
        required("other-date-update", "§4", fresh(), then(STORED, has=(NOW,)), needs=KNOWN),
        required("other-date-update-expires", "§4", paused(*month), then(STORED, has=(NOW,)), needs=expiring),
        question(
            "other-date-update-expires-update",
            "§4",
            paused(*month),
            then(STORED, has=(("Expires", MONTH),)),
            needs=expiring,
        ),
        required("query-args-different", "§2", fresh(query="test=1"), then(FETCHED, query="test=2"), needs=KNOWN),
        optimal("query-args-same", "§2", fresh(query="test=1"), then(STORED, query="test=1"), needs=KNOWN),
        question(
            "other-heuristic-content-disposition-attachment",
            "§4.2.2",
            says(("Last-Modified", -100000), NOW, attached),
            then(STORED),
            needs="heuristic-200-cached",
        ),
        question("other-fresh-content-disposition-attachment", "§4.2", fresh(attached), then(STORED), needs=KNOWN),
        optimal("other-set-cookie", "§7.3", fresh(("Set-Cookie", "a=b")), then(STORED), needs=KNOWN),
        optimal("other-cookie", "§7.3", fresh(), then(STORED, asks=(("Cookie", "a=b"),)), needs=KNOWN),
    ]


CHECKS = [
    *_directives(),
    *_statuses(),
    *_credentials(),
    *_fields(),
    *_invalidation(),
    *_parts(),
    *_request_directives(),
    *_others(),
]
