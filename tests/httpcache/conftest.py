"""A gateway for exchanges on real sockets."""

from collections.abc import Iterator

import pytest

from tests.httpcache.on_sockets import Site


@pytest.fixture(scope="module")
def site(valkeys, tmp_path_factory) -> Iterator[Site]:
    """One gateway with both tiers behind the fast lane, and an origin; the clock is the test's."""
    with Site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def two_workers(valkeys, tmp_path_factory) -> Iterator[Site]:
    """Two workers that have only the shared tier in common, and no other. Calls go to them in turn."""
    with Site(tmp_path_factory.mktemp("site"), workers=2, l1_bytes=0) as running:
        yield running
