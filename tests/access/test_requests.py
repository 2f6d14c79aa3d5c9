"""The approval workflow."""

from tests.support.cast import Cast, make_api, make_application, make_plan, make_request


def test_an_approved_request_becomes_an_active_subscription(cast: Cast):
    from apps.access.services import request_approve
    from apps.audit.models import Entry

    api, bot = make_api(cast.platform), make_application(cast.acme)
    access_request = make_request(cast.bob, bot, api)
    request_approve(actor=cast.olga, access_request=access_request, comment="Welcome")
    assert access_request.state == "approved"
    print([(e.verb, e.affects) for e in Entry.objects.order_by("epoch")])
