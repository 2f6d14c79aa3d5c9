"""What callers, and the caches before them, are told of how long they may keep an answer (RFC 9111 §5.2.2, RFC 9213)."""

import pytest

from apps.httpcache import Policy
from tests.gateway.house import Answered, Door, Origin, Published, api, ok
from tests.support.waiting import until

SAID = (
    "cache-control: max-age=3600, public",
    "surrogate-control: max-age=600",
    "cdn-cache-control: max-age=900",
    "apimgr-cache-control: max-age=1200",
)


def told(answer: Answered) -> tuple[str, bool, bool]:
    """``Cache-Control``, and whether the fields for us and for CDNs are still there."""
    ours = "surrogate-control" in answer or "apimgr-cache-control" in answer
    return answer["cache-control"], ours, "cdn-cache-control" in answer


@pytest.mark.parametrize(
    ("rule", "surrogates", "expected"),
    [
        ("pass", "remove", ("max-age=3600, public", False, True)),
        ("pass", "pass", ("max-age=3600, public", True, True)),
        ("private", "remove", ("private, max-age=3600", False, False)),
        ("no-store", "remove", ("no-store", False, False)),
        ("60", "remove", ("private, max-age=60", False, False)),
    ],
)
async def test_a_miss_and_a_hit_tell_the_same(
    seeing: Door, published: Published, origin: Origin, rule: str, surrogates: str, expected: tuple[str, bool, bool]
) -> None:
    policy = Policy(api="products", downstream=rule, surrogate_control=surrogates)
    published.change(api("products", upstreams=origin.url, policy=policy))
    await until(lambda: seeing.gateway.config.epoch == 2)
    origin.paths["/items"] = ok(b"items", *SAID)
    miss, hit = [await seeing.call("/products/items") for _ in range(2)]
    assert (miss.cache, hit.cache) == ("MISS", "HIT")
    assert told(miss) == expected
    hit_said = (hit["cache-control"].replace("max-age=61", "max-age=60"), *told(hit)[1:])  # a second may have passed
    assert hit_said == expected


async def test_an_answer_that_is_for_one_caller_is_told_no_lifetime_of_ours(
    lane: Door, published: Published, origin: Origin
) -> None:
    policy = Policy(api="products", downstream="60")
    published.change(api("products", upstreams=origin.url, policy=policy))
    await until(lambda: lane.gateway.config.epoch == 2)
    origin.paths["/items"] = ok(b"done", *SAID)
    answer = await lane.call("/products/items", method="POST", body=b"x")
    assert (answer.cache, told(answer)) == ("BYPASS", ("max-age=3600, public", False, True))
