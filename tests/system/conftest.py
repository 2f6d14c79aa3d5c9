"""One installation for the tests of this folder, and httpbin behind it."""

from collections.abc import Iterator

import pytest

from tests.support.installation import Installation, installation
from tests.support.upstreams import httpbin
from tests.support.waiting import wait_until


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    """httpbin's base URL."""
    with httpbin() as url:
        yield url


@pytest.fixture(scope="session")
def shared_installation() -> Iterator[Installation]:
    """A whole installation."""
    with installation() as started:
        yield started


@pytest.fixture
def running(shared_installation: Installation) -> Installation:
    """A whole installation, shared: tests use names of their own in it. Ready again, whatever the test before ended."""
    wait_until(shared_installation.is_ready, 60, what="every worker to be ready")
    return shared_installation
