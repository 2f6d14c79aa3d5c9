"""What of its callers' headers an API's upstreams see: who may decide, what may be said, what gateways are told."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from apps.catalog.checks import apis_forward_what_they_were_allowed_to
from apps.catalog.field_checks import check_underscore_headers
from apps.catalog.models import API
from apps.catalog.services import api_create, api_rollback, api_update
from apps.fleet.compile import compile_api
from apps.gateway.pipeline.authenticators.api_key import KEY_FIELD
from apps.gateway.pipeline.stages import route
from apps.httpcache.fields import HOP_BY_HOP
from apps.tenants.actors import PLATFORM, Actor
from apps.tenants.choices import Role
from tests.support.cast import Cast, make_api, make_user


def error_of(attempt: Any) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as refused:
        attempt()
    return refused.value.message_dict


def test_only_administrators_and_the_file_have_an_upstream_see_credentials(cast: Cast):
    """Else a developer of any tenant would collect what callers hold."""
    api = make_api(cast.platform)
    dora = make_user("dora@platform.test", cast.platform, Role.DEVELOPER)
    for actor in (dora, cast.olga):
        errors = error_of(lambda actor=actor: api_update(actor=actor, api=api, forward_credential=True))
        assert "administrator" in errors["forward_credential"][0]
        new: dict[str, Any] = {"name": "New", "listen_path": "/new/", "upstreams": [{"url": "http://127.0.0.1:9/"}]}
        assert "forward_credential" in error_of(
            lambda actor=actor, new=new: api_create(
                actor=actor, tenant=cast.platform, slug="new", forward_credential=True, **new
            )
        )
        assert not API.objects.get(slug="products").forward_credential
    actors: list[Actor] = [cast.ada, PLATFORM]
    for actor in actors:
        assert api_update(actor=actor, api=api, forward_credential=True).forward_credential
        assert not api_update(actor=cast.olga, api=api, forward_credential=False).forward_credential


def test_what_an_administrator_allowed_stays_while_others_edit_and_does_not_come_back_with_a_revision(cast: Cast):
    api = api_update(actor=cast.ada, api=make_api(cast.platform), forward_credential=True)
    with_it = api.revision
    assert api_update(actor=cast.olga, api=api, name="Wares").forward_credential
    api = api_update(actor=cast.olga, api=api, forward_credential=False)
    assert "forward_credential" in error_of(lambda: api_rollback(actor=cast.olga, api=api, number=with_it))
    assert api_rollback(actor=cast.ada, api=api, number=with_it).forward_credential


@pytest.mark.parametrize(
    ("field", "names", "told"),
    [
        ("underscore_headers", ["X-Region"], "without being named"),
        ("underscore_headers", ["X Region"], "list of header names"),
        ("underscore_headers", "X_Region", "list of header names"),
        ("underscore_headers", ["X_Forwarded_Host"], "x-forwarded-host"),
        ("underscore_headers", ["x.real_ip"], "x-real-ip"),
        ("underscore_headers", ["Content_Length"], "content-length"),
        ("underscore_headers", ["Transfer_Encoding"], "transfer-encoding"),
        ("underscore_headers", ["X_API_Key"], "x-api-key"),
        ("underscore_headers", ["x_ssl_client_cert"], "x-ssl-client-cert"),
        ("underscore_headers", [f"X_{number}" for number in range(33)], "At most 32"),
        ("credential_headers", ["Range"], "nothing of who calls"),
        ("credential_headers", ["If-None-Match"], "nothing of who calls"),
        ("credential_headers", ["Accept-Language"], "nothing of who calls"),
        ("credential_headers", ["Host"], "nothing of who calls"),
        ("credential_headers", ["X" * 65], "64 characters"),
        ("credential_headers", [1], "list of header names"),
    ],
)
def test_a_header_that_cannot_be_named_is_refused(cast: Cast, field: str, names: Any, told: str):
    api = make_api(cast.platform)
    assert told in error_of(lambda: api_update(actor=cast.olga, api=api, **{field: names}))[field][0]


@pytest.mark.parametrize(
    "name",
    sorted(
        {*filter(lambda name: b"-" in name, (*route._OURS, *HOP_BY_HOP)), KEY_FIELD}
        | {b"x-forwarded-for", b"x-original-forwarded-for", b"x-custom-ip-authorization", b"x-arr-clientcert"}
    ),
)
def test_what_gateways_never_let_through_is_not_allowed_by_name(name: bytes):
    spelled = name.decode().replace("-", "_")
    assert not route._is_harmless(spelled.encode(), trusted=False)
    with pytest.raises(ValueError, match=" "):
        check_underscore_headers([spelled])


def test_gateways_are_told_the_names_and_key_what_may_be_read_as_another(cast: Cast):
    api = make_api(
        cast.platform, policy={"headers": ["X_Keyed"], "operations": [{"path": "/a", "headers": ["x.of.a"]}]}
    )
    compiled = compile_api(api)
    names = ("x.of.a", "x_keyed")
    assert compiled.underscore_headers == names
    api = api_update(
        actor=cast.olga,
        api=api,
        underscore_headers=["X_Region", "X_Region"],
        credential_headers=["X-Badge", "X-User-Id"],
        api_key_header="X-Shop-Badge",
    )
    compiled = compile_api(api)
    names = ("x.of.a", "x_keyed", "x_region")
    assert compiled.underscore_headers == names
    assert sorted(compiled.policy.headers) == sorted(compiled.operation_policies[0].policy.headers) == sorted(names)
    assert compiled.policy.credential_headers == ("x-badge", "x-shop-badge")
    api = api_rollback(actor=cast.olga, api=api, number=1)
    assert (api.underscore_headers, api.credential_headers) == ([], [])


def test_what_counts_as_a_credential_decides_what_stored_answers_are_used(cast: Cast):
    api = make_api(cast.platform)
    before = compile_api(api).policy.group
    assert compile_api(api_update(actor=cast.olga, api=api, credential_headers=["X-Badge"])).policy.group != before


def test_a_deployment_is_told_which_apis_an_upgrade_concerns(cast: Cast):
    assert apis_forward_what_they_were_allowed_to(None) == []
    header = {"name": "X_Region", "in": "header"}
    operations = [{"method": "GET", "path": "/", "parameters": [header, {"name": "q_1", "in": "query"}]}]
    make_api(cast.platform, "plain", operations=operations, underscore_headers=["x_region"])
    make_api(cast.platform, "described", operations=operations)
    make_api(cast.platform, "forwards", forward_credential=True)
    told = {each.id: each for each in apis_forward_what_they_were_allowed_to(None)}
    assert set(told) == {"catalog.W001", "catalog.W002"}
    assert "forwards." in told["catalog.W001"].msg
    assert "described." in told["catalog.W002"].msg
    assert "plain" not in told["catalog.W002"].msg
    assert "underscore_headers" in str(told["catalog.W002"].hint)
