"""A policy's defaults are the contract's: what RFC 9111 allows a shared cache, and nothing beyond."""

import dataclasses

import pytest

from apps.httpcache.policy import HEURISTIC_CAP, HEURISTIC_FRACTION, UNREACHABLE_GRACE, Policy


def test_the_defaults_are_those_of_the_contract():
    policy = Policy()
    assert (policy.mode, policy.ttl, policy.methods) == ("origin", 60.0, ("GET", "HEAD"))
    assert (policy.stale_while_revalidate, policy.stale_if_error) == (0.0, None)
    assert (policy.query_mode, policy.headers, policy.scope) == ("all", (), "auto")
    assert (policy.client_directives, policy.store_set_cookie) == ("bounded", False)
    assert (policy.downstream, policy.surrogate_control) == ("pass", "remove")
    assert not policy.share_with_credentials
    assert not policy.origin_stale_beside_s_maxage


def test_guesses_and_emergencies_have_their_bounds():
    """RFC 9111 §4.2.2: a tenth of the age since Last-Modified; §4.2.4: an upstream that can't be reached."""
    assert (HEURISTIC_FRACTION, HEURISTIC_CAP, UNREACHABLE_GRACE) == (0.1, 60.0, 60.0)


def test_a_policy_is_never_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Policy().ttl = 1.0
