"""Callers of the REST API, each with a real token."""

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from apps.tenants import services
from apps.tenants.models import User

Caller = Callable[[User], APIClient]


@pytest.fixture
def calls_as(db: None, state_redis: object) -> Caller:
    """``calls_as(user)``: a client that calls with a token of ``user``."""

    def client_of(user: User) -> APIClient:
        secret = services.token_create(actor=user, user=user, name="test").secret
        client = APIClient(headers={"authorization": f"Bearer {secret}"})
        client.default_format = "json"
        return client

    return client_of
