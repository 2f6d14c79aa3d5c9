"""``python -m benchmarks.tokens``: what it costs a worker to know who calls with a token (JWT), seen before and new.

Microseconds per call of the way itself, without the rest of a call; medians of nine rounds. Takes about ten seconds.
"""

import json
import os
import statistics
import time
from collections.abc import Callable
from itertools import count, cycle
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "apimgr.settings")

import django

django.setup()

from joserfc import jwk, jwt  # noqa: E402
from msgspec import structs  # noqa: E402

from apps.cachestore.purges import PurgedTags  # noqa: E402
from apps.gateway.call.call import NO_API, Call  # noqa: E402
from apps.gateway.config.worker_config import WorkerConfig  # noqa: E402
from apps.gateway.pipeline.authenticators import Identified  # noqa: E402
from apps.gateway.pipeline.authenticators.jwt import SignedTokens  # noqa: E402
from apps.gateway.pipeline.authenticators.sources import Sources  # noqa: E402
from apps.wire.snapshot import Issuer, TokenRules  # noqa: E402

ROUNDS = 9
NEW = 200
SEEN = 20_000
SLUG = "corp"
NAME = "https://id.corp.test/"


def key_for(algorithm: str) -> Any:
    """A new key pair."""
    parameters: Any = {"kid": "one"}
    return (
        jwk.ECKey.generate_key("P-256", parameters)
        if algorithm == "ES256"
        else jwk.RSAKey.generate_key(2048, parameters)
    )


def measure(algorithm: str) -> tuple[float, float]:
    """Microseconds per call with a token that was seen before, and with a new one."""
    key, numbers = key_for(algorithm), count()
    now = time.time()

    def token() -> bytes:
        claims = {"iss": NAME, "aud": "apimgr", "azp": "bot", "sub": "ann", "iat": int(now), "exp": int(now) + 3600}
        more = {"jti": str(next(numbers)), "scope": "read write", "roles": ["a", "b", "c"], "name": "Ann Example"}
        header = {"alg": algorithm, "kid": "one", "typ": "at+jwt"}
        return jwt.encode(header, claims | more, key, algorithms=[algorithm]).encode()

    config = WorkerConfig(PurgedTags(), 900.0)
    public = jwk.KeySet([key]).as_dict(private=False)
    config.put(Issuer(SLUG, "", NAME, (algorithm,), ("apimgr",), "azp", 30.0, jwks=json.dumps(public)))
    api = structs.replace(
        NO_API, slug="bench", authentication=("jwt",), jwt=TokenRules((SLUG,), required_scopes=("read",))
    )
    way, sources = SignedTokens(), Sources(config)

    def calls(tokens: list[bytes]) -> list[Call]:
        made = []
        for each in tokens:
            # Bytes of its own, as a call that arrives has.
            headers = ((b"host", b"api.test"), (b"accept", b"*/*"), (b"authorization", b"Bearer " + each))
            x = Call("GET", b"/bench/items", headers, call_id="", began=0.0, at=now)
            x.api, x.path = api, b"/bench/items"
            made.append(x)
        return made

    def identify(x: Call) -> None:
        presented = way.find(api, x.headers)
        assert presented is not None
        assert isinstance(way.identify(x, presented, sources), Identified)

    new = [per_call(identify, calls([token() for _ in range(NEW)])) for _ in range(ROUNDS)]
    known = [token() for _ in range(100)]
    for x in calls(known):
        identify(x)
    seen = []
    for _ in range(ROUNDS):
        tokens = cycle(known)
        seen.append(per_call(identify, calls([next(tokens) for _ in range(SEEN)])))
    return statistics.median(seen), statistics.median(new)


def per_call(work: Callable[[Call], None], calls: list[Call]) -> float:
    """Microseconds."""
    began = time.process_time()
    for each in calls:
        work(each)
    return (time.process_time() - began) / len(calls) * 1e6


def main() -> None:
    """Print the figures."""
    for algorithm in ("ES256", "RS256"):
        seen, new = measure(algorithm)
        print(f"{algorithm}: {seen:.2f} µs with a token that was seen before, {new:.0f} µs with a new one")


if __name__ == "__main__":
    main()
