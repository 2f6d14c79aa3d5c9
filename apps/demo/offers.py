"""What the demo's provider offers: its APIs, each with another cache policy, and the plans."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.caching.choices import CacheMode, QueryMode, Sensitivity
from apps.caching.document import PolicyFields
from apps.catalog.choices import Approval
from apps.catalog.document import APIFields, OperationFields

PLANS: Sequence[Any] = (
    {
        "slug": "trial",
        "name": "Trial",
        "description": "To try things out.",
        "rate_calls": 1,
        "rate_period": 2.0,
        "burst": 5,
        "quota": 2_000,
        "quota_period": "day",
    },
    {
        "slug": "standard",
        "name": "Standard",
        "description": "For an application with users.",
        "rate_calls": 50,
        "rate_period": 1.0,
        "burst": 100,
        "quota": 1_000_000,
        "quota_period": "month",
    },
    {"slug": "partner", "name": "Partner", "description": "Without limits, by agreement."},
)


@dataclass(frozen=True)
class Offer:
    """An API of the demo; ``origin_path`` is where the origin serves it."""

    origin_path: str
    fields: APIFields
    policy: PolicyFields
    operations: Sequence[OperationFields] = ()


def _operation(method: str, path: str, summary: str) -> OperationFields:
    return {"method": method, "path": path, "summary": summary}


OFFERS: dict[str, Offer] = {
    "catalogue": Offer(
        origin_path="/",
        fields={
            "name": "Product catalogue",
            "summary": "Everything on sale, with what resembles it.",
            "documentation": "Products by category and one by one, in English and German (Accept-Language).\n\n"
            "An answer may be kept for as long as it says itself. An order drops what was kept of that product.",
            "tags": ["shop"],
            "listen_path": "/catalogue/",
        },
        policy={
            "mode": CacheMode.ORIGIN,
            "stale_while_revalidate": 30.0,
            "stale_if_error": 600.0,
            "negative_ttl": 10.0,
            "operations": [{"path": "/items/{id}", "methods": ["GET"], "stale_while_revalidate": 120.0}],
        },
        operations=[
            _operation("GET", "/items", "A page of a category"),
            _operation("GET", "/items/{id}", "A product and what resembles it"),
            _operation("POST", "/items/{id}/orders", "Order some of a product"),
            _operation("GET", "/items/{id}/stock", "What is left this second"),
        ],
    ),
    "search": Offer(
        origin_path="/search",
        fields={
            "name": "Search",
            "summary": "The best answers to a question.",
            "documentation": "Ask with ?q=. The origin says nothing about how long an answer is good; the policy says 20 seconds.",
            "tags": ["shop"],
            "listen_path": "/search/",
            "approval": Approval.AUTOMATIC,
        },
        policy={
            "mode": CacheMode.TTL,
            "ttl": 20.0,
            "stale_while_revalidate": 30.0,
            "query_mode": QueryMode.INCLUDE,
            "query_names": ["q"],
        },
        operations=[_operation("GET", "/", "Search")],
    ),
    "bestsellers": Offer(
        origin_path="/bestsellers",
        fields={
            "name": "Bestsellers",
            "summary": "Recommendations, kept longer than their maker thinks.",
            "documentation": "The origin wants to be asked each time (max-age=0); the policy keeps an answer for 45 seconds.",
            "tags": ["shop", "recommendations"],
            "listen_path": "/bestsellers/",
        },
        policy={
            "mode": CacheMode.OVERRIDE,
            "ttl": 45.0,
            "stale_while_revalidate": 60.0,
            "query_mode": QueryMode.INCLUDE,
            "query_names": ["category"],
        },
        operations=[_operation("GET", "/", "Recommendations of a category")],
    ),
    "account": Offer(
        origin_path="/account",
        fields={
            "name": "Account",
            "summary": "Who asks, and what they may know.",
            "documentation": "Every answer is for its caller alone, and kept for five minutes at most.",
            "tags": ["customers"],
            "listen_path": "/account/",
        },
        policy={"mode": CacheMode.ORIGIN, "sensitivity": Sensitivity.PERSONAL},
        operations=[_operation("GET", "/", "The caller's account")],
    ),
    "delivery": Offer(
        origin_path="/flaky",
        fields={
            "name": "Delivery",
            "summary": "A carrier's service that fails every fourth time.",
            "documentation": "Nothing of it is kept. Its failures show what an upstream's trouble looks like in the dashboards.",
            "tags": ["logistics"],
            "listen_path": "/delivery/",
        },
        policy={"mode": CacheMode.OFF},
        operations=[_operation("GET", "/", "Whether it comes")],
    ),
}
