"""A typed request as the gateway's door would see it."""

import pytest
from django.core.exceptions import ValidationError

from apps.explain.typed_request import typed


def of(url, method="GET", headers=(), body=None):
    return typed(url, method, headers, body)


@pytest.fixture(autouse=True)
def gateway(settings):
    settings.GATEWAY_URL = "http://gateway.test:8080"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("/products/items?a=1", b"/products/items?a=1"),
        ("/products", b"/products"),
        ("/a?", b"/a?"),
        ("/a?x?y", b"/a?x?y"),
        ("/a#part?no", b"/a"),
        ("//a//b", b"//a//b"),
        ("/a b/ä?q=ü", b"/a%20b/%C3%A4?q=%C3%BC"),
        ("/a%2Fb/%zz", b"/a%2Fb/%zz"),
        ("/a;x.css", b"/a;x.css"),
        ("https://api.test", b"/"),
        (" http://api.test/a?b=c#d ", b"/a?b=c"),
    ],
)
def test_a_url_is_what_would_stand_in_the_request_line(url, target):
    assert of(url).target == target


def test_the_host_is_the_urls_else_the_headers_else_the_gateways():
    assert of("/a").host == b"gateway.test:8080"
    assert of("/a", headers=[("Host", "Api.test")]).host == b"api.test"
    whole = of("https://Api.test:444/a", headers=[("Host", "other")])
    assert (whole.scheme, whole.host, whole.url) == ("https", b"api.test:444", "https://api.test:444/a")
    assert [value for name, value in whole.headers if name == b"host"] == [b"api.test:444"]


def test_headers_are_as_the_core_takes_them_without_framing():
    said = [("Accept", " a "), ("accept", "b"), ("Content-Length", "7"), ("Transfer-Encoding", "chunked")]
    assert of("/a", headers=said).headers[:-1] == ((b"accept", b"a"), (b"accept", b"b"))


def test_an_empty_body_is_none():
    assert of("/a", "post", body=b"").body is None
    assert of("/a", "post", body=b"{}").body == b"{}"
    assert of("/a", " query ").method == "QUERY"


@pytest.mark.parametrize(
    ("how", "field"),
    [
        ({"url": "products/items"}, "url"),
        ({"url": "ftp://api.test/"}, "url"),
        ({"url": "http://[/"}, "url"),
        ({"url": "http://api.test:99999/"}, "url"),
        ({"url": "http:///a"}, "url"),
        ({"url": "http://ann:secret@api.test/"}, "url"),
        ({"url": ""}, "url"),
        ({"url": "/a", "method": "TRACE"}, "method"),
        ({"url": "/a", "headers": [("", "x")]}, "headers"),
        ({"url": "/a", "headers": [("a", "x\r\nb: y")]}, "headers"),
        ({"url": "/a", "headers": [("a", "\u20ac")]}, "headers"),
        ({"url": "/a", "headers": [("Host", "a"), ("host", "b")]}, "headers"),
    ],
)
def test_what_is_no_request_is_refused_by_field(how, field):
    with pytest.raises(ValidationError) as refused:
        of(**how)
    assert list(refused.value.message_dict) == [field]
