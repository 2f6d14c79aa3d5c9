"""The demo's origin: a small shop's service, which says with ordinary HTTP headers what may be kept and for how long.

=======================  ===================================================  ==========================
GET /items               page of a category                                   public, 30 s, ETag, Vary
GET /items/7             a product and what resembles it                      public, 60 s, ETag, Last-Modified, Vary
POST /items/7/orders     sells; names the product in Content-Location, so
                         that caches drop their copy of it                    201
GET /items/7/stock       what is left this second                             no-store
GET /search?q=tent       the best answers                                     no lifetime: the policy decides
GET /bestsellers         recommendations                                      max-age=0: the policy overrides
GET /account             who asks, by the customer's own Authorization        private
GET /flaky               fails every fourth time                              503, Retry-After
=======================  ===================================================  ==========================

Run as ``python -m apps.demo.origin`` with the listening socket in ``ORIGIN_FD``.
"""

import asyncio
import hashlib
import itertools
import json
import os
import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import uvicorn

from apps.demo.catalogue import CATEGORIES, LANGUAGES, Catalogue

LARGEST_BODY = 4096
PAGE = 20

Headers = list[tuple[str, str]]
Message = MutableMapping[str, Any]


@dataclass(frozen=True)
class OriginRequest:
    """A request, as handlers need it."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def language(self) -> str:
        """The first language of Accept-Language that we speak."""
        wanted = re.findall(r"[a-z]{2}", self.headers.get("accept-language", "").lower())
        return next((language for language in wanted if language in LANGUAGES), LANGUAGES[0])

    def argument(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]


@dataclass(frozen=True)
class OriginResponse:
    """What goes back."""

    content: object
    status: int = 200
    headers: Headers = field(default_factory=list)


class Shop:
    """Routes to handlers. A handler is a plain function; each runs in a thread, so that others are heard meanwhile."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._began = int(time.time())
        self._changed: dict[int, int] = {}
        self._count = itertools.count(1)
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., OriginResponse]]] = [
            ("GET", re.compile(r"/items"), self.items),
            ("GET", re.compile(r"/items/(\d{1,6})"), self.item),
            ("GET", re.compile(r"/items/(\d{1,6})/stock"), self.stock),
            ("POST", re.compile(r"/items/(\d{1,6})/orders"), self.order),
            ("GET", re.compile(r"/search"), self.search),
            ("GET", re.compile(r"/bestsellers"), self.bestsellers),
            ("GET", re.compile(r"/account"), self.account),
            ("GET", re.compile(r"/flaky"), self.flaky),
        ]

    def answer(self, asked: OriginRequest) -> OriginResponse:
        """The answer to a request: 404 for a path that isn't here, 405 for a method that its path doesn't have."""
        allowed = []
        for method, pattern, handler in self._routes:
            if found := pattern.fullmatch(asked.path.rstrip("/") or "/"):
                if asked.method == method or (asked.method, method) == ("HEAD", "GET"):
                    return handler(asked, *map(int, found.groups()))
                allowed.append(method)
        if allowed:
            return OriginResponse({"error": "method not allowed"}, 405, [("allow", ", ".join(allowed))])
        return OriginResponse({"error": "not found"}, 404, [("cache-control", "public, max-age=5")])

    def items(self, asked: OriginRequest) -> OriginResponse:
        """A page of a category."""
        category = asked.argument("category")
        if category and category not in CATEGORIES:
            return OriginResponse({"error": f"category is one of {', '.join(CATEGORIES)}"}, 400)
        page = max(1, int(asked.argument("page", "1") or 1)) if asked.argument("page", "1").isdigit() else 1
        tag = _tag("items", category, page, asked.language, self.catalogue.version)
        headers = [*_shared(30, tag), ("vary", "Accept-Language")]
        if _holds(asked, tag):
            return OriginResponse(None, 304, headers)
        found = self.catalogue.bestsellers(category, asked.language, PAGE * page)[PAGE * (page - 1) :]
        return OriginResponse({"category": category, "page": page, "items": found}, headers=headers)

    def item(self, asked: OriginRequest, number: int) -> OriginResponse:
        """A product and what resembles it."""
        product = self.catalogue.find(number)
        if product is None:
            return OriginResponse({"error": "no such item"}, 404, [("cache-control", "public, max-age=10")])
        tag = _tag("item", number, asked.language, product.version)
        changed = self._changed.get(number, self._began)
        headers = [
            *_shared(60, tag),
            ("last-modified", formatdate(changed, usegmt=True)),
            ("vary", "Accept-Language"),
        ]
        if _holds(asked, tag):
            return OriginResponse(None, 304, headers)
        similar = [other.described(asked.language) for other in self.catalogue.similar(product)]
        return OriginResponse({**product.described(asked.language), "similar": similar}, headers=headers)

    def stock(self, asked: OriginRequest, number: int) -> OriginResponse:
        """What is left this second."""
        product = self.catalogue.find(number)
        if product is None:
            return OriginResponse({"error": "no such item"}, 404)
        return OriginResponse({"id": number, "stock": product.stock}, headers=[("cache-control", "no-store")])

    def order(self, asked: OriginRequest, number: int) -> OriginResponse:
        """Sell some of a product."""
        product = self.catalogue.find(number)
        if product is None:
            return OriginResponse({"error": "no such item"}, 404)
        try:
            wanted = json.loads(asked.body or b"{}")
            placed = self.catalogue.order(product, int(wanted.get("quantity", 1)))
        except (ValueError, TypeError, AttributeError) as error:
            return OriginResponse({"error": f"no order: {error}"}, 422)
        self._changed[number] = int(time.time())
        return OriginResponse(placed, 201, [("cache-control", "no-store"), ("content-location", f"../{number}")])

    def search(self, asked: OriginRequest) -> OriginResponse:
        """The best answers to a question."""
        question = asked.argument("q")[:100]
        if not question:
            return OriginResponse({"error": "ask with ?q="}, 400)
        found = [
            {**product.described(asked.language), "score": round(score, 3)}
            for product, score in self.catalogue.search(question)
        ]
        return OriginResponse({"question": question, "found": found}, headers=[("vary", "Accept-Language")])

    def bestsellers(self, asked: OriginRequest) -> OriginResponse:
        """Recommendations, which their maker would have asked for each time."""
        found = self.catalogue.bestsellers(asked.argument("category"), asked.language)
        return OriginResponse({"items": found}, headers=[("cache-control", "max-age=0"), ("vary", "Accept-Language")])

    def account(self, asked: OriginRequest) -> OriginResponse:
        """Who asks, by the customer's own credential, which stays unsaid: the gateway keeps its keys to itself."""
        customer = hashlib.sha256(asked.headers.get("authorization", "").encode()).hexdigest()[:8]
        return OriginResponse(
            {"customer": customer, "orders": self.catalogue.orders},
            headers=[("cache-control", "private, max-age=30")],
        )

    def flaky(self, asked: OriginRequest) -> OriginResponse:
        """Fails every fourth time."""
        if next(self._count) % 4 == 0:
            return OriginResponse({"error": "try again"}, 503, [("retry-after", "1"), ("cache-control", "no-store")])
        return OriginResponse({"well": True}, headers=[("cache-control", "no-cache")])

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """The ASGI application."""
        body = b""
        more = True
        while more and len(body) <= LARGEST_BODY:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if len(body) > LARGEST_BODY:
            answer = OriginResponse({"error": "too large"}, 413, [("connection", "close")])
        else:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            query = parse_qs(scope["query_string"].decode("latin-1"))
            answer = await asyncio.to_thread(
                self.answer, OriginRequest(scope["method"], scope["path"], query, headers, body)
            )
        content = b"" if answer.content is None else json.dumps(answer.content).encode()
        lines = [(name.encode(), value.encode()) for name, value in answer.headers]
        if answer.content is not None:
            lines += [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": answer.status, "headers": lines})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})


def _tag(*parts: object) -> str:
    return '"' + hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16] + '"'


def _shared(seconds: int, tag: str) -> Headers:
    return [("cache-control", f"public, max-age={seconds}"), ("etag", tag)]


def _holds(asked: OriginRequest, tag: str) -> bool:
    """Whether the caller's If-None-Match names what we would send (RFC 9110, 13.1.2: weak comparison)."""
    held: Iterable[str] = (
        part.strip().removeprefix("W/") for part in asked.headers.get("if-none-match", "").split(",")
    )
    return tag in held


def main() -> None:
    """Serve on the socket that the supervisor bound."""
    listener = socket.socket(fileno=int(os.environ["ORIGIN_FD"]))
    config = uvicorn.Config(
        Shop(Catalogue()), lifespan="off", access_log=False, log_level="warning", timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
