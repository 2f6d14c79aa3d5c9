"""No caller is ever answered with what is another's (RFC 9111 §3.5, §7)."""

import pytest

from tests.caching import isolation, isolation_around


@pytest.mark.parametrize("check", isolation.CHECKS + isolation_around.CHECKS, ids=lambda check: check.__name__)
def test_isolation(check):
    check()
