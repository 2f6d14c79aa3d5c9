"""Scopes: RFC 9111 §3.5 (credentials), §7.3 (information disclosure). What counts is what the upstream saw."""

import itertools

import pytest

from apps.httpcache import ANONYMOUS, Identity, Policy, SharingScope
from apps.httpcache.directives import response_directives
from apps.httpcache.identity import (
    base_scope,
    holder,
    is_credential,
    owner,
    permits_sharing,
    scope_of_response,
    subject_of_caller,
    subject_of_key,
    subjects_over,
)
from tests.httpcache.build import pairs
from tests.support.header_names import IDENTITY, ORDINARY

CALLER = Identity(tenant="acme", application="acme/bot", subject="ann")


def said(line=""):
    return response_directives(pairs({"Cache-Control": line}))


@pytest.mark.parametrize("told", list(SharingScope))
@pytest.mark.parametrize(
    ("scope", "least"),
    [("auto", 0), ("shared", 0), ("tenant", 1), ("application", 2), ("subject", 3)],
)
def test_a_scope_is_never_wider_than_what_the_upstream_was_told(scope, least, told):
    assert base_scope(Policy(scope=scope), Identity(told=told)) == max(least, told)


def test_answers_of_a_personal_api_belong_to_the_subject():
    assert base_scope(Policy(scope="shared", sensitivity="personal"), ANONYMOUS) == SharingScope.SUBJECT
    assert scope_of_response(Policy(sensitivity="personal"), SharingScope.SUBJECT, False, said("public")) == (
        SharingScope.SUBJECT,
        "sensitivity personal",
    )


def test_owners_of_the_wider_scopes():
    assert owner(SharingScope.SHARED, CALLER, ((b"authorization", b"secret"),)) == b""
    assert owner(SharingScope.TENANT, CALLER) == b"acme"
    assert owner(SharingScope.APPLICATION, CALLER) == b"acme/bot"


def test_a_caller_without_the_identity_that_a_scope_needs_owns_nothing():
    for scope in (SharingScope.TENANT, SharingScope.APPLICATION, SharingScope.SUBJECT):
        assert owner(scope, ANONYMOUS) is None


def test_subjects_that_differ_in_anything_are_two():
    identities = [
        CALLER,
        Identity("acme", "acme/bot", "bob"),
        Identity("acme", "acme/other", "ann"),
        Identity("acme", "acme/bot"),
        Identity("acmea", "cme/bot", "ann"),
        ANONYMOUS,
    ]
    values = [None, b"", b"Bearer 1", b"Bearer 2"]
    fields = [
        tuple((name, value) for name, value in ((b"authorization", one), (b"cookie", other)) if value is not None)
        for one, other in itertools.product(values, values)
    ]
    owners = [owner(SharingScope.SUBJECT, *each) for each in itertools.product(identities, fields)]
    known = [each for each in owners if each is not None]
    assert len(set(known)) == len(known) == len(owners) - 1


def test_a_credential_is_not_readable_in_the_owner():
    assert b"hunter2" not in (owner(SharingScope.SUBJECT, CALLER, ((b"authorization", b"Basic hunter2"),)) or b"")


@pytest.mark.parametrize(
    ("line", "permission"),
    [
        ("public", "public"),
        ("s-maxage=5", "s-maxage"),
        ("must-revalidate", "must-revalidate"),
        ("max-age=60", None),
        ("", None),
        ("proxy-revalidate", None),
    ],
)
def test_only_three_directives_let_an_answer_to_credentials_be_shared(line, permission):
    assert permits_sharing(said(line)) == permission
    scope, rule = scope_of_response(Policy(), SharingScope.SHARED, True, said(line))
    assert scope == (SharingScope.SHARED if permission else SharingScope.SUBJECT)
    assert rule == (f"credentials, {permission}" if permission else "credentials forwarded")


def test_permission_to_share_does_not_widen_what_the_upstream_was_told():
    assert scope_of_response(Policy(), SharingScope.TENANT, True, said("public"))[0] == SharingScope.TENANT


def test_without_credentials_the_base_scope_holds_and_says_why():
    assert scope_of_response(Policy(), SharingScope.SHARED, False, said()) == (SharingScope.SHARED, "nothing told")
    assert scope_of_response(Policy(scope="tenant"), SharingScope.TENANT, False, said()) == (
        SharingScope.TENANT,
        "policy",
    )
    assert scope_of_response(Policy(), SharingScope.APPLICATION, False, said()) == (
        SharingScope.APPLICATION,
        "told upstream",
    )


def test_sharing_without_the_origins_permission_needs_the_switch():
    policy = Policy(share_with_credentials=True)
    assert scope_of_response(policy, SharingScope.SHARED, True, said()) == (
        SharingScope.SHARED,
        "credentials, shared by the policy's switch",
    )


def test_an_entrys_holder_is_named_as_far_as_its_scope_goes():
    assert [holder(scope, CALLER) for scope in SharingScope] == [
        (),
        ("acme",),
        ("acme", "acme/bot"),
        ("acme", "acme/bot", "ann"),
    ]
    assert subject_of_key(7) == "key:7"


def test_those_who_call_with_one_key_are_subjects_of_their_own_under_it():
    ann, ben = subject_of_key(7, "ann"), subject_of_key(7, "ben")
    assert len({ann, ben, subject_of_key(7), subject_of_key(8, "ann")}) == 4
    assert subjects_over(ann) == (ann, "key:7", subject_of_caller("ann"))
    assert subjects_over(subject_of_key(8, "ann"))[2] == subject_of_caller("ann"), "with whichever key"
    assert subjects_over("key:7") == ("key:7",)
    assert "ann" not in ann


@pytest.mark.parametrize("name", IDENTITY)
def test_a_field_that_names_who_calls_counts_as_a_credential_in_any_spelling(name):
    for spelling in (name, name.replace("-", "_"), name.replace("-", ".")):
        assert is_credential(spelling.lower().encode())
    assert is_credential(name.lower().encode() + b"-" + b"x" * 100) or name == "From"


@pytest.mark.parametrize("name", ORDINARY)
def test_a_field_that_says_nothing_of_who_calls_does_not(name):
    assert not is_credential(name.lower().encode())
