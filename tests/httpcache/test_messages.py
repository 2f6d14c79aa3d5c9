"""Messages as the core sees them: lines in order, names in lower case (RFC 9110 §5)."""

from apps.httpcache import Request, ResponseHead


def test_a_request_has_no_body_unless_somebody_says_so():
    request = Request("GET", "http", b"h", b"/", None, ())
    assert not request.has_body
    assert request.query is None


def test_repeated_lines_stay_apart_and_in_order():
    head = ResponseHead(200, ((b"link", b"1"), (b"a", b"x"), (b"link", b"2")))
    assert [value for name, value in head.headers if name == b"link"] == [b"1", b"2"]
