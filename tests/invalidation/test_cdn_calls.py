"""The call that purges a CDN: what may be described, and what becomes of it."""

import json

import pytest

from apps.invalidation.cdn_calls import KINDS, call_for, cdn_errors, values_of

BASE = "https://cdn.example.com/products"
PURGE = {"method": "PURGE", "url": "{url}"}


def test_a_url_is_purged_where_callers_find_it():
    made = call_for(PURGE, {}, BASE + "/", values_of("path", "/items/7", b"/items/7", "products", soft=False))
    assert (made.method, made.url, made.headers, made.body) == ("PURGE", f"{BASE}/items/7", {}, None)


def test_a_value_cannot_leave_its_place_in_a_url():
    described = {"method": "POST", "url": "https://api.cdn.example.com/purge/{tag}?soft={soft}"}
    made = call_for(described, {}, "", values_of("tag", "../a?b#c&d/é", b"", "products", soft=True))
    assert made.url == "https://api.cdn.example.com/purge/..%2Fa%3Fb%23c%26d%2F%C3%A9?soft=1"


def test_a_value_cannot_leave_its_place_in_a_body():
    described = {"method": "POST", "url": "https://a/", "body": '{"tags": ["{api}/{tag}"], "n": {"x": {}}}'}
    made = call_for(described, {}, "", values_of("tag", 'a"], "all": ["', b"", "products", soft=False))
    assert json.loads(made.body) == {"tags": ['products/a"], "all": ["'], "n": {"x": {}}}


def test_headers_are_the_same_for_each_call_and_may_name_the_tag():
    headers = {"Authorization": "Bearer {x1} abc", "X-Key": "{tag}"}
    made = call_for(PURGE, headers, BASE, values_of("operation", "GET /items/{id}", b"", "products", soft=False))
    assert made.headers == {"Authorization": "Bearer {x1} abc", "X-Key": "GET /items/{id}"}


def test_a_good_description_has_no_errors():
    calls = dict.fromkeys(KINDS, PURGE)
    calls["tag"] = {"method": "POST", "url": "http://10.0.0.8:6081/ban", "body": "{tag}"}
    assert cdn_errors(BASE, {"X-Key": "{tag}", "Authorization": "Bearer abc"}, calls) == {}
    assert cdn_errors("", {}, {"tag": calls["tag"]}) == {}


@pytest.mark.parametrize(
    ("base", "headers", "calls", "field"),
    [
        ("", {}, {"path": PURGE}, "base_url"),
        ("cdn.example.com", {}, {"path": PURGE}, "base_url"),
        ("http://169.254.169.254/", {}, {"path": PURGE}, "base_url"),
        (7, {}, {"path": PURGE}, "base_url"),
        (BASE, [], {"path": PURGE}, "headers"),
        (BASE, {"Host": "x"}, {"path": PURGE}, "headers"),
        (BASE, {"a b": "x"}, {"path": PURGE}, "headers"),
        (BASE, {"X": "a\nb"}, {"path": PURGE}, "headers"),
        (BASE, {"X": None}, {"path": PURGE}, "headers"),
        (BASE, {"X": "{key}"}, {"path": PURGE}, "headers"),
        (BASE, {}, {}, "calls"),
        (BASE, {}, [], "calls"),
        (BASE, {}, {"everything": PURGE}, "calls"),
        (BASE, {}, {"path": "PURGE {url}"}, "calls"),
        (BASE, {}, {"path": {"method": "PURGE"}}, "calls"),
        (BASE, {}, {"path": {**PURGE, "speed": "1"}}, "calls"),
        (BASE, {}, {"path": {**PURGE, "body": 7}}, "calls"),
        (BASE, {}, {"path": {**PURGE, "method": "purge"}}, "calls"),
        (BASE, {}, {"path": {**PURGE, "url": "{path}"}}, "calls"),
        (BASE, {}, {"path": {**PURGE, "url": "{url} x"}}, "calls"),
        (BASE, {}, {"path": {**PURGE, "url": "https://{tag}.example.com/"}}, "calls"),
        (BASE, {}, {"path": {**PURGE, "url": "https://a@b/"}}, "calls"),
        (BASE, {}, {"path": {**PURGE, "url": "https://a:x/"}}, "calls"),
        (BASE, {}, {"path": {**PURGE, "url": "https://a/ b"}}, "calls"),
        (BASE, {}, {"path": {**PURGE, "url": "http://metadata.google.internal/{tag}"}}, "calls"),
        (BASE, {}, {"path": {**PURGE, "url": "http://[fe80::1]/{tag}"}}, "calls"),
        (BASE, {}, {"path": {**PURGE, "url": "https://a/{what}"}}, "calls"),
    ],
)
def test_what_cannot_be_described_is_refused_by_field(base, headers, calls, field):
    assert list(cdn_errors(base, headers, calls)) == [field]


@pytest.mark.parametrize("url", ["{url}.evil.test/", "{url}@evil.test/", "{url}:80/"])
def test_what_stands_behind_the_base_url_does_not_change_its_host(url):
    assert "calls" in cdn_errors("https://shop.test", {}, {"tag": {"method": "POST", "url": url}})
