"""The response to a caller from what is stored: whole, part, 304, or without a body (RFC 9111 §4, §4.3.2; RFC 9110
§14).
"""

from apps.httpcache import ranges
from apps.httpcache.fields import without
from apps.httpcache.messages import Headers
from apps.httpcache.plan import RequestPlan
from apps.httpcache.stored_response import NOT_MODIFIED_FIELDS, StoredResponse, render
from apps.httpcache.validation import none_match_fails, not_modified_since


class CacheResponse:
    """What to send. ``head`` is for HTTP/1.1 as it stands: status line and field lines with ``age``, without the
    blank line that ends it.

    ``headers`` is the same for servers that render heads themselves. For HEAD, ``body`` is empty and
    ``content-length`` is that of GET. ``control`` is the ``cache-control`` that is made as the response leaves.
    """

    __slots__ = ("_age", "_control", "_head", "_headers", "_rendered", "body", "status")

    def __init__(
        self,
        status: int,
        headers: Headers,
        body: bytes,
        age: int,
        head: bytes | None = None,
        control: bytes | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self._age = age
        self._control = control
        self._rendered: bytes | None = None  # one response may serve many calls of the same second
        self._head = head
        self._headers = headers

    @property
    def headers(self) -> Headers:
        """All fields but those that the gateway makes per call."""
        control = () if self._control is None else ((b"cache-control", self._control),)
        return (*self._headers, *control, (b"age", b"%d" % self._age))

    @property
    def head(self) -> bytes:
        """The rendered head; the gateway appends its own lines and the blank one."""
        if self._rendered is None:
            head = self._head or render(self.status, self._headers)
            control = b"" if self._control is None else b"cache-control: %s\r\n" % self._control
            self._rendered = b"%s%sage: %d\r\n" % (head, control, self._age)
        return self._rendered

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes, age {self._age})"


def response_from(stored: StoredResponse, plan: RequestPlan, now: float) -> CacheResponse:
    """Builds the response from a stored one that was found usable. ``Age`` is always there (§4)."""
    entry = stored.entry
    age = stored.age(now)
    control = stored.cache_control(now, age) if stored.told is not None else None
    if plan.plain or entry.status != 200:
        body = entry.body if plan.request.method != "HEAD" else b""
        return CacheResponse(entry.status, stored.headers, body, age, stored.head, control)
    if _not_modified(stored, plan, now):
        fields = tuple(pair for pair in stored.headers if pair[0] in NOT_MODIFIED_FIELDS)
        return CacheResponse(304, fields, b"", age, control=control)
    if plan.request.method == "HEAD":
        return CacheResponse(200, stored.headers, b"", age, stored.head, control)
    wanted = plan.range_wanted
    if wanted is not None:
        part = _part(stored, plan, wanted, age, now, control)
        if part is not None:
            return part
    return CacheResponse(200, stored.headers, entry.body, age, stored.head, control)


def _not_modified(stored: StoredResponse, plan: RequestPlan, now: float) -> bool:
    """``If-None-Match`` goes before ``If-Modified-Since`` (RFC 9110 §13.2.2)."""
    none_match = plan.noticed.get(b"if-none-match")
    if none_match is not None:
        return none_match_fails(none_match, stored.etag)
    since = plan.noticed.get(b"if-modified-since")
    return since is not None and not_modified_since(since, stored, now)


def _part(
    stored: StoredResponse, plan: RequestPlan, wanted: bytes, age: int, now: float, control: bytes | None
) -> CacheResponse | None:
    condition = plan.noticed.get(b"if-range")
    if condition is not None and not ranges.if_range_holds(condition, stored, now):
        return None
    body = stored.entry.body
    selected = ranges.select(wanted, len(body))
    if selected is None:
        return None
    if isinstance(selected, ranges.Unsatisfiable):
        fields: Headers = ((b"content-range", b"bytes */%d" % len(body)), (b"content-length", b"0"))
        date = tuple(pair for pair in stored.headers if pair[0] == b"date")
        return CacheResponse(416, (*date, *fields), b"", age)
    start, end = selected
    fields = (
        *without(stored.headers, {b"content-length"}),
        (b"content-range", b"bytes %d-%d/%d" % (start, end - 1, len(body))),
        (b"content-length", b"%d" % (end - start)),
    )
    return CacheResponse(206, fields, body[start:end], age, control=control)
