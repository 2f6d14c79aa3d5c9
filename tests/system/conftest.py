"""One installation for the tests of this folder, and httpbin behind it."""

from collections.abc import Iterator

import pytest

from tests.support.installation import Installation, installation
from tests.support.upstreams import httpbin


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    """httpbin's base URL."""
    with httpbin() as url:
        yield url


@pytest.fixture(scope="session")
def running() -> Iterator[Installation]:
    """A whole installation, shared: tests use names of their own in it."""
    with installation() as started:
        yield started
