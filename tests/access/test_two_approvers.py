"""Two who decide at once, in two real transactions: one wins, and the other is told who."""

import threading

import pytest
from django.db import connection

from apps.access import services
from apps.access.models import AccessRequest, Subscription
from apps.audit.models import Entry, Epoch
from apps.foundation.errors import Conflict
from apps.tenants.models import Membership, User
from apps.tenants.services import membership_remove, membership_set
from tests.support.cast import make_api, make_application, make_cast, make_request


def at_once(*steps) -> list[object]:
    """What each step returned or raised, all of them begun together."""
    barrier = threading.Barrier(len(steps))
    results: list[object] = [None] * len(steps)

    def run(index: int) -> None:
        try:
            barrier.wait(10)
            results[index] = steps[index]()
        except Exception as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(steps))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


@pytest.mark.django_db(transaction=True)
def test_one_of_two_approvers_wins_and_the_other_is_told_who():
    cast = make_cast()
    request = make_request(cast.bob, make_application(cast.acme), make_api(cast.platform))

    def approve(who: User):
        mine = AccessRequest.objects.get(pk=request.pk)
        return lambda: services.request_approve(actor=who, access_request=mine)

    results = at_once(approve(cast.olga), approve(cast.ada))
    lost = [result for result in results if isinstance(result, Conflict)]
    assert len(lost) == 1, results
    request.refresh_from_db()
    assert request.state == "approved"
    assert f"{request.decided_by} has approved this request already" in str(lost[0])
    assert Subscription.objects.count() == 1
    assert Entry.objects.filter(verb="request.approve").count() == 1


@pytest.mark.django_db(transaction=True)
def test_one_approves_while_the_other_rejects_and_the_row_says_one_thing():
    cast = make_cast()
    request = make_request(cast.bob, make_application(cast.acme), make_api(cast.platform))
    results = at_once(
        lambda: services.request_approve(
            actor=User.objects.get(pk=cast.olga.pk), access_request=AccessRequest.objects.get(pk=request.pk)
        ),
        lambda: services.request_reject(
            actor=User.objects.get(pk=cast.ada.pk),
            access_request=AccessRequest.objects.get(pk=request.pk),
            comment="No",
        ),
    )
    assert sum(isinstance(result, Conflict) for result in results) == 1, results
    request.refresh_from_db()
    assert Subscription.objects.exists() is (request.state == "approved")


@pytest.mark.django_db(transaction=True)
def test_of_two_applicants_at_once_one_has_asked():
    cast = make_cast()
    bot, api = make_application(cast.acme), make_api(cast.platform)
    make_request(cast.bob, make_application(cast.acme, "first"), api)
    results = at_once(
        *(lambda who=who: make_request(User.objects.get(pk=who.pk), bot, api) for who in (cast.alice, cast.bob))
    )
    assert sum(isinstance(result, Conflict) for result in results) == 1, results
    assert AccessRequest.objects.filter(application=bot).count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_leave_at_once_one_stays():
    cast = make_cast()
    membership_set(actor=cast.ada, tenant=cast.acme, user=cast.bob, role="owner")
    owners = list(Membership.objects.filter(tenant=cast.acme, role="owner"))
    at_once(*(lambda row=row: membership_remove(actor=cast.ada, membership=row) for row in owners))
    assert Membership.objects.filter(tenant=cast.acme, role="owner").count() == 1


@pytest.mark.django_db(transaction=True)
def test_changes_at_once_are_numbered_without_a_gap():
    cast = make_cast()
    first = Epoch.objects.get().n
    at_once(*(lambda n=n: make_application(cast.acme, f"app-{n}") for n in range(6)))
    numbers = list(Entry.objects.filter(verb="application.create").order_by("epoch").values_list("epoch", flat=True))
    assert numbers == list(range(first + 1, first + 7))
    assert Epoch.objects.get().n == first + 6
