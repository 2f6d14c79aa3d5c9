"""Cache-Status: RFC 9211 §2; the contract's X-Cache."""

import pytest

from apps.httpcache import Reason, cache_status, forwarded_because


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"hit": True, "ttl": 52}, b"apimgr;hit;ttl=52"),
        ({"hit": True, "ttl": -3}, b"apimgr;hit;ttl=-3"),
        ({"hit": True}, b"apimgr;hit"),
        (
            {"forwarded": Reason.NOT_FOUND, "upstream_status": 200, "stored": True},
            b"apimgr;fwd=uri-miss;fwd-status=200;stored",
        ),
        ({"forwarded": Reason.NOT_FOUND, "collapsed": True, "ttl": 60}, b"apimgr;fwd=uri-miss;ttl=60;collapsed"),
        ({"forwarded": Reason.MODE_OFF}, b"apimgr;fwd=bypass"),
        ({}, b"apimgr;fwd=bypass"),
        ({"hit": True, "key": "ab12", "detail": Reason.FRESH}, b'apimgr;hit;key="ab12";detail=fresh'),
    ],
)
def test_what_is_said_of_a_call(how, text):
    assert cache_status(**how) == text


@pytest.mark.parametrize(
    ("reason", "token"),
    [
        (Reason.NOT_FOUND, b"uri-miss"),
        (Reason.VARY_MISMATCH, b"vary-miss"),
        (Reason.EXPIRED, b"stale"),
        (Reason.SOFT_PURGED, b"stale"),
        (Reason.PURGED, b"miss"),
        (Reason.REQUEST_NO_CACHE, b"request"),
        (Reason.RANGE_NOT_STORED, b"partial"),
        (Reason.METHOD, b"method"),
        (Reason.SECRET, b"bypass"),
    ],
)
def test_why_a_call_was_forwarded(reason, token):
    assert forwarded_because(reason) == token
