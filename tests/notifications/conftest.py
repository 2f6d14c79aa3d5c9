"""An application of ``acme`` that may call an API of ``platform``, and what its people were notified of."""

from dataclasses import dataclass

import pytest

from apps.access.models import Application, Credential, Plan, Subscription
from apps.catalog.models import API
from apps.notifications.models import Notification
from tests.support.cast import Cast, make_api, make_application, make_key, make_plan, make_subscription


@dataclass
class Scene:
    """Alice owns acme and Bob develops there; Vera only views; Olga owns the API's tenant; Charlie is a stranger."""

    people: Cast
    api: API
    plan: Plan
    application: Application
    key: Credential
    subscription: Subscription

    def told(self, kind: str = "") -> set[str]:
        """The e-mail addresses of those who were notified (of ``kind``), without their host."""
        rows = Notification.objects.filter(**({"kind": kind} if kind else {}))
        return {address.partition("@")[0] for address in rows.values_list("user__email", flat=True)}


@pytest.fixture
def scene(cast: Cast) -> Scene:
    """With nothing that anybody was notified of yet."""
    api, plan, application = make_api(cast.platform), make_plan(), make_application(cast.acme)
    key, subscription = make_key(application).key, make_subscription(application, api, plan)
    Notification.objects.all().delete()
    return Scene(cast, api, plan, application, key, subscription)
