"""What an independent suite for RFC 9111 asks of a shared cache, through one worker and two, with L1 and without."""

from collections.abc import Iterator

import pytest

from tests.caching.conformance.run import Results, run
from tests.caching.conformance.table import OPTIMAL, REQUIRED
from tests.caching.http.on_sockets import Site


@pytest.fixture(
    scope="module",
    params=[(1, True), (1, False), (2, True), (2, False)],
    ids=["one worker", "one worker, no L1", "two workers", "two workers, no L1"],
)
def results(
    request: pytest.FixtureRequest, valkeys: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Results]:
    """What came of every check."""
    workers, l1 = request.param
    with Site(tmp_path_factory.mktemp("site"), workers=workers, l1_bytes=8 * 2**20 if l1 else 0) as site:
        yield run(site)


def test_a(results):
    print(results)
    for k in (REQUIRED, OPTIMAL, "question"):
        for n, s in results.failed(k).items():
            print(k, n, s)
