"""Tokens, pages and problem documents: what every route of the REST API stands on."""

import hashlib
from datetime import timedelta

import pytest
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.http import Http404
from django.test import RequestFactory
from django.utils import timezone
from rest_framework.request import Request

from apps.foundation.errors import Conflict
from apps.foundation.via import via
from apps.rest.errors import exception_handler
from apps.rest.pagination import PagePagination
from apps.rest.views import ViaAPI
from apps.tenants.choices import TokenScope
from apps.tenants.models import Token, User

pytestmark = pytest.mark.django_db

SECRET = "t0ken-" + "a" * 40


@pytest.fixture
def token():
    user = User.objects.create_user("ann@acme.test", "correct horse battery")
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    return Token.objects.create(
        user=user,
        name="laptop",
        scope=TokenScope.READ,
        prefix=SECRET[:8],
        digest=digest,
        expires_at=timezone.now() + timedelta(days=1),
    )


class WhoAmI(ViaAPI):
    """Responses with who the caller is and by which door a change would be noted."""

    def get(self, request):
        from rest_framework.response import Response

        return Response({"email": request.user.email, "via": via.get()})


def ask(secret: str | None = SECRET, scheme: str = "Bearer"):
    headers = {} if secret is None else {"authorization": f"{scheme} {secret}"}
    return WhoAmI.as_view()(RequestFactory().get("/", headers=headers))


def test_a_token_acts_as_its_user_and_its_use_is_noted(token):
    response = ask()
    assert (response.status_code, response.data) == (200, {"email": "ann@acme.test", "via": "api"})
    token.refresh_from_db()
    assert timezone.now() - token.last_used_at < timedelta(minutes=1)


def test_the_use_of_a_token_is_written_once_a_minute_at_most(token, django_assert_num_queries):
    ask()
    with django_assert_num_queries(1):
        ask()


def test_the_door_is_forgotten_after_the_call(token):
    ask()
    assert via.get() == "system"


def test_the_scheme_may_be_written_in_any_case(token):
    assert ask(scheme="bearer").status_code == 200


def test_without_a_token_the_answer_is_401_and_says_how_to_sign_in():
    response = ask(None)
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="apimgr"'


@pytest.mark.parametrize("wrong", ["", "t0ken", SECRET + "x", "a b", "ü"])
def test_a_token_that_nobody_made_is_refused(token, wrong):
    response = ask(wrong)
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="apimgr", error="invalid_token"'
    assert not wrong or wrong not in str(response.data)


def test_an_expired_token_is_refused(token):
    Token.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert ask().status_code == 401


def test_a_token_that_expires_later_works(token):
    Token.objects.update(expires_at=timezone.now() + timedelta(minutes=1))
    assert ask().status_code == 200


def test_the_token_of_a_user_who_was_shut_out_is_refused(token):
    User.objects.update(is_active=False)
    assert ask().status_code == 401


def test_a_revoked_token_is_refused(token):
    token.delete()
    assert ask().status_code == 401


def page(query: str, rows: int = 5):
    request = Request(RequestFactory().get(f"/api/v1/things/?{query}"))
    pages = PagePagination()
    found = pages.paginate_queryset(list(range(rows)), request)
    return pages.get_paginated_response(found).data


def test_pages_link_to_each_other_with_absolute_addresses():
    first = page("page_size=2&state=live")
    assert first["results"] == [0, 1]
    assert first["previous"] is None
    assert first["next"] == "http://testserver/api/v1/things/?page=2&page_size=2&state=live"
    second = page("page_size=2&state=live&page=2")
    assert second["previous"] == "http://testserver/api/v1/things/?page_size=2&state=live"
    last = page("page_size=2&page=3")
    assert (last["results"], last["next"]) == ([4], None)
    assert last["previous"] == "http://testserver/api/v1/things/?page=2&page_size=2"


def test_a_page_that_ends_with_the_list_has_no_next_one():
    assert page("page_size=5")["next"] is None


def test_after_the_last_page_there_is_nothing():
    assert page("page=7") == {
        "next": None,
        "previous": "http://testserver/api/v1/things/?page=6",
        "results": [],
    }


def test_a_page_holds_a_hundred_objects_and_a_thousand_at_most():
    assert len(page("", rows=2000)["results"]) == 100
    assert len(page("page_size=5000", rows=2000)["results"]) == 1000


@pytest.mark.parametrize("name", ["page", "page_size"])
@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "1" * 30, "²"])
def test_a_number_that_is_none_is_named(name, value):
    from rest_framework.exceptions import ValidationError as Refused

    with pytest.raises(Refused) as refused:
        page(f"{name}={value}")
    assert list(refused.value.detail) == [name]


def test_a_refused_field_is_named_with_what_to_do():
    response = exception_handler(
        ValidationError({"slug": ["Take another: this one is in use."], NON_FIELD_ERRORS: ["Too many."]}), {}
    )
    assert response.status_code == 400
    assert response.content_type == "application/problem+json"
    assert response.data == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "code": "invalid",
        "detail": "Too many. These fields need a correction: slug.",
        "errors": {"slug": ["Take another: this one is in use."]},
    }


def test_a_refusal_of_the_whole_is_told_as_one():
    response = exception_handler(ValidationError("Say why."), {})
    assert response.data["detail"] == "Say why."
    assert "errors" not in response.data


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [(Http404("No API matches the given query."), 404, "not_found"), (PermissionDenied(), 403, "permission_denied")],
)
def test_refusals_of_django_become_problem_documents(refusal, status, code):
    response = exception_handler(refusal, {})
    assert (response.status_code, response.data["code"], response.data["status"]) == (status, code, status)
    assert "API matches" not in response.data["detail"]


def test_what_a_policy_says_reaches_the_caller():
    assert exception_handler(PermissionDenied("Only owners do."), {}).data["detail"] == "Only owners do."


def test_a_lost_race_is_a_conflict():
    response = exception_handler(Conflict("Bob was first."), {})
    assert (response.status_code, response.data["code"], response.data["detail"]) == (409, "conflict", "Bob was first.")


def test_a_fault_of_ours_is_not_dressed_up_as_the_callers():
    assert exception_handler(RuntimeError("boom"), {}) is None
