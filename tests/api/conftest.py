"""Callers of the REST API, each with a real token."""

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from apps.tenants.models import User
from tests.support.cast import make_token

Caller = Callable[[User], APIClient]


@pytest.fixture
def calls_as(db: None, state_redis: object) -> Caller:
    """``calls_as(user)``: a client that calls with a token of ``user``."""

    def client_of(user: User) -> APIClient:
        secret = make_token(user).secret
        client = APIClient(headers={"authorization": f"Bearer {secret}"})
        client.default_format = "json"
        return client

    return client_of
