"""A signed message ends an answer on both workers, and the CDN hears of it: the whole way, through Celery too."""

import json
import time

import httpx

from apps.invalidation.signatures import HEADER, sign
from tests.support.waiting import wait_until
from tests.system.test_first_day import made


def test_an_origins_word_ends_what_is_stored_and_is_told_to_the_cdn(running, upstream):
    made(running.api("POST", "tenants/", json={"slug": "tellers", "name": "Tellers"}))
    document = {
        "slug": "told",
        "name": "Told",
        "tenant": "tellers",
        "listen_path": "/told/",
        "authentication": ["none"],
        "upstreams": [{"url": f"{upstream}/"}],
    }
    made(running.api("POST", "apis/", json=document))
    made(running.api("POST", "apis/told/publish/"))
    secret = made(running.api("POST", "purge-webhooks/", json={"api": "told"}))["secret"]
    cdn = {"api": "told", "calls": {"path": {"method": "POST", "url": f"{upstream}/status/204?path={{path}}"}}}
    made(running.api("POST", "cdns/", json=cdn))

    assert running.call("/told/cache/600").headers["X-Cache"] == "MISS"
    assert {running.call("/told/cache/600").headers["X-Cache"] for _ in range(20)} == {"HIT"}
    body = json.dumps({"id": "1", "kind": "path", "value": "/cache/600"}).encode()
    headers = {HEADER: sign(secret, body, int(time.time())), "Content-Type": "application/json"}
    address = f"{running.console}/api/v1/purge-webhooks/told/messages/"
    taken = made(httpx.post(address, content=body, headers=headers, timeout=30, trust_env=False))
    assert (taken["purged"], taken["refused"]) == (1, {})
    # The answer comes with the purge in Redis; each worker hears of it within milliseconds.
    wait_until(lambda: running.call("/told/cache/600").headers["X-Cache"] == "MISS")

    def forwarded():
        (purge,) = running.api("GET", "purges/?api=told").json()["results"]
        return purge["forwarded"]["state"] != "waiting" and purge["forwarded"]

    assert wait_until(forwarded, 30) == {"state": "done", "detail": "It answered 204."}
